"""Options of `create_metric` that a kind offers: names, and how they change a specification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from perceptmetrics.spec import MetricSpec

__all__ = ["MetricOption"]


class MetricOption(NamedTuple):
    """One option, or several that act together.

    Attributes:
        names: Their names.
        apply: From a specification and the stated values, by name and none of them None, to the changed specification.
            Raises an InvalidOptionError for a value that is not allowed.
    """

    names: tuple[str, ...]
    apply: Callable[[MetricSpec, Mapping[str, Any]], MetricSpec]
