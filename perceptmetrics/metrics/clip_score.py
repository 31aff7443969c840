"""CLIPScore: the cosine of an image with its prompt, 100 times as torchmetrics has it, at least 0.

Hessel et al., "CLIPScore: A Reference-free Evaluation Metric for Image Captioning", EMNLP 2021, arXiv 2104.08718.
"""

from __future__ import annotations

from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD, openai_clip
from perceptmetrics.spec import CardSpec, CentreCropView, MetricSpec, PromptHeadSpec, ScoreSpec, ViewsSpec

__all__ = ["CLIP_SCORE"]

CLIP_SCORE = MetricSpec(
    name="clip_score",
    task="alignment",
    encoder=openai_clip("ViT-L-14", positional_embedding="keep"),
    views=ViewsSpec(views=(CentreCropView(size=224, interpolation="bicubic"),), mean=CLIP_MEAN, std=CLIP_STD),
    head=PromptHeadSpec(weight=100.0, clamp=True),
    score=ScoreSpec(lower=0.0, upper=100.0, higher_is_better=True),
    card=CardSpec(
        summary="CLIPScore: how well an image goes with its prompt; a good match has about 25 to 35.",
        paper="Hessel et al.: CLIPScore: A Reference-free Evaluation Metric for Image Captioning. EMNLP 2021",
        paper_url="https://arxiv.org/abs/2104.08718",
        licence="MIT (CLIP weights by OpenAI)",
        training_data="None beyond CLIP's 400 million image-text pairs from the web.",
        limits="CLIP counts and relates objects poorly, and reads 75 tokens; a longer prompt is refused. The paper "
        "puts 'A photo depicts' before the text and multiplies by 2.5 in place of 100, on ViT-B/32.",
    ),
)
