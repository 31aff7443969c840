"""Views of parts of an image: crops, the salient part, fragments, patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from perceptmetrics._util.text import shown
from perceptmetrics.spec.checks import require, require_at_most, require_pixels
from perceptmetrics.spec.views import VIEWS, ViewSpec

__all__ = ["CropMode", "CropsView", "FragmentsView", "PatchSelection", "PatchesView", "SalientView"]

CropMode = Literal["random", "grid"]
PatchSelection = Literal["spread", "top_left"]

_MOST_OVERLAP = 8  # patches along a side that show the same pixel
_MOST_VIEWS = 10_000  # of one kind, of an image


@dataclass(frozen=True, kw_only=True)
class CropsView(ViewSpec):
    """Square crops of the image, which is resized to a fixed size first, whatever its aspect ratio.

    Every image is cropped at the same places, so a score depends on nothing but the image and the seed.

    Attributes:
        height: Height in pixels to which the image is resized (bilinear, antialiased).
        width: Width in pixels to which it is resized.
        size: Side of a crop in pixels.
        count: Number of crops.
        mode: `"random"`: places drawn from the metric's seed; `"grid"`: places spread evenly over rows and
            columns, without chance.
    """

    kind: ClassVar[str] = "crops"
    label: ClassVar[str] = "crop"
    height: int
    width: int
    size: int
    count: int
    mode: CropMode = "random"

    def __post_init__(self) -> None:
        require(
            0 < self.size <= min(self.height, self.width),
            f"CropsView.size must be positive and fit into {self.height} x {self.width}, got {shown(self.size)}.",
        )
        require(self.count > 0, f"CropsView.count must be positive, got {shown(self.count)}.")
        require_pixels("CropsView", self.height, self.width)
        require_pixels("CropsView", self.size, self.size, self.count)
        require_at_most("CropsView", _MOST_VIEWS, count=self.count)
        require(self.mode in get_args(CropMode), f"CropsView.mode must be 'random' or 'grid', got {shown(self.mode)}.")

    @property
    def view_count(self) -> int:
        """Number of crops."""
        return self.count

    def names(self, count: int) -> list[str]:
        """Numbered, also a single one."""
        return [f"{self.label} {number}" for number in range(1, count + 1)]


@dataclass(frozen=True, kw_only=True)
class SalientView(ViewSpec):
    """The middle of the image at its native size, where photographers put what matters (CLIP-UIQA).

    Attributes:
        size: Side of the square in pixels. An image whose short side is below it is enlarged to it first (bilinear).
    """

    kind: ClassVar[str] = "salient"
    label: ClassVar[str] = "middle, native size"
    size: int

    def __post_init__(self) -> None:
        require(self.size > 0, f"SalientView.size must be a positive number of pixels, got {shown(self.size)}.")
        require_pixels(type(self).__name__, self.size, self.size)


@dataclass(frozen=True, kw_only=True)
class FragmentsView(ViewSpec):
    """Small cells of native pixels from all over the image, put together to a square (CLIP-UIQA; Wu et al., FAST-VQA).

    The image is divided into a grid; from each of its fields a cell is cut at a place drawn from the metric's seed.

    Attributes:
        grid: Number of fields along each side.
        cell: Side of a cell in pixels. An image with fields smaller than a cell is enlarged first (bilinear).
    """

    kind: ClassVar[str] = "fragments"
    label: ClassVar[str] = "fragments"
    variations: ClassVar[tuple[str, ...]] = ("random_fragments",)
    grid: int
    cell: int

    def __post_init__(self) -> None:
        require(
            self.grid > 0 and self.cell > 0,
            f"FragmentsView.grid and cell must be positive, got {shown(self.grid)} and {shown(self.cell)}.",
        )
        require_pixels("FragmentsView", self.grid * self.cell, self.grid * self.cell)


@dataclass(frozen=True, kw_only=True)
class PatchesView(ViewSpec):
    """Square patches of the image at its native size, at a stride. Smaller images are enlarged first (bilinear).

    Attributes:
        size: Side of a patch in pixels.
        stride: Distance between neighbours, in pixels.
        most: Most patches of an image; None for all.
        selection: `"spread"`: every n-th, row by row, where there are more; `"top_left"`: the first one alone.
    """

    kind: ClassVar[str] = "patches"
    label: ClassVar[str] = "patch"
    size: int
    stride: int
    most: int | None = None
    selection: PatchSelection = "spread"

    def __post_init__(self) -> None:
        require(
            self.size > 0 and self.stride > 0 and (self.most is None or self.most > 0),
            f"PatchesView.size, stride and most must be positive, got {shown((self.size, self.stride, self.most))}.",
        )
        require_pixels("PatchesView", self.size, self.size, self.most or 1)
        require(
            self.most is not None or self.size <= _MOST_OVERLAP * self.stride,
            f"PatchesView.stride must be at least size / {_MOST_OVERLAP} where most is None, got {shown(self.stride)}.",
        )
        require(
            self.selection in get_args(PatchSelection),
            f"PatchesView.selection must be 'spread' or 'top_left', got {shown(self.selection)}.",
        )

    @property
    def view_count(self) -> None:
        """It depends on the size of the image."""


VIEWS.declare(CropsView, SalientView, FragmentsView, PatchesView)
