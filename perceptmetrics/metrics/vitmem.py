"""ViTMem: memorability by a vision transformer.

Hagen, Espeseth, "Image Memorability Prediction with Vision Transformers", 2023, arXiv 2301.08647. Released as
https://github.com/brainpriority/vitmem: timm's `vit_base_patch16_224_miil` with one output, in a file that holds both.
The image is squeezed to a square of 256 pixels, of which the middle is seen.
"""

from __future__ import annotations

from perceptmetrics.metrics.licences import VITMEM_LICENCE
from perceptmetrics.spec import (
    CardSpec,
    CropsView,
    HeadLayout,
    HubFile,
    LogisticMap,
    MetricSpec,
    MlpHeadSpec,
    ScoreSpec,
    TimmEncoderSpec,
    ViewsSpec,
)

__all__ = ["VITMEM"]

VITMEM = MetricSpec(
    name="vitmem",
    task="memorability",
    encoder=TimmEncoderSpec(
        architecture="vit_base_patch16_224_miil",
        quick_gelu=False,
        weights=HubFile(repo="timm/vit_base_patch16_224_miil.in21k", filename="model.safetensors", revision="main"),
        features="pooled",
        in_trained_file=True,
    ),
    views=ViewsSpec(
        views=(CropsView(height=256, width=256, size=224, count=1, mode="grid"),),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    ),
    head=MlpHeadSpec(
        widths=(768, 1),
        layout=HeadLayout(weights=("vit.head.weight",), biases=("vit.head.bias",), encoder_prefix="vit."),
        # The first 8 digits of its hash are in its name; the first download records the others.
        weights=HubFile(
            repo="brainpriority/vitmem",
            filename="vitmem_base_patch16_224_miil_v1-f580d24a.pth",
            revision="main",
            size=343_100_000,
            licence=VITMEM_LICENCE,
        ),
    ),
    score=ScoreSpec(lower=0.0, upper=1.0, higher_is_better=True, map=LogisticMap()),
    card=CardSpec(
        summary="ViTMem: memorability, the fraction of people who would recognise the image when they see it again.",
        paper="Hagen, Espeseth: Image Memorability Prediction with Vision Transformers. 2023",
        paper_url="https://arxiv.org/abs/2301.08647",
        licence="MIT (LICENSE of the repository)",
        training_data="Photographs with hit rates of memory games; the release does not name the data sets.",
        limits="The image is squeezed to a square, and its edges are not seen. The games' players and photographs are "
        "not everyone and everything; an average over people says little about one of them.",
    ),
)
