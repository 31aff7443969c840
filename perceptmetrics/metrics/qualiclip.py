"""QualiCLIP: a CLIP that has learned to rank degradations by quality, without ratings.

Agnolucci et al., "Quality-Aware Image-Text Alignment for Opinion-Unaware Image Quality Assessment", arXiv 2403.11176.
Released as https://github.com/miccunifi/QualiCLIP: RN50 with the features of seven pairs of prompts in one file. pyiqa
divides the logits by 2, which `temperature=2` does too.
"""

from __future__ import annotations

from dataclasses import replace

from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD, openai_clip
from perceptmetrics.metrics.licences import QUALICLIP_LICENCE
from perceptmetrics.metrics.pyiqa_files import pyiqa_file
from perceptmetrics.spec import CardSpec, FeaturePairsHeadSpec, MetricSpec, ScoreSpec, ViewsSpec, WholeView

__all__ = ["QUALICLIP"]

QUALICLIP = MetricSpec(
    name="qualiclip",
    task="quality",
    encoder=replace(openai_clip("RN50", positional_embedding="drop"), in_trained_file=True),
    views=ViewsSpec(views=(WholeView(),), mean=CLIP_MEAN, std=CLIP_STD),
    head=FeaturePairsHeadSpec(
        pairs=7,
        width=1024,
        weights=pyiqa_file(
            "QualiCLIP.pth",
            QUALICLIP_LICENCE,
            sha256="5818e085ac4b3d297cdd183fd2b1d8a4ddb2242e5bb7fd24b2cd66d7d132bc7e",
            size=408_494_502,
        ),
    ),
    score=ScoreSpec(lower=0.0, upper=1.0, higher_is_better=True),
    card=CardSpec(
        summary="QualiCLIP: quality, by a CLIP that has learned to rank degradations without ratings.",
        paper="Agnolucci et al.: Quality-Aware Image-Text Alignment for Opinion-Unaware Image Quality Assessment. 2024",
        paper_url="https://arxiv.org/abs/2403.11176",
        licence="CC-BY-NC-4.0 (LICENSE of the release; not for commercial use)",
        training_data="Pristine images, which the release does not name, cropped and degraded, without ratings.",
        limits="Scores depend on the wording of the prompts, and CLIP carries the biases of web text.",
    ),
)
