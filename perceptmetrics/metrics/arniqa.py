"""ARNIQA: quality from what a ResNet-50 has learned of distortions, by a linear regressor for each of eight data sets.

Agnolucci et al., "ARNIQA: Learning Distortion Manifold for Image Quality Assessment", WACV 2024, arXiv 2310.14918.
Released as https://github.com/miccunifi/ARNIQA. The features of the image and of the image at half its size, each of
unit length, stand side by side. The whole image is seen, as torchmetrics and pyiqa have it; the authors' script
averages five crops.
"""

from __future__ import annotations

from perceptmetrics.metrics.licences import ARNIQA_LICENCE
from perceptmetrics.metrics.pyiqa_files import pyiqa_file
from perceptmetrics.spec import (
    AffineMap,
    CardSpec,
    HeadLayout,
    MetricSpec,
    MlpHeadSpec,
    Rename,
    ScaledView,
    ScoreSpec,
    TimmEncoderSpec,
    ViewsSpec,
    WholeView,
)

__all__ = ["ARNIQA_METRICS"]

_PLACES = {0: "conv1", 1: "bn1", 4: "layer1", 5: "layer2", 6: "layer3", 7: "layer4"}  # in the published encoder
_ENCODER = TimmEncoderSpec(
    architecture="resnet50",
    quick_gelu=False,
    weights=pyiqa_file(
        "ARNIQA.pth",
        ARNIQA_LICENCE,
        sha256="ad2022e59b1040d5bab24f9325c10d0215956a2061248a36c15edaec3e60fcd1",
        size=112_155_914,
    ),
    features="pooled",
    renames=(
        *(Rename(published=f"model.{place}.", own=f"{name}.") for place, name in _PLACES.items()),
        Rename(published="projector.", own=None),
    ),
)
# Suffix, name in the file, what people call it, lowest and highest rating; the ratings of the first two say how bad.
_DATA = (
    ("-live", "live", "LIVE", 100.0, 1.0),
    ("-csiq", "csiq", "CSIQ", 1.0, 0.0),
    ("", "koniq10k", "KonIQ-10k", 1.0, 100.0),
    ("-clive", "clive", "LIVE In the Wild", 1.0, 100.0),
    ("-flive", "flive", "FLIVE", 1.0, 100.0),
    ("-kadid", "kadid10k", "KADID-10k", 1.0, 5.0),
    ("-spaq", "spaq", "SPAQ", 1.0, 100.0),
    ("-tid", "tid2013", "TID2013", 0.0, 9.0),
)


def _spec(suffix: str, file: str, data: str, worst: float, best: float) -> MetricSpec:
    return MetricSpec(
        name=f"arniqa{suffix}",
        task="quality",
        encoder=_ENCODER,
        views=ViewsSpec(
            views=(WholeView(), ScaledView(divisor=2)), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
        ),
        head=MlpHeadSpec(
            widths=(4096, 1),
            activation="none",
            feature_map="l2",
            joined_views=2,
            layout=HeadLayout(weights=("weights",), biases=("biases",)),
            weights=pyiqa_file(f"regressor_{file}.pth", ARNIQA_LICENCE, size=19_200),  # about
        ),
        score=ScoreSpec(
            lower=0.0,
            upper=1.0,
            strict_range=False,
            higher_is_better=True,
            map=AffineMap(scale=1 / (best - worst), shift=-worst / (best - worst)),
        ),
        card=CardSpec(
            summary="ARNIQA: technical quality, on the scale of a data set's ratings; `arniqa` on KonIQ-10k's.",
            paper="Agnolucci et al.: ARNIQA: Learning Distortion Manifold for Image Quality Assessment. WACV 2024",
            paper_url="https://arxiv.org/abs/2310.14918",
            licence="Apache-2.0 (LICENSE of the release)",
            training_data=f"Encoder: KADIS's pristine images, degraded, without ratings. Regressor: {data}.",
            limits="Images must be at least 64 x 64 pixels. The ratings of the data set's raters and kinds of "
            "degradation; scores on other kinds of images may leave the range.",
        ),
    )


ARNIQA_METRICS = tuple(_spec(*row) for row in _DATA)
