"""Views of many small parts of the image: crops, and fragments put together."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING, get_args

import torch

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.functional.fragments import draw_fragment_offsets, fragment_origins, fragments
from perceptmetrics.functional.image import crops, enlarge_to, grid_crop_offsets, random_crop_offsets, resize
from perceptmetrics.models.metric_options import MetricOption
from perceptmetrics.models.views.base import Normalization, Variation, View, Window, cut_square, register_view, size_of
from perceptmetrics.spec import CropMode, CropsView, FragmentsView

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import numpy as np
    from torch import Tensor

    from perceptmetrics.spec import MetricSpec

__all__ = ["Crops", "Fragments", "random_square"]


class Crops(View[CropsView]):
    """Square crops of the resized image, at the same offsets in every image; in training, one at a random offset."""

    spec_class = CropsView
    draws_one = True

    def __init__(self, spec: CropsView, seed: int) -> None:
        super().__init__(spec, seed)
        slack = (spec.height - spec.size, spec.width - spec.size)
        self._offsets = (
            grid_crop_offsets(slack, spec.count)
            if spec.mode == "grid"
            else random_crop_offsets(slack, spec.count, seed)
        )

    def show(self, images: Tensor, normalization: Normalization) -> Tensor:
        """See `View.show`."""
        resized = normalization(resize(images, (self.spec.height, self.spec.width)))
        return crops(resized, self._offsets, self.spec.size)

    def windows(self, height: int, width: int) -> list[list[Window]]:
        """See `View.windows`; crops of the resized image do not depend on its size."""
        size = (self.spec.height, self.spec.width)
        return [[cut_square((0, 0), offset, self.spec.size, size)] for offset in self._offsets]

    @classmethod
    def options(cls) -> tuple[MetricOption, ...]:
        """Number and mode of the crops."""
        return (MetricOption(("crops", "crop_mode"), _with_crops),)

    def prepare(self, pixels: Tensor) -> Tensor:
        """The resized image."""
        return resize(pixels[None], (self.spec.height, self.spec.width))[0]

    def draw(
        self, pixels: Tensor, normalization: Normalization, variation: Variation, rng: np.random.Generator
    ) -> Tensor:
        """See `View.draw`."""
        return normalization(random_square(pixels, self.spec.size, rng))[None]


class Fragments(View[FragmentsView]):
    """Cells of native pixels, one from each field of a grid, put together to a square."""

    spec_class = FragmentsView

    def __init__(self, spec: FragmentsView, seed: int) -> None:
        super().__init__(spec, seed)
        self._drawn = draw_fragment_offsets(spec.grid, seed)

    def show(self, images: Tensor, normalization: Normalization) -> Tensor:
        """See `View.show`."""
        return self._cut(images, normalization, self._drawn)

    def draw(
        self, pixels: Tensor, normalization: Normalization, variation: Variation, rng: np.random.Generator
    ) -> Tensor:
        """See `View.draw`: cells at other offsets each time, where the variation says so."""
        if not variation.random_fragments:
            return self.show(pixels[None], normalization)
        drawn = draw_fragment_offsets(self.spec.grid, int(rng.integers(2**31)))
        return self._cut(pixels[None], normalization, drawn)

    def _cut(self, images: Tensor, normalization: Normalization, drawn: Tensor) -> Tensor:
        pixels = enlarge_to(normalization.to_float(images), self.spec.grid * self.spec.cell)
        return normalization(fragments(pixels, self.spec.cell, drawn))

    def windows(self, height: int, width: int) -> list[list[Window]]:
        """See `View.windows`."""
        grid, cell = self.spec.grid, self.spec.cell
        size = size_of(enlarge_to(torch.empty(1, 3, height, width, device="meta"), grid * cell))
        rows, columns = (axis.tolist() for axis in fragment_origins(*size, cell, self._drawn))
        return [
            [
                cut_square((row * cell, column * cell), (rows[row][column], columns[row][column]), cell, size)
                for row in range(grid)
                for column in range(grid)
            ]
        ]


def _with_crops(spec: MetricSpec, values: Mapping[str, Any]) -> MetricSpec:
    count, mode = values.get("crops"), values.get("crop_mode")
    if count is not None and (isinstance(count, bool) or not isinstance(count, Integral) or count < 1):
        raise InvalidOptionError(f"crops= must be a positive number of crops, got {count!r}.")
    if mode is not None and mode not in get_args(CropMode):
        raise InvalidOptionError(f"crop_mode= must be one of {get_args(CropMode)}, got {mode!r}.")
    views = tuple(
        replace(view, count=view.count if count is None else int(count), mode=view.mode if mode is None else mode)
        if isinstance(view, CropsView)
        else view
        for view in spec.views.views
    )
    return replace(spec, views=replace(spec.views, views=views))


def random_square(pixels: Tensor, side: int, rng: np.random.Generator) -> Tensor:
    """A square at a random offset of an image, shape (3, H, W)."""
    top, left = (int(rng.integers(length - side + 1)) for length in pixels.shape[-2:])
    return pixels[..., top : top + side, left : left + side]


register_view(Crops)
register_view(Fragments)
