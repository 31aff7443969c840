"""What a metric and a suite of metrics have in common: images of any kind and size in, rows of scores out.

`forward` is differentiable, on whatever device the tensors are. `score` reads images from anywhere, checks their
values, batches them by size and calls the same road without gradients.
"""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.batch import DEFAULT_BATCH_SIZE, DEFAULT_MAX_PIXELS, batches_by_size
from perceptmetrics.images.decode import decode_ahead
from perceptmetrics.images.find import is_file_pattern
from perceptmetrics.images.load import ImageSource, check_tensor
from perceptmetrics.images.sources import NamedImage, find_sources, is_container

__all__ = ["Scorer", "is_single_image", "single_images"]

T_co = TypeVar("T_co", covariant=True)


class Scorer(nn.Module, ABC, Generic[T_co]):
    """Scores images; `T_co` is the form in which scores are returned."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where images go to be scored."""

    @abstractmethod
    def rows(self, images: Tensor) -> Tensor:
        """Score a batch.

        Args:
            images: Shape (N, 3, H, W), RGB; floating point in [0, 1], or uint8.

        Returns:
            Shape (N, K), float32; differentiable in floating-point `images`.
        """

    @abstractmethod
    def present(self, rows: Tensor) -> T_co:
        """Bring rows of scores, shape (N, K), into the form that users get."""

    def forward(self, images: Tensor | Sequence[Tensor] | ImageSource | Iterable[ImageSource]) -> T_co:
        """Score images, with gradients to the pixels when tensors are given.

        Only type and shape of tensors are checked, so that no device is waited for; values far outside
        [0, 1] give meaningless scores. `score` checks them.

        Args:
            images: Tensor of shape (N, 3, H, W) or (3, H, W), RGB in [0, 1], on the metric's device; or a list of
                tensors (3, H_i, W_i) of any sizes. Anything else goes to `score`.

        Returns:
            Shape (N,), or (N, K) for a metric with K labels; float32. A suite returns a dictionary of them.

        Raises:
            InvalidImageError: Not floating point, not three channels, or too small for the encoder.
        """
        if isinstance(images, Tensor):
            check_tensor(images)
            return self.present(self.rows(images if images.ndim == 4 else images[None]))
        if isinstance(images, (list, tuple)) and images and all(isinstance(image, Tensor) for image in images):
            return self.present(self._rows_of_list(images))
        return self.score(images)

    def score(
        self,
        images: ImageSource | Iterable[ImageSource],
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        workers: int | None = None,
    ) -> T_co:
        """Score images from anywhere, without gradients.

        Args:
            images: A path or an address such as `"s3://bucket/photos"` (file, folder searched to any depth, pattern
                such as `"photos/*.jpg"`, tar or Parquet file of images; see `sources.find_parts`), encoded bytes, a
                PIL image, an array (H, W[, C]), a tensor (3, H, W) or (N, 3, H, W) in [0, 1], or an iterable of single
                images of any sizes.
            batch_size: Most images of equal size that go through the encoder together.
            max_pixels: Most pixels that go through it together; a larger image goes alone.
            workers: Number of decoding threads; 0 for none, None to choose.

        Returns:
            Shape (N,), or (N, K) for a metric with K labels; float32, on the CPU, in the order of the images
            (those of a folder in alphabetical order). A suite returns a dictionary of them.

        Raises:
            InvalidImageError: An image cannot be read, or its values are not in [0, 1].
            MissingExtraError: What an address or a Parquet file needs is not installed.
        """
        scores: dict[int, Tensor] = {}
        pixels = _pixels_or_raise(single_images(images), workers)
        for batch in batches_by_size(pixels, batch_size=batch_size, max_pixels=max_pixels):
            with _naming(batch.indices):
                scores.update(zip(batch.indices, self.score_batch(batch.images), strict=True))
        if not scores:
            raise InvalidImageError("There is nothing to score: the sequence of images is empty.")
        return self.present(torch.stack([scores[place] for place in range(len(scores))]))

    @torch.inference_mode()
    def score_batch(self, images: Tensor) -> Tensor:
        """Score a checked batch without gradients.

        Args:
            images: Shape (N, 3, H, W), on the CPU, float32 in [0, 1] or uint8.

        Returns:
            Shape (N, K), float32, on the CPU; `present` brings it into the form that users get.
        """
        with torch.autocast(self.device.type, enabled=False):  # a score does not depend on who asks for it
            return self.rows(images).cpu()

    def _rows_of_list(self, images: Sequence[Any]) -> Tensor:
        by_size: dict[tuple[torch.Size, torch.dtype], list[int]] = {}
        for place, image in enumerate(images):
            with _naming([place]):
                check_tensor(image, dimensions=(3,))
            by_size.setdefault((image.shape, image.dtype), []).append(place)
        rows: dict[int, Tensor] = {}
        for places in by_size.values():
            with _naming(places):
                batch = self.rows(torch.stack([images[place] for place in places]))
            rows.update(zip(places, batch, strict=True))
        return torch.stack([rows[place] for place in range(len(images))])


@contextlib.contextmanager
def _naming(places: Sequence[int]) -> Iterator[None]:
    """Say which images of a list an error is about."""
    try:
        yield
    except InvalidImageError as error:
        raise InvalidImageError(f"Image {', '.join(map(str, places))}: {error}") from error


def is_single_image(images: object) -> bool:
    """Whether something stands for one image rather than for several."""
    if isinstance(images, (str, os.PathLike)):
        return not (Path(images).is_dir() or is_file_pattern(os.fspath(images)) or is_container(images))
    if isinstance(images, (Tensor, np.ndarray)):
        return images.ndim < 4
    return isinstance(images, (bytes, bytearray, memoryview, Image.Image)) or hasattr(images, "read")


def single_images(images: Any) -> Iterable[ImageSource | NamedImage]:
    """Take whatever stands for images, see `Scorer.score`, as single ones.

    Raises:
        InvalidImageError: It stands for none.
    """
    if isinstance(images, (str, os.PathLike)):
        return find_sources([images])
    if isinstance(images, (bytes, bytearray, memoryview, Image.Image)) or hasattr(images, "read"):
        return [images]
    if isinstance(images, Tensor):
        check_tensor(images)
        return images if images.ndim == 4 else [images]
    if isinstance(images, np.ndarray):
        return images if images.ndim == 4 else [images]
    if isinstance(images, Iterable) and not isinstance(images, Mapping):
        return images
    raise InvalidImageError(
        "Expected an image (path, bytes, PIL image, array, tensor), a folder, a pattern or an iterable of images, "
        f"got {type(images).__name__}."
    )


def _pixels_or_raise(sources: Iterable[ImageSource | NamedImage], workers: int | None) -> Iterator[tuple[int, Tensor]]:
    for place, decoded in enumerate(decode_ahead(sources, workers)):
        if decoded.pixels is None:
            raise InvalidImageError(f"Image {place}: {decoded.error}") from decoded.error
        yield place, decoded.pixels
