"""The metrics that come with the package: one file per family, each a literal specification."""

from __future__ import annotations

from perceptmetrics.metrics.clipiqa import CLIPIQA
from perceptmetrics.metrics.lite import LITE_IQA
from perceptmetrics.metrics.perceptclip import PERCEPTCLIP_EMO, PERCEPTCLIP_IQA, PERCEPTCLIP_MEM

__all__ = ["BUILTIN_SPECS"]

BUILTIN_SPECS = (CLIPIQA, LITE_IQA, PERCEPTCLIP_IQA, PERCEPTCLIP_MEM, PERCEPTCLIP_EMO)
