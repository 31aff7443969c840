"""LIQE's method as a package of its own would bring it: views, head and score map of new kinds, and a metric.

Zhang et al., "Blind Image Quality Assessment via Vision-Language Correspondence: A Multitask Learning Perspective",
CVPR 2023. Patches of 224 pixels at a stride of 32, at most 15 of them evenly spread, are compared with five texts, one
for each level of quality; the logits are averaged over the patches, and their softmax is the distribution of the
levels 1 to 5, whose expectation is the score.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perceptmetrics.functional.image import enlarge_to
from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD, openai_clip
from perceptmetrics.models.heads import Head
from perceptmetrics.models.views import Rectangle, View, Window
from perceptmetrics.spec import (
    CardSpec,
    MetricSpec,
    ScoreMap,
    ScoreSpec,
    ViewsSpec,
    WeightSource,
)
from perceptmetrics.spec.heads import HeadSpec
from perceptmetrics.spec.views import ViewSpec
from perceptmetrics.weights.layouts import load_strictly

if TYPE_CHECKING:
    from typing_extensions import Self

    from perceptmetrics.models.heads import HeadMaterial
    from perceptmetrics.models.views import Normalization

__all__ = ["LIQE", "ExpectationMap", "LevelHead", "LevelHeadSpec", "StridedPatches", "StridedPatchesView"]

LEVELS = ("bad", "poor", "fair", "good", "perfect")


@dataclass(frozen=True, kw_only=True)
class StridedPatchesView(ViewSpec):
    """Square patches of the image at its native size, evenly spread over a grid.

    Attributes:
        size: Side of a patch in pixels; smaller images are enlarged to it.
        stride: Distance between neighbours on the grid, in pixels.
        most: Most patches of an image.
    """

    kind: ClassVar[str] = "strided_patches"
    label: ClassVar[str] = "patch"
    size: int = 224
    stride: int = 32
    most: int = 15

    @property
    def view_count(self) -> None:
        """It depends on the size of the image."""


class StridedPatches(View[StridedPatchesView]):
    """Patches on a grid."""

    spec_class = StridedPatchesView

    def show(self, images: Tensor, normalization: Normalization) -> Tensor:
        pixels = normalization(enlarge_to(normalization.to_float(images), self.spec.size))
        corners = self._corners(*pixels.shape[-2:])
        side = self.spec.size
        patches = [pixels[..., top : top + side, left : left + side] for top, left in corners]
        return torch.stack(patches, dim=1).flatten(0, 1)

    def windows(self, height: int, width: int) -> list[list[Window]]:
        shown = enlarge_to(torch.empty(1, 3, height, width, device="meta"), self.spec.size)
        height, width = shown.shape[-2:]
        side = self.spec.size
        return [
            [Window(Rectangle(0, 0, side, side), Rectangle(top / height, left / width, side / height, side / width))]
            for top, left in self._corners(height, width)
        ]

    def _corners(self, height: int, width: int) -> list[tuple[int, int]]:
        rows, columns = (range(0, side - self.spec.size + 1, self.spec.stride) for side in (height, width))
        grid = [(row, column) for row in rows for column in columns]
        return grid[:: max(1, len(grid) // self.spec.most)][: self.spec.most]


@dataclass(frozen=True, kw_only=True)
class LevelHeadSpec(HeadSpec):
    """Logits of texts that describe levels of quality.

    Attributes:
        texts: One for each level, the worst first.
        weights: The metric's trained file; None when it is not published.
    """

    kind: ClassVar[str] = "levels"
    needs_text_encoder: ClassVar[bool] = True
    texts: tuple[str, ...]
    weights: WeightSource | None = None

    @property
    def outputs(self) -> int:
        return len(self.texts)

    @property
    def is_trained(self) -> bool:
        return True

    @property
    def trained_file(self) -> WeightSource | None:
        return self.weights

    def with_trained_file(self, source: WeightSource | None) -> LevelHeadSpec:
        return replace(self, weights=source)

    def describe_training(self) -> str:
        return "texts of the levels"


class LevelHead(Head):
    """Cosines with the texts of the levels, scaled; the texts' features and the scale train."""

    spec_class = LevelHeadSpec

    def __init__(self, text_features: Tensor, logit_scale: float) -> None:
        super().__init__()
        self.text_features = nn.Parameter(text_features.clone())
        self.logit_scale = nn.Parameter(torch.tensor(logit_scale).log())

    @classmethod
    def build(cls, spec: LevelHeadSpec, material: HeadMaterial) -> Self:
        if material.tensors is None:
            found = material.text_features(spec.texts)
            return cls(found.features, found.logit_scale)
        head = cls(torch.zeros_like(material.tensors["text_features"]), 1.0)
        load_strictly(head, material.tensors, material.origin)
        return head

    def forward(self, features: Tensor, texts: Tensor | None = None) -> Tensor:
        levels = F.normalize(self.text_features.float(), dim=-1)
        return self.logit_scale.float().exp() * F.normalize(features.float(), dim=-1) @ levels.T


@dataclass(frozen=True, kw_only=True)
class ExpectationMap(ScoreMap):
    """Expected level of the softmax over levels that are evenly spread.

    Attributes:
        lowest: The first level.
        highest: The last one.
    """

    kind: ClassVar[str] = "outside_expectation"
    is_bounded: ClassVar[bool] = True
    lowest: float
    highest: float

    def outputs(self, raw: int) -> int:
        return 1

    def predictions(self, raw: Tensor) -> Tensor:
        levels = torch.linspace(self.lowest, self.highest, raw.shape[-1], dtype=raw.dtype, device=raw.device)
        return raw.softmax(dim=-1) @ levels[:, None]

    def scores(self, predictions: Tensor) -> Tensor:
        return predictions

    def for_unit_ratings(self) -> ExpectationMap:
        return replace(self, lowest=0.0, highest=1.0)


LIQE = MetricSpec(
    name="outside_liqe",
    task="quality",
    encoder=openai_clip("ViT-B-32", positional_embedding="keep"),
    views=ViewsSpec(views=(StridedPatchesView(),), mean=CLIP_MEAN, std=CLIP_STD),
    head=LevelHeadSpec(texts=tuple(f"a photo with {level} quality" for level in LEVELS)),
    score=ScoreSpec(lower=1.0, upper=5.0, higher_is_better=True, map=ExpectationMap(lowest=1.0, highest=5.0)),
    card=CardSpec(
        summary="Expected level of quality, 1 (bad) to 5 (perfect), over patches of the image.",
        paper="Zhang et al.: Blind Image Quality Assessment via Vision-Language Correspondence. CVPR 2023",
        paper_url="https://arxiv.org/abs/2303.14968",
        licence="MIT (code); this module brings no weights",
    ),
)
