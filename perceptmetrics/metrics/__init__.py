"""The metrics that come with the package: one file per family, each a literal specification."""

from __future__ import annotations

from perceptmetrics.metrics.arniqa import ARNIQA_METRICS
from perceptmetrics.metrics.clip_score import CLIP_SCORE
from perceptmetrics.metrics.clip_uiqa import CLIP_UIQA
from perceptmetrics.metrics.clipiqa import CLIPIQA, CLIPIQA_PLUS, CLIPIQA_PLUS_RN50_512, CLIPIQA_PLUS_VITL14_512
from perceptmetrics.metrics.hpsv2 import HPSV2_1
from perceptmetrics.metrics.laion_aes import LAION_AES
from perceptmetrics.metrics.laion_aes_v1 import LAION_AES_V1, LAION_AES_V1_B16, LAION_AES_V1_B32
from perceptmetrics.metrics.liqe import LIQE, LIQE_MIX
from perceptmetrics.metrics.lite import LITE_IQA
from perceptmetrics.metrics.lite_attributes import LITE_ATTRIBUTES
from perceptmetrics.metrics.maclip import MACLIP
from perceptmetrics.metrics.perceptclip import PERCEPTCLIP_EMO, PERCEPTCLIP_IQA, PERCEPTCLIP_MEM
from perceptmetrics.metrics.pickscore import PICKSCORE
from perceptmetrics.metrics.qualiclip import QUALICLIP
from perceptmetrics.metrics.vitmem import VITMEM

__all__ = ["BUILTIN_SPECS"]

BUILTIN_SPECS = (
    CLIPIQA,
    CLIPIQA_PLUS,
    CLIPIQA_PLUS_RN50_512,
    CLIPIQA_PLUS_VITL14_512,
    CLIP_UIQA,
    LITE_IQA,
    LITE_ATTRIBUTES,
    PERCEPTCLIP_IQA,
    PERCEPTCLIP_MEM,
    PERCEPTCLIP_EMO,
    LAION_AES,
    LAION_AES_V1,
    LAION_AES_V1_B32,
    LAION_AES_V1_B16,
    CLIP_SCORE,
    HPSV2_1,
    PICKSCORE,
    VITMEM,
    *ARNIQA_METRICS,
    LIQE,
    LIQE_MIX,
    QUALICLIP,
    MACLIP,
)
