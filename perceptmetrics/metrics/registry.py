"""The metrics that `create_metric` knows by name.

Built-in metrics, those of installed packages (entry-point group `perceptmetrics.metrics`, each entry a
`MetricSpec` or a list of them), and those that the running program registers.
"""

from __future__ import annotations

import fnmatch
import logging
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, get_args

from perceptmetrics.errors import InvalidOptionError, InvalidSpecError, UnknownMetricError, nearest_names
from perceptmetrics.metrics import BUILTIN_SPECS
from perceptmetrics.spec import MetricSpec, Task
from perceptmetrics.spec.sources import trust_packages

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ENTRY_POINT_GROUP", "find_metric", "list_metrics", "list_models", "metric_info", "register_metric"]

ENTRY_POINT_GROUP = "perceptmetrics.metrics"

_log = logging.getLogger(__name__)
_specs: dict[str, MetricSpec] = {spec.name: spec for spec in BUILTIN_SPECS}
_entry_points_read = False


def register_metric(spec: MetricSpec, *, replace: bool = False) -> None:
    """Make a metric known by its name.

    Args:
        spec: The metric's specification.
        replace: Whether a metric of the same name may be replaced.

    Raises:
        InvalidSpecError: `spec` is no `MetricSpec`, or its name is taken and `replace` is False.
    """
    if not isinstance(spec, MetricSpec):
        raise InvalidSpecError(f"register_metric expects a MetricSpec, got {type(spec).__name__}.")
    if not replace and spec.name in _all_specs():
        raise InvalidSpecError(
            f"A metric named {spec.name!r} is registered already. Choose another name, or pass replace=True."
        )
    _specs[spec.name] = spec
    trust_packages(spec)


def metric_info(name: str) -> MetricSpec:
    """Look up a metric's specification.

    Args:
        name: Registered name, such as `"clipiqa"`.

    Returns:
        The specification: task, range, direction, paper, licence, where the weights come from.

    Raises:
        UnknownMetricError: No metric has this name; the message offers the nearest ones.
    """
    spec = find_metric(name)
    if spec is None:
        raise UnknownMetricError(f"No metric is named {name!r}. {nearest_names(name, _all_specs())}")
    return spec


def find_metric(name: str) -> MetricSpec | None:
    """The specification of a registered metric; None for any other name."""
    return _all_specs().get(name)


def list_metrics(
    filter: str = "",  # noqa: A002 - pyiqa's spelling
    *,
    task: str | None = None,
    commercial: bool = False,
) -> list[str]:
    """List the registered metrics.

    Args:
        filter: Shell-style pattern that a name must match, such as `"clip*"`; empty for all.
        task: What is predicted: `"quality"`, `"aesthetics"`, `"memorability"`, `"emotion"`, `"attribute"`,
            `"alignment"` (with a prompt) or `"preference"` (among images of one prompt); None for all.
        commercial: Whether to list only those whose weights are all known to be under a licence that allows commercial
            use (`MetricSpec.allows_commercial_use`). One that is not stated or not known is never counted.

    Returns:
        Names in alphabetical order.

    Raises:
        InvalidOptionError: `task` is none of these, or `commercial` is neither True nor False.
    """
    if task is not None and task not in get_args(Task):
        raise InvalidOptionError(f"No metric predicts the task {task!r}. {nearest_names(task, get_args(Task))}")
    if not isinstance(commercial, bool):
        raise InvalidOptionError(f"commercial must be True or False, got {commercial!r}.")
    return sorted(
        name
        for name, spec in _all_specs().items()
        if (not filter or fnmatch.fnmatchcase(name, filter))
        and (task is None or spec.task == task)
        and (not commercial or spec.allows_commercial_use)
    )


def list_models(
    metric_mode: str | None = None,
    filter: str = "",  # noqa: A002 - pyiqa's spelling
    exclude_filters: str | Iterable[str] = "",
) -> list[str]:
    """List the registered metrics with the arguments of `pyiqa.list_models`.

    Args:
        metric_mode: `"NR"` or None for all (every metric here is no-reference); `"FR"` lists none.
        filter: Shell-style pattern that a name must match; empty for all.
        exclude_filters: Pattern, or patterns, of names to leave out.

    Returns:
        Names in alphabetical order.
    """
    if metric_mode not in (None, "NR"):
        return []
    patterns = [exclude_filters] if isinstance(exclude_filters, str) else list(exclude_filters)
    return [
        name
        for name in list_metrics(filter)
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns if pattern)
    ]


def _all_specs() -> dict[str, MetricSpec]:
    global _entry_points_read
    if not _entry_points_read:
        _entry_points_read = True
        _read_entry_points()
    return _specs


def _read_entry_points() -> None:
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            loaded = entry_point.load()
            for spec in [loaded] if isinstance(loaded, MetricSpec) else loaded:
                register_metric(spec)
        except Exception:  # noqa: BLE001 - another package's fault must not hide the metrics that work
            _log.warning("The metrics of the entry point %r could not be read.", entry_point, exc_info=True)
