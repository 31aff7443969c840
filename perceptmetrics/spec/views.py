"""How an image is shown to the encoder."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from perceptmetrics._util.text import shown
from perceptmetrics.spec.checks import require, require_at_most, require_pixels, require_rgb
from perceptmetrics.spec.kinds import Family, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "VIEWS",
    "CentreCropView",
    "CropMode",
    "CropsView",
    "FragmentsView",
    "Interpolation",
    "PaddedView",
    "PatchSelection",
    "PatchesView",
    "ResizedView",
    "SalientView",
    "ScaledView",
    "SquareView",
    "ViewSpec",
    "ViewsSpec",
    "WholeView",
    "total_views",
]

CropMode = Literal["random", "grid"]
Interpolation = Literal["bilinear", "bicubic", "bilinear_aliased"]
PatchSelection = Literal["spread", "top_left"]

_MOST_OVERLAP = 8  # patches along a side that show the same pixel
_ANTIALIASED: tuple[Interpolation, ...] = ("bilinear", "bicubic")

_LONGEST_SIDE = 2**31 - 1
_MOST_VIEWS = 10_000  # of one kind, of an image
_MOST_KINDS = 100  # of views of a metric


class ViewSpec(Kind, ABC):
    """How one part of an image, or several, are shown to the encoder.

    Attributes:
        label: What people call what is shown.
        variations: What training may vary in it: names of fields of a recipe's `augmentation`.
    """

    label: ClassVar[str]
    variations: ClassVar[tuple[str, ...]] = ()

    @property
    def view_count(self) -> int | None:
        """Number of views of an image; None when it depends on the size of the image."""
        return 1

    def names(self, count: int) -> list[str]:
        """What people call each of the `count` views of an image."""
        return [self.label] if self.view_count == 1 else [f"{self.label} {number}" for number in range(1, count + 1)]


VIEWS: Family[ViewSpec] = Family("view", ViewSpec, "perceptmetrics.views")


@dataclass(frozen=True, kw_only=True)
class WholeView(ViewSpec):
    """The whole image at its native size.

    Attributes:
        max_long_side: Images whose longer side is above this many pixels are shrunk to it (bilinear,
            antialiased, aspect ratio kept). None leaves every size as it is. Nothing is enlarged.
    """

    kind: ClassVar[str] = "whole"
    label: ClassVar[str] = "whole image"
    variations: ClassVar[tuple[str, ...]] = ("random_crop",)
    max_long_side: int | None = None

    def __post_init__(self) -> None:
        require(
            self.max_long_side is None or self.max_long_side > 0,
            f"WholeView.max_long_side must be a positive number of pixels or None, got {shown(self.max_long_side)}.",
        )
        require_at_most("WholeView", _LONGEST_SIDE, max_long_side=self.max_long_side)


@dataclass(frozen=True, kw_only=True)
class CentreCropView(ViewSpec):
    """The middle of the image, its short side resized first (antialiased, aspect ratio kept).

    Attributes:
        size: Side of the square in pixels; the short side is resized to it, up or down.
        interpolation: `"bilinear"`, or `"bicubic"` as CLIP has it.
    """

    kind: ClassVar[str] = "centre_crop"
    label: ClassVar[str] = "middle"
    variations: ClassVar[tuple[str, ...]] = ("random_resized_crop",)
    size: int
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        require(self.size > 0, f"CentreCropView.size must be a positive number of pixels, got {shown(self.size)}.")
        require_pixels(type(self).__name__, self.size, self.size)
        _check_interpolation(self, _ANTIALIASED)


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
class SquareView(ViewSpec):
    """The whole image resized to a square, whatever its aspect ratio.

    Attributes:
        size: Side of the square in pixels.
        interpolation: `"bilinear"` and `"bicubic"` are antialiased, `"bilinear_aliased"` is not.
    """

    kind: ClassVar[str] = "square"
    label: ClassVar[str] = "whole image, squeezed"
    size: int
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        require(self.size > 0, f"SquareView.size must be a positive number of pixels, got {shown(self.size)}.")
        require_pixels("SquareView", self.size, self.size)
        _check_interpolation(self, get_args(Interpolation))


@dataclass(frozen=True, kw_only=True)
class ResizedView(ViewSpec):
    """The whole image, its short side resized (antialiased, aspect ratio kept).

    Attributes:
        size: Short side in pixels; images are resized to it, up or down.
        interpolation: `"bicubic"` as CLIP-IQA has it for SPAQ, or `"bilinear"`.
    """

    kind: ClassVar[str] = "resized"
    label: ClassVar[str] = "whole image, resized"
    size: int
    interpolation: Interpolation = "bicubic"

    def __post_init__(self) -> None:
        require(self.size > 0, f"ResizedView.size must be a positive number of pixels, got {shown(self.size)}.")
        require_pixels("ResizedView", self.size, self.size)
        _check_interpolation(self, _ANTIALIASED)


@dataclass(frozen=True, kw_only=True)
class PaddedView(ViewSpec):
    """The whole image, its long side resized to that of a square, which is filled up with black.

    It is resized in floating point (antialiased, aspect ratio kept), whatever type its pixels have.

    Attributes:
        size: Side of the square in pixels; the long side is resized to it, up or down.
        interpolation: `"bilinear"` or `"bicubic"`.
    """

    kind: ClassVar[str] = "padded"
    label: ClassVar[str] = "whole image, padded"
    size: int
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        require(self.size > 0, f"PaddedView.size must be a positive number of pixels, got {shown(self.size)}.")
        require_pixels("PaddedView", self.size, self.size)
        _check_interpolation(self, _ANTIALIASED)


@dataclass(frozen=True, kw_only=True)
class ScaledView(ViewSpec):
    """The whole image at a fraction of its size.

    Attributes:
        divisor: Height and width are divided by it and rounded down.
        interpolation: `"bilinear"` and `"bicubic"` are antialiased, `"bilinear_aliased"` is not.
    """

    kind: ClassVar[str] = "scaled"
    label: ClassVar[str] = "whole image, smaller"
    divisor: int
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        require(self.divisor > 1, f"ScaledView.divisor must be a whole number above 1, got {shown(self.divisor)}.")
        _check_interpolation(self, get_args(Interpolation))


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


def _check_interpolation(
    view: SquareView | ResizedView | PaddedView | ScaledView | CentreCropView, allowed: tuple[str, ...]
) -> None:
    require(
        view.interpolation in allowed,
        f"{type(view).__name__}.interpolation must be one of {allowed}, got {shown(view.interpolation)}.",
    )


VIEWS.declare(
    WholeView,
    CentreCropView,
    CropsView,
    SalientView,
    FragmentsView,
    SquareView,
    ResizedView,
    PaddedView,
    ScaledView,
    PatchesView,
)


def total_views(views: Iterable[ViewSpec]) -> int | None:
    """Number of views of an image, over several kinds; None when it depends on the size of the image."""
    counts = [view.view_count for view in views]
    return None if None in counts else sum(count for count in counts if count is not None)


@dataclass(frozen=True, kw_only=True)
class ViewsSpec:
    """How an image is shown to the encoder.

    Attributes:
        views: The views of one image; `PoolSpec` says how their outputs become those of the image.
        mean: Per-channel mean that is subtracted from RGB in [0, 1].
        std: Per-channel standard deviation by which the difference is divided.
    """

    views: tuple[ViewSpec, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        require(len(self.views) > 0, "ViewsSpec.views needs at least one view.")
        require(
            len(self.views) <= _MOST_KINDS,
            f"ViewsSpec.views may state at most {_MOST_KINDS} kinds of views, got {len(self.views):,}.",
        )
        require_rgb("ViewsSpec", mean=self.mean, std=self.std)
        require(all(value > 0 for value in self.std), f"ViewsSpec.std must be positive, got {shown(self.std)}.")

    @property
    def view_count(self) -> int | None:
        """Number of views of an image, over all kinds; None when it depends on the size of the image."""
        return total_views(self.views)

    @property
    def only(self) -> ViewSpec | None:
        """The view of a metric that has a single kind of view; None for several."""
        return self.views[0] if len(self.views) == 1 else None
