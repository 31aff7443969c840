"""Say once in a process that the weights of a metric may not be used commercially."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perceptmetrics.spec import MetricSpec

__all__ = ["NOTICE_VARIABLE", "notice_licence"]

NOTICE_VARIABLE = "PERCEPTMETRICS_LICENCE_NOTICE"

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_said: set[str] = set()


def notice_licence(spec: MetricSpec, *, published: bool = False) -> None:
    """Log why a metric's weights may not be used commercially, the first time that it is created in this process.

    It is a warning of this module's logger; `PERCEPTMETRICS_LICENCE_NOTICE=0` or the level of the logger silences it.

    Args:
        spec: The metric.
        published: Whether somebody else published it, so that the terms of what was trained for it matter too.
    """
    if os.environ.get(NOTICE_VARIABLE) == "0":
        return
    reasons = "; ".join(_reasons(spec, published))
    with _lock:
        is_new = bool(reasons) and reasons not in _said
        _said.add(reasons)
    if is_new:
        _log.warning(
            "The weights of %s may not be used commercially, as far as their licences are known: %s. "
            "list_metrics(commercial=True) lists metrics without this limit; %s=0 silences this notice.",
            spec.name,
            reasons,
            NOTICE_VARIABLE,
        )


def _reasons(spec: MetricSpec, published: bool) -> Iterator[str]:
    for file in spec.weight_sources:
        licence = file.licence
        if licence is None:
            yield f"the licence of {file.filename}, from {file.location}, is not recorded"
        elif not licence.is_stated:
            yield f"{file.filename} has no stated licence: {licence.evidence}, {licence.checked}"
        elif not licence.allows_commercial_use:
            yield f"{file.filename} is under {licence.spdx}: {licence.evidence}"
    if published and spec.has_trained_part and spec.trained_file is None:
        yield f"the card of {spec.name} says: {spec.card.licence}"
