"""How an image is shown to the encoder: what every view answers, views of the whole image, and a metric's views."""

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
    "Interpolation",
    "PaddedView",
    "ResizedView",
    "ScaledView",
    "SquareView",
    "ViewSpec",
    "ViewsSpec",
    "WholeView",
    "total_views",
]

Interpolation = Literal["bilinear", "bicubic", "bilinear_aliased"]

_ANTIALIASED: tuple[Interpolation, ...] = ("bilinear", "bicubic")

_LONGEST_SIDE = 2**31 - 1
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


def _check_interpolation(
    view: SquareView | ResizedView | PaddedView | ScaledView | CentreCropView, allowed: tuple[str, ...]
) -> None:
    require(
        view.interpolation in allowed,
        f"{type(view).__name__}.interpolation must be one of {allowed}, got {shown(view.interpolation)}.",
    )


VIEWS.declare(WholeView, CentreCropView, SquareView, ResizedView, PaddedView, ScaledView)


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
