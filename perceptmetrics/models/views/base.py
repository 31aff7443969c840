"""What every view promises: a pure function of the pixels.

It knows pixels and its own specification; it does not know encoders, metrics or recipes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from perceptmetrics.functional.image import normalise
from perceptmetrics.images.load import to_unit_float
from perceptmetrics.spec.views import VIEWS, ViewSpec

if TYPE_CHECKING:
    import numpy as np

    from perceptmetrics.models.metric_options import MetricOption

__all__ = ["Normalization", "Rectangle", "Variation", "View", "Window", "cut_square", "register_view", "size_of"]

S = TypeVar("S", bound=ViewSpec)


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
        in_image: Where this lies in the image, as fractions of its height and width.
    """

    in_view: Rectangle
    in_image: Rectangle


class Variation(NamedTuple):
    """How a view may vary in training.

    Attributes:
        random_crop: Side of a random crop of the whole image, in pixels; None for the whole image.
        random_resized_crop: Whether a random part of the image is resized in place of its middle.
        random_fragments: Whether the cells of fragments are cut at other offsets than those of scoring.
    """

    random_crop: int | None = None
    random_resized_crop: bool = False
    random_fragments: bool = False


class Normalization(nn.Module):
    """Pixels as the encoder takes them: float on the metric's device, mean subtracted, divided by std.

    Args:
        mean: For each channel.
        std: For each channel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)

    def to_float(self, pixels: Tensor) -> Tensor:
        """Pixels in [0, 1] on the metric's device, not normalised."""
        return to_unit_float(pixels.to(self.mean.device))

    if TYPE_CHECKING:  # what calling a module returns

        def __call__(self, pixels: Tensor) -> Tensor:
            """See `forward`."""

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalise pixels, shape (..., 3, h, w): floating point in [0, 1], or uint8 in 0..255."""
        pixels = self.to_float(pixels)
        return normalise(pixels, self.mean.to(pixels.dtype), self.std.to(pixels.dtype))


class View(ABC, Generic[S]):
    """One kind of view, made for a specification.

    Laws: the views of an image depend on the image, the specification and the seed alone, not on the batch or the
    image's index in it; floating-point pixels keep their gradients.

    Args:
        spec: The specification.
        seed: Seed of whatever is drawn.

    Attributes:
        spec_class: Class of the specifications that the view is made for.
        draws_one: Whether training shows one of the views of an image, drawn at random, where scoring takes all.
    """

    spec_class: ClassVar[type[ViewSpec]]
    draws_one: ClassVar[bool] = False

    def __init__(self, spec: S, seed: int) -> None:
        self.spec, self.seed = spec, seed

    @abstractmethod
    def show(self, images: Tensor, normalization: Normalization) -> Tensor:
        """Make the views of a batch.

        Args:
            images: Shape (N, 3, H, W): floating point in [0, 1], or uint8 in 0..255 on the CPU, which is resized as
                Pillow does it.
            normalization: Turns pixels into what the encoder takes.

        Returns:
            Shape (N * V, 3, h, w), normalised, the V views of an image next to each other.
        """

    @abstractmethod
    def windows(self, height: int, width: int) -> list[list[Window]]:
        """Which parts of an image of a size, in pixels, each of its views shows: for each view, its windows."""

    @classmethod
    def options(cls) -> tuple[MetricOption, ...]:
        """Options of `create_metric` for a metric with such a view."""
        return ()

    def prepare(self, pixels: Tensor) -> Tensor:
        """What of an image, shape (3, H, W), is the same at each showing in training and worth keeping."""
        return pixels

    def draw(
        self, pixels: Tensor, normalization: Normalization, variation: Variation, rng: np.random.Generator
    ) -> Tensor:
        """Make what training shows of an image once.

        Args:
            pixels: What `prepare` returned, shape (3, H, W), perhaps mirrored.
            normalization: Turns pixels into what the encoder takes.
            variation: How the view may vary.
            rng: What is drawn is drawn from it.

        Returns:
            Shape (V, 3, h, w), normalised. Nothing is drawn by default: the views are those of scoring.
        """
        return self.show(pixels[None], normalization)


def register_view(view: type[View[S]], *, replace: bool = False) -> None:
    """Make a kind of view known, to specifications in code and in JSON.

    Args:
        view: A subclass of `View` whose `spec_class` is a frozen dataclass derived from `ViewSpec`.
        replace: Whether a kind of the same name may be replaced.

    Raises:
        InvalidSpecError: It is no such class, or the kind is registered already.
    """
    VIEWS.register(view, replace=replace)


def size_of(image: Tensor) -> tuple[int, int]:
    """Height and width."""
    return image.shape[-2], image.shape[-1]


def cut_square(in_view: tuple[int, int], corner: tuple[int, int], side: int, size: tuple[int, int]) -> Window:
    """The window of a square that is cut out of an image resized to `size`, at a corner (top, left)."""
    height, width = size
    top, left = corner
    return Window(Rectangle(*in_view, side, side), Rectangle(top / height, left / width, side / height, side / width))
