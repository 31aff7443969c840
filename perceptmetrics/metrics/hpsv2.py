"""Human Preference Score v2.1: the cosine of an image with its prompt in a CLIP that people's choices have trained.

Wu et al., "Human Preference Score v2", 2023, arXiv 2306.09341. Released as https://github.com/tgxs002/HPSv2. The long
side of an image is resized to 224 pixels, and the rest of the square is black.
"""

from __future__ import annotations

from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD
from perceptmetrics.metrics.licences import HPSV2_LICENCE
from perceptmetrics.spec import (
    CardSpec,
    ClipEncoderSpec,
    HubFile,
    MetricSpec,
    PaddedView,
    PromptHeadSpec,
    ScoreSpec,
    ViewsSpec,
)

__all__ = ["HPSV2_1", "PREFERENCE_LIMITS", "laion_vit_h"]

PREFERENCE_LIMITS = (
    "Compare scores of images of the same prompt only. CLIP reads 75 tokens; a longer prompt is refused. The raters "
    "are users of image generators, and optimising for the score is known to give oversaturated, detailed images."
)


def laion_vit_h(weights: HubFile) -> ClipEncoderSpec:
    """CLIP ViT-H/14 of LAION, trained further.

    Args:
        weights: The file with the whole CLIP.
    """
    return ClipEncoderSpec(architecture="ViT-H-14", quick_gelu=False, weights=weights, positional_embedding="keep")


HPSV2_1 = MetricSpec(
    name="hpsv2.1",
    task="preference",
    encoder=laion_vit_h(
        HubFile(
            repo="xswu/HPSv2",
            filename="HPS_v2.1_compressed.pt",
            revision="697403c78157020a1ae59d23f111aa58ced35b0a",
            sha256="c57a38fb4a2f7e7c15bf00da2ea377cdf165448b4dd1052a484c215a998c9837",
            size=1_972_490_005,
            licence=HPSV2_LICENCE,
        )
    ),
    views=ViewsSpec(views=(PaddedView(size=224, interpolation="bicubic"),), mean=CLIP_MEAN, std=CLIP_STD),
    head=PromptHeadSpec(),
    score=ScoreSpec(lower=-1.0, upper=1.0, higher_is_better=True),
    card=CardSpec(
        summary="Human Preference Score v2.1: which generated image of a prompt people prefer; about 0.2 to 0.34.",
        paper="Wu et al.: Human Preference Score v2: A Solid Benchmark for Evaluating Human Preferences. 2023",
        paper_url="https://arxiv.org/abs/2306.09341",
        licence="Apache-2.0 (tag of the Hub repository, LICENSE of the code)",
        training_data="Human Preference Dataset v2: choices between generated images of the same prompt.",
        limits=f"{PREFERENCE_LIMITS} The release computes in half precision; this metric in float32.",
    ),
)
