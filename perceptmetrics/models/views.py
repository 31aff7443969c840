"""How an image is shown to an encoder.

A view is a pure function of the pixels. Views of equal size go through the encoder together, so they come out
as groups: a list of tensors of shape (N * V, 3, h, w), the V views of an image next to each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from perceptmetrics.functional.image import (
    centre_crop,
    crops,
    draw_places,
    enlarge_to,
    fragment_places,
    fragments,
    grid_crop_offsets,
    normalise,
    random_crop_offsets,
    resize,
    resize_short_side,
    shrink_to_long_side,
)
from perceptmetrics.images.load import to_unit_float
from perceptmetrics.spec import CentreCropView, CropsView, FragmentsView, SalientView, WholeView

if TYPE_CHECKING:
    from perceptmetrics.spec import ViewSpec, ViewsSpec

__all__ = ["Rectangle", "Views", "Window"]


class Rectangle(NamedTuple):
    """A rectangle in an image or a view: its upper left corner, its height and its width."""

    top: float
    left: float
    height: float
    width: float


class Window(NamedTuple):
    """What a rectangle of a view shows of the image.

    Attributes:
        in_view: The rectangle, in pixels of the view.
        in_image: Where this lies in the image, as shares of its height and width.
    """

    in_view: Rectangle
    in_image: Rectangle


class Views(nn.Module):
    """The views of a metric.

    Args:
        spec: Which views, and the normalisation of their pixels.
        seed: Seed of the places of random crops. They are the same for every image, whatever its content,
            its batch or its place in it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: ViewsSpec, seed: int = 0) -> None:
        super().__init__()
        self.spec = spec
        self.seed = seed
        self.register_buffer("mean", torch.tensor(spec.mean), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std), persistent=False)
        self._offsets = {view: _offsets(view, seed) for view in spec.views if isinstance(view, CropsView)}
        self._places = {view: draw_places(view.grid, seed) for view in spec.views if isinstance(view, FragmentsView)}

    def forward(self, images: Tensor) -> list[Tensor]:
        """Make the views of a batch.

        Args:
            images: Shape (N, 3, H, W), RGB in [0, 1] on any device, or in 0..255 as uint8 on the CPU. Fixed-size views
                resize 8-bit pixels as Pillow, and with it the published models, does.

        Returns:
            Groups of shape (N * V, 3, h, w), normalised; differentiable in floating-point `images`.
        """
        if images.dtype != torch.uint8:
            images = images.to(self.mean.device)
        if images.dtype in (torch.float16, torch.bfloat16):  # too coarse for geometry
            images = images.float()
        return [self._view(view, images) for view in self.spec.views]

    def _view(self, view: ViewSpec, images: Tensor) -> Tensor:
        if isinstance(view, WholeView):
            pixels = self._to_float(images)
            return self._normalise(
                pixels if view.max_long_side is None else shrink_to_long_side(pixels, view.max_long_side)
            )
        if isinstance(view, CentreCropView):
            return self._normalise(centre_crop(resize_short_side(images, view.size), view.size))
        if isinstance(view, SalientView):
            return self._normalise(centre_crop(enlarge_to(self._to_float(images), view.size), view.size))
        if isinstance(view, FragmentsView):
            pixels = enlarge_to(self._to_float(images), view.grid * view.cell)
            return self._normalise(fragments(pixels, view.cell, self._places[view]))
        resized = self._normalise(resize(images, (view.height, view.width)))
        return crops(resized, self._offsets[view], view.size)

    def windows(self, height: int, width: int) -> list[list[list[Window]]]:
        """Which parts of an image each view shows.

        Args:
            height: Height of the image in pixels.
            width: Its width.

        Returns:
            For each group that `forward` returns: for each view of an image: its windows.
        """
        image = torch.empty(1, 3, height, width, device="meta")  # sizes alone are computed
        return [self._windows(view, image) for view in self.spec.views]

    def _windows(self, view: ViewSpec, image: Tensor) -> list[list[Window]]:
        if isinstance(view, WholeView):
            shown = image if view.max_long_side is None else shrink_to_long_side(image, view.max_long_side)
            height, width = shown.shape[-2:]
            return [[Window(Rectangle(0, 0, height, width), Rectangle(0, 0, 1, 1))]]
        if isinstance(view, CropsView):
            size = (view.height, view.width)
            return [[_window((0, 0), place, view.size, size)] for place in self._offsets[view]]
        if isinstance(view, FragmentsView):
            size = _size_of(enlarge_to(image, view.grid * view.cell))
            places = fragment_places(*size, view.cell, self._places[view])
            rows, columns = (axis.tolist() for axis in places)
            fields = [(row, column) for row in range(view.grid) for column in range(view.grid)]
            return [
                [
                    _window(
                        (row * view.cell, column * view.cell),
                        (rows[row][column], columns[row][column]),
                        view.cell,
                        size,
                    )
                    for row, column in fields
                ]
            ]
        is_salient = isinstance(view, SalientView)
        size = _size_of((enlarge_to if is_salient else resize_short_side)(image, view.size))
        middle = (round((size[0] - view.size) / 2), round((size[1] - view.size) / 2))
        return [[_window((0, 0), middle, view.size, size)]]

    def _normalise(self, pixels: Tensor) -> Tensor:
        pixels = self._to_float(pixels)
        return normalise(pixels, self.mean.to(pixels.dtype), self.std.to(pixels.dtype))

    def _to_float(self, pixels: Tensor) -> Tensor:
        return to_unit_float(pixels.to(self.mean.device))


def _size_of(image: Tensor) -> tuple[int, int]:
    return image.shape[-2], image.shape[-1]


def _window(in_view: tuple[int, int], place: tuple[int, int], side: int, size: tuple[int, int]) -> Window:
    """A square of a view that was cut at a place out of an image resized to `size`."""
    height, width = size
    top, left = place
    return Window(Rectangle(*in_view, side, side), Rectangle(top / height, left / width, side / height, side / width))


def _offsets(view: CropsView, seed: int) -> list[tuple[int, int]]:
    slack = (view.height - view.size, view.width - view.size)
    if view.mode == "grid":
        return grid_crop_offsets(slack, view.count)
    return random_crop_offsets(slack, view.count, seed)
