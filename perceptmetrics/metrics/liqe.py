"""LIQE: quality levels in words, compared with patches of the image; with scenes and degradations where it has them.

Zhang et al., "Blind Image Quality Assessment via Vision-Language Correspondence: A Multitask Learning Perspective",
CVPR 2023, arXiv 2303.14968. Released as https://github.com/zwx8981/LIQE: CLIP ViT-B/32, trained whole, on patches of
224 pixels at a stride of 32, 15 of them evenly spread. By a slip the released code looks at the one at the top left
alone, which `patches="top_left"` does too.
"""

from __future__ import annotations

from dataclasses import replace

from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD, openai_clip
from perceptmetrics.metrics.licences import LIQE_LICENCE
from perceptmetrics.metrics.pyiqa_files import pyiqa_file
from perceptmetrics.spec import (
    CardSpec,
    ExpectedLevelMap,
    MetricSpec,
    PatchesView,
    ScoreSpec,
    TextAxis,
    TextGridHeadSpec,
    ViewsSpec,
)

__all__ = ["LIQE", "LIQE_MIX"]

_ENCODER = openai_clip("ViT-B-32", positional_embedding="keep")
_QUALITY = TextAxis(name="quality", words=("bad", "poor", "fair", "good", "perfect"))
_SCENES = "animal cityscape human indoor landscape night plant still_life others"
_DISTORTIONS = (
    "jpeg2000 compression", "jpeg compression", "noise", "blur", "color", "contrast", "overexposure", "underexposure",
    "spatial", "quantization", "other",
)  # fmt: skip


def _spec(name: str, file: str, template: str, axes: tuple[TextAxis, ...], training_data: str) -> MetricSpec:
    return MetricSpec(
        name=name,
        task="quality",
        encoder=replace(_ENCODER, weights=pyiqa_file(file, LIQE_LICENCE)),
        views=ViewsSpec(views=(PatchesView(size=224, stride=32, most=15),), mean=CLIP_MEAN, std=CLIP_STD),
        head=TextGridHeadSpec(template=template, axes=axes),
        score=ScoreSpec(
            lower=1.0, upper=5.0, higher_is_better=True, map=ExpectedLevelMap(lowest=1.0, highest=5.0, levels=5)
        ),
        card=CardSpec(
            summary="LIQE: expected level of quality, 1 (bad) to 5 (perfect).",
            paper="Zhang et al.: Blind Image Quality Assessment via Vision-Language Correspondence. CVPR 2023",
            paper_url="https://arxiv.org/abs/2303.14968",
            licence="CC-BY-NC-SA-4.0 (tag of the Hub repository; not for commercial use); code: MIT",
            training_data=training_data,
            limits="Images below 224 pixels are enlarged. At most 15 patches of a large image are seen.",
        ),
    )


LIQE = _spec("liqe", "liqe_koniq.pt", "a photo with {quality} quality", (_QUALITY,), "KonIQ-10k.")
LIQE_MIX = _spec(
    "liqe_mix",
    "liqe_mix.pt",
    "a photo of a {scene} with {distortion} artifacts, which is of {quality} quality",
    (
        _QUALITY,
        TextAxis(name="scene", words=tuple(_SCENES.split())),
        TextAxis(name="distortion", words=_DISTORTIONS),
    ),
    "LIVE, CSIQ, BID, LIVE In the Wild, KonIQ-10k and KADID-10k (script of the release), with scenes and degradations.",
)
