"""The metrics that come with the package: one file per family, each a literal specification."""

from __future__ import annotations

from perceptmetrics.metrics.clipiqa import CLIPIQA
from perceptmetrics.metrics.lite import LITE_IQA

__all__ = ["BUILTIN_SPECS"]

BUILTIN_SPECS = (CLIPIQA, LITE_IQA)
