"""The metrics that come with the package: one file per family, each a literal specification."""

from __future__ import annotations

from perceptmetrics.metrics.clip_uiqa import CLIP_UIQA
from perceptmetrics.metrics.clipiqa import CLIPIQA, CLIPIQA_PLUS, CLIPIQA_PLUS_RN50_512, CLIPIQA_PLUS_VITL14_512
from perceptmetrics.metrics.lite import LITE_IQA
from perceptmetrics.metrics.perceptclip import PERCEPTCLIP_EMO, PERCEPTCLIP_IQA, PERCEPTCLIP_MEM

__all__ = ["BUILTIN_SPECS"]

BUILTIN_SPECS = (
    CLIPIQA,
    CLIPIQA_PLUS,
    CLIPIQA_PLUS_RN50_512,
    CLIPIQA_PLUS_VITL14_512,
    CLIP_UIQA,
    LITE_IQA,
    PERCEPTCLIP_IQA,
    PERCEPTCLIP_MEM,
    PERCEPTCLIP_EMO,
)
