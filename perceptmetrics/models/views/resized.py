"""Views of the whole image at another size: of its short side, squeezed to a square, padded to one, or a fraction."""

from __future__ import annotations

import torch
from torch import Tensor

from perceptmetrics.functional.image import fit_into_square, own_symbol, resize, resize_short_side
from perceptmetrics.models.views.base import Normalization, Rectangle, View, Window, register_view, size_of
from perceptmetrics.spec import PaddedView, ResizedView, ScaledView, SquareView

__all__ = ["Padded", "Resized", "Scaled", "Square"]

_WHOLE = Rectangle(0, 0, 1, 1)


class Square(View[SquareView]):
    """The whole image, squeezed to a square."""

    spec_class = SquareView

    def show(self, images: Tensor, normalization: Normalization) -> Tensor:
        """See `View.show`."""
        mode = self.spec.interpolation
        pixels = normalization.to_float(images) if mode == "bilinear_aliased" else images
        return normalization(resize(pixels, (self.spec.size, self.spec.size), mode))

    def windows(self, height: int, width: int) -> list[list[Window]]:
        """See `View.windows`."""
        return [[Window(Rectangle(0, 0, self.spec.size, self.spec.size), _WHOLE)]]


class Resized(View[ResizedView]):
    """The whole image, its short side resized."""

    spec_class = ResizedView

    def show(self, images: Tensor, normalization: Normalization) -> Tensor:
        """See `View.show`."""
        return normalization(resize_short_side(images, self.spec.size, self.spec.interpolation))

    def windows(self, height: int, width: int) -> list[list[Window]]:
        """See `View.windows`."""
        image = torch.empty(1, 3, height, width, device="meta")
        return [[Window(Rectangle(0, 0, *size_of(resize_short_side(image, self.spec.size))), _WHOLE)]]


class Padded(View[PaddedView]):
    """The whole image in the middle of a black square."""

    spec_class = PaddedView

    def show(self, images: Tensor, normalization: Normalization) -> Tensor:
        """See `View.show`."""
        return normalization(fit_into_square(normalization.to_float(images), self.spec.size, self.spec.interpolation))

    def windows(self, height: int, width: int) -> list[list[Window]]:
        """See `View.windows`; the padding shows nothing of the image."""
        side = self.spec.size
        shown = fit_into_square(torch.ones(1, 1, height, width), side)[0, 0] > 0
        (rows, columns) = (int(shown.any(dim=dim).sum()) for dim in (1, 0))
        return [[Window(Rectangle((side - rows) // 2, (side - columns) // 2, rows, columns), _WHOLE)]]


class Scaled(View[ScaledView]):
    """The whole image at a fraction of its size."""

    spec_class = ScaledView

    def show(self, images: Tensor, normalization: Normalization) -> Tensor:
        """See `View.show`."""
        height, width = self._size(images.shape[-2], images.shape[-1])
        mode = self.spec.interpolation
        pixels = normalization.to_float(images) if mode == "bilinear_aliased" else images
        return normalization(resize(pixels, (own_symbol(height), own_symbol(width)), mode))

    def windows(self, height: int, width: int) -> list[list[Window]]:
        """See `View.windows`."""
        return [[Window(Rectangle(0, 0, *self._size(height, width)), _WHOLE)]]

    def _size(self, height: int, width: int) -> tuple[int, int]:
        return max(1, height // self.spec.divisor), max(1, width // self.spec.divisor)


register_view(Square)
register_view(Resized)
register_view(Padded)
register_view(Scaled)
