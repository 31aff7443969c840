"""Views of the whole image and of its middle."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from perceptmetrics.functional.image import centre_crop, enlarge_to, resize, resize_short_side, shrink_to_long_side
from perceptmetrics.models.views.base import (
    Normalization,
    Rectangle,
    Variation,
    View,
    Window,
    cut_square,
    register_view,
    size_of,
)
from perceptmetrics.models.views.crops import random_square
from perceptmetrics.models.views.size_option import SIZE_OPTION
from perceptmetrics.spec import CentreCropView, SalientView, WholeView

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from perceptmetrics.models.metric_options import MetricOption

__all__ = ["CentreCrop", "Salient", "Whole"]

# Of torchvision's RandomResizedCrop, which PerceptCLIP's emotion model was trained with.
_AREA, _ASPECT, _ATTEMPTS = (0.08, 1.0), (3 / 4, 4 / 3), 10


class Whole(View[WholeView]):
    """The whole image; in training, where a recipe says so, a random crop of it."""

    spec_class = WholeView

    @classmethod
    def options(cls) -> tuple[MetricOption, ...]:
        """`resize=`."""
        return (SIZE_OPTION,)

    def show(self, images: Tensor, normalization: Normalization) -> Tensor:
        """See `View.show`."""
        return normalization(self._shrunk(normalization.to_float(images)))

    def windows(self, height: int, width: int) -> list[list[Window]]:
        """See `View.windows`."""
        shown = self._shrunk(torch.empty(1, 3, height, width, device="meta"))
        return [[Window(Rectangle(0, 0, *size_of(shown)), Rectangle(0, 0, 1, 1))]]

    def draw(
        self, pixels: Tensor, normalization: Normalization, variation: Variation, rng: np.random.Generator
    ) -> Tensor:
        """See `View.draw`."""
        side = variation.random_crop
        if side is None:
            return self.show(pixels[None], normalization)
        large = enlarge_to(self._shrunk(normalization.to_float(pixels)[None]), side)[0]
        return self.show(random_square(large, side, rng)[None], normalization)

    def _shrunk(self, images: Tensor) -> Tensor:
        side = self.spec.max_long_side
        return images if side is None else shrink_to_long_side(images, side)


class CentreCrop(View[CentreCropView]):
    """The middle of the resized image; in training, where a recipe says so, a random part of it."""

    spec_class = CentreCropView

    def show(self, images: Tensor, normalization: Normalization) -> Tensor:
        """See `View.show`."""
        size = self.spec.size
        return normalization(centre_crop(resize_short_side(images, size, self.spec.interpolation), size))

    def windows(self, height: int, width: int) -> list[list[Window]]:
        """See `View.windows`."""
        image = torch.empty(1, 3, height, width, device="meta")
        return [[_middle(size_of(resize_short_side(image, self.spec.size)), self.spec.size)]]

    def draw(
        self, pixels: Tensor, normalization: Normalization, variation: Variation, rng: np.random.Generator
    ) -> Tensor:
        """See `View.draw`."""
        if not variation.random_resized_crop:
            return self.show(pixels[None], normalization)
        size = self.spec.size
        return normalization(resize(_random_part(pixels, rng)[None], (size, size), self.spec.interpolation))


class Salient(View[SalientView]):
    """The middle of the image at its native size."""

    spec_class = SalientView

    def show(self, images: Tensor, normalization: Normalization) -> Tensor:
        """See `View.show`."""
        size = self.spec.size
        return normalization(centre_crop(enlarge_to(normalization.to_float(images), size), size))

    def windows(self, height: int, width: int) -> list[list[Window]]:
        """See `View.windows`."""
        image = torch.empty(1, 3, height, width, device="meta")
        return [[_middle(size_of(enlarge_to(image, self.spec.size)), self.spec.size)]]


def _middle(size: tuple[int, int], side: int) -> Window:
    corner = (round((size[0] - side) / 2), round((size[1] - side) / 2))
    return cut_square((0, 0), corner, side, size)


def _random_part(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """A part of random area and proportions; the largest of allowed proportions where none was found."""
    height, width = pixels.shape[-2:]
    for _ in range(_ATTEMPTS):
        area = height * width * rng.uniform(*_AREA)
        aspect = math.exp(rng.uniform(math.log(_ASPECT[0]), math.log(_ASPECT[1])))
        part_width, part_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < part_width <= width and 0 < part_height <= height:
            top, left = int(rng.integers(height - part_height + 1)), int(rng.integers(width - part_width + 1))
            return pixels[:, top : top + part_height, left : left + part_width]
    part_width = min(width, round(height * _ASPECT[1]))
    part_height = min(height, round(width / _ASPECT[0]))
    top, left = (height - part_height) // 2, (width - part_width) // 2
    return pixels[:, top : top + part_height, left : left + part_width]


register_view(Whole)
register_view(CentreCrop)
register_view(Salient)
