"""CLIP-UIQA: CLIP-IQA on three views of an image.

"Image Quality and Abstract Perception Evaluation", report, Carnegie Mellon University, 2024. The whole image, its
middle at native size ("salient"; there is no saliency model), and fragments from all over it go through the same
predictor.
The report trains prompts and a regressor and publishes no weights: the registered metric is the training-free variant,
with CLIP-IQA's fixed prompts and the mean over the views.
"""

from __future__ import annotations

from dataclasses import replace

from perceptmetrics.metrics.clipiqa import CLIPIQA
from perceptmetrics.spec import CardSpec, FragmentsView, SalientView, WholeView

__all__ = ["CLIP_UIQA"]

CLIP_UIQA = replace(
    CLIPIQA,
    name="clip_uiqa",
    views=replace(CLIPIQA.views, views=(WholeView(), SalientView(size=448), FragmentsView(grid=12, cell=32))),
    card=CardSpec(
        summary="CLIP-IQA on three views: whole image, its middle, fragments of it. Our training-free variant.",
        paper="Image Quality and Abstract Perception Evaluation. Report, Carnegie Mellon University 2024; prompts and "
        "encoder: Wang, Chan, Loy: Exploring CLIP for Assessing the Look and Feel of Images. AAAI 2023",
        paper_url="https://arxiv.org/abs/2207.12396",
        licence=CLIPIQA.card.licence,
        training_data="None beyond CLIP's. The report trains prompts and regressor on KonIQ-10k and publishes none.",
        limits="The report's results are those of trained prompts, not of this variant. Otherwise as clipiqa.",
    ),
)
