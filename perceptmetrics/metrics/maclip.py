"""MA-CLIP: CLIP-IQA's cosines and the magnitude of CLIP's features, fused, without training.

Liao et al., "Beyond Cosine Similarity: Magnitude-Aware CLIP for No-Reference Image Quality Assessment", AAAI 2026,
arXiv 2511.09948; made from the paper. Patches of 224 pixels at a stride of 128 and the whole image, squeezed.
"""

from __future__ import annotations

from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD, openai_clip
from perceptmetrics.spec import (
    CardSpec,
    MagnitudeHeadSpec,
    MetricSpec,
    PatchesView,
    PromptPair,
    ScoreSpec,
    SquareView,
    ViewsSpec,
)

__all__ = ["MACLIP"]

MACLIP = MetricSpec(
    name="maclip",
    task="quality",
    encoder=openai_clip("RN50", positional_embedding="drop"),
    views=ViewsSpec(
        views=(PatchesView(size=224, stride=128), SquareView(size=224, interpolation="bilinear_aliased")),
        mean=CLIP_MEAN,
        std=CLIP_STD,
    ),
    head=MagnitudeHeadSpec(
        pairs=(
            PromptPair(name="good", positive="Good image", negative="bad image"),
            PromptPair(name="sharp", positive="Sharp image", negative="blurry image"),
            PromptPair(name="edges", positive="sharp edges", negative="blurry edges"),
            PromptPair(name="resolution", positive="High resolution image", negative="low resolution image"),
            PromptPair(name="noise", positive="Noise-free image", negative="noisy image"),
        )
    ),
    score=ScoreSpec(lower=None, upper=None, higher_is_better=True),
    card=CardSpec(
        summary="MA-CLIP: CLIP-IQA's cosines and the magnitude of CLIP's features, fused, without training.",
        paper="Liao et al.: Beyond Cosine Similarity: Magnitude-Aware CLIP for No-Reference Image Quality Assessment. "
        "AAAI 2026",
        paper_url="https://arxiv.org/abs/2511.09948",
        licence="MIT (CLIP weights by OpenAI)",
        training_data="None beyond CLIP's 400 million image-text pairs from the web.",
        limits="Made from the paper, since its code has no licence. The number of patches grows with the image.",
    ),
)
