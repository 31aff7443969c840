"""CLIPScore as a literal: how well an image goes with a text of its own (Hessel et al., EMNLP 2021)."""

from __future__ import annotations

from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD, openai_clip
from perceptmetrics.spec import CardSpec, CentreCropView, MetricSpec, PromptHeadSpec, ScoreSpec, ViewsSpec

__all__ = ["CLIP_SCORE"]

CLIP_SCORE = MetricSpec(
    name="clip_score_b32",
    task="attribute",
    encoder=openai_clip("ViT-B-32", positional_embedding="keep"),
    views=ViewsSpec(views=(CentreCropView(size=224),), mean=CLIP_MEAN, std=CLIP_STD),
    head=PromptHeadSpec(weight=100.0),
    score=ScoreSpec(lower=-100.0, upper=100.0, higher_is_better=True),
    card=CardSpec(
        summary="How well the image goes with its text.",
        paper="Hessel et al.: CLIPScore: A Reference-free Evaluation Metric for Image Captioning. EMNLP 2021",
        paper_url="https://arxiv.org/abs/2104.08718",
        licence="MIT (CLIP weights by OpenAI)",
    ),
)
