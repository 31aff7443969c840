"""What a metric and a suite of metrics have in common: images of any kind and size in, rows of scores out.

`forward` is differentiable, on whatever device the tensors are. `score` reads images from anywhere, checks their
values, batches them by size and runs the same forward pass without gradients.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import torch
from torch import Tensor

from perceptmetrics.errors import InvalidImageError, InvalidOptionError
from perceptmetrics.images.arrays import check_unit_range
from perceptmetrics.images.batch import DEFAULT_BATCH_SIZE, DEFAULT_MAX_PIXELS, batches_by_size
from perceptmetrics.images.decode import decode_ahead
from perceptmetrics.images.given import single_images
from perceptmetrics.images.load import ImageSource, check_tensor
from perceptmetrics.images.sources.named import name_of
from perceptmetrics.models.closed import Closed
from perceptmetrics.models.image_prompts import batched_prompts, no_prompt, prompt_for, wrong_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from perceptmetrics.images.options import DecodeOptions
    from perceptmetrics.images.sources import NamedImage

__all__ = ["MetricBase", "Prompts"]

T_co = TypeVar("T_co", covariant=True)

Prompts: TypeAlias = "str | Iterable[str] | Tensor"
"""One text for all images, the text of each, or text features of each, shape (N, D): see `Metric.encode_prompts`."""


class MetricBase(Closed, ABC, Generic[T_co]):
    """Scores images; `T_co` is the form in which scores are returned.

    It is frozen, and closed to a module that contains it, until its own `requires_grad_(True)` is called.

    Attributes:
        decoding: How it decodes the images that it scores; None for `images.options.current_decoding()`.
    """

    decoding: DecodeOptions | None = None

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where images go to be scored."""

    @property
    @abstractmethod
    def reads_prompts(self) -> bool:
        """Whether each image is compared with a text of its own: `metric(images, prompts)`."""

    @property
    @abstractmethod
    def score_columns(self) -> tuple[str, ...]:
        """Names of the K columns of scores: the metric's name, or `name.label` for each of its labels."""

    @abstractmethod
    def forward_batch(self, images: Tensor, prompts: Sequence[str] | Tensor | None = None) -> Tensor:
        """Score a batch.

        Args:
            images: Shape (N, 3, H, W), RGB; floating point in [0, 1], or uint8.
            prompts: For a metric that reads prompts, the text of each image or its features, shape (N, D); else None.

        Returns:
            Shape (N, K), float32; differentiable in floating-point `images`.
        """

    @abstractmethod
    def to_output(self, rows: Tensor) -> T_co:
        """Bring rows of scores, shape (N, K), into the form that users get."""

    def forward(
        self,
        images: Tensor | Sequence[Tensor] | ImageSource | Iterable[ImageSource],
        prompts: Prompts | None = None,
        *,
        validate: bool = False,
    ) -> T_co:
        """Score images, with gradients to the pixels when tensors are given.

        Unless `validate` is on, only type and shape of tensors are checked, so that no device is waited for; values
        far outside [0, 1] give meaningless scores. `score` always checks them.

        Args:
            images: Tensor of shape (N, 3, H, W) or (3, H, W), RGB in [0, 1], on the metric's device; or a list of
                tensors (3, H_i, W_i) of any sizes. Anything else goes to `score`.
            prompts: For a metric that compares each image with a text of its own (`reads_prompts`): the text of each
                image, one text for all, or text features of each, shape (N, D), which `Metric.encode_prompts` gives.
            validate: Whether to check that all values of tensors are finite and in [0, 1], which waits for the device.

        Returns:
            Shape (N,), or (N, K) for a metric with K labels; float32. A suite returns a dictionary of them.

        Raises:
            InvalidImageError: Not floating point, not three channels, or too small for the encoder; with `validate`
                also NaN, infinite, or not in [0, 1].
            InvalidOptionError: Prompts are missing, too few or too many, or the metric reads none.
        """
        if isinstance(images, Tensor):
            self.check_images(images, values=validate)
            batch = images if images.ndim == 4 else images[None]
            return self.to_output(self.forward_batch(batch, self._prompts_of(prompts, len(batch))))
        if isinstance(images, (list, tuple)) and images and all(isinstance(image, Tensor) for image in images):
            return self.to_output(self._forward_list(images, self._prompts_of(prompts, len(images)), validate))
        return self.score(images, prompts)

    def check_images(self, images: Tensor, dimensions: tuple[int, ...] = (3, 4), *, values: bool = False) -> None:
        """Check a tensor that is to be scored.

        Args:
            images: Should have shape (3, H, W) or (N, 3, H, W).
            dimensions: Allowed numbers of dimensions.
            values: Whether to check the values too, which waits for the device.

        Raises:
            InvalidImageError: It is no tensor of images.
        """
        check_tensor(images, dimensions)
        if (images.device.type == "meta") != (self.device.type == "meta"):
            raise InvalidImageError(
                f"The tensor is on the device {str(images.device)!r} and the metric on {str(self.device)!r}. On 'meta' "
                "there are neither pixels nor weights: make both on a device with memory, such as 'cpu'."
            )
        if values:
            check_unit_range(images)

    def score(
        self,
        images: ImageSource | Iterable[ImageSource],
        prompts: Prompts | None = None,
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        workers: int | None = None,
    ) -> T_co:
        """Score images from anywhere, without gradients.

        Args:
            images: A path (file, folder searched to any depth, pattern such as `"photos/*.jpg"`, tar or Parquet file
                of images; see `sources.find_parts`), encoded bytes, a PIL image, an array (H, W[, C]), a tensor
                (3, H, W) or (N, 3, H, W) in [0, 1], or an iterable of single images of any sizes.
            prompts: For a metric that compares each image with a text of its own: the text of each image in their
                order, or one text for all. None for the texts that the images come with, as those of a table do.
            batch_size: Most images of equal size that go through the encoder together.
            max_pixels: Most pixels that go through it together; a larger image goes alone.
            workers: Number of decoding threads; 0 for none, None to choose.

        Returns:
            Shape (N,), or (N, K) for a metric with K labels; float32, on the CPU, in the order of the images
            (those of a folder in alphabetical order). A suite returns a dictionary of them.

        Raises:
            InvalidImageError: An image cannot be read, or its values are not in [0, 1].
            InvalidOptionError: Prompts are missing, too few or too many, or the metric reads none.
        """
        sources = single_images(images)
        return self.to_output(self._score_rows(sources, prompts, batch_size, max_pixels, workers))

    def score_table(
        self,
        images: ImageSource | Iterable[ImageSource],
        prompts: Prompts | None = None,
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        workers: int | None = None,
    ) -> list[dict[str, str | float]]:
        """Score images as `score` does, and return the names of the images with the scores.

        Args:
            images: See `score`.
            prompts: See `score`.
            batch_size: See `score`.
            max_pixels: See `score`.
            workers: See `score`.

        Returns:
            A row for each image, in their order: its name as `"image"` (the path of a file, `container/key`, or
            `image` and its index for what has no name), and its scores by `score_columns`. `pandas.DataFrame(rows)`
            makes a table of them.

        Raises:
            InvalidImageError: See `score`.
            InvalidOptionError: See `score`.
        """
        names: list[str] = []

        def named() -> Iterator[ImageSource | NamedImage]:
            for index, source in enumerate(single_images(images)):
                names.append(name_of(source, index))
                yield source

        rows = self._score_rows(named(), prompts, batch_size, max_pixels, workers).tolist()
        return [
            {"image": name, **dict(zip(self.score_columns, row, strict=True))}
            for name, row in zip(names, rows, strict=True)
        ]

    def _score_rows(
        self,
        sources: Iterable[ImageSource | NamedImage],
        prompts: Prompts | None,
        batch_size: int,
        max_pixels: int,
        workers: int | None,
    ) -> Tensor:
        """Score single images: shape (N, K)."""
        scores: dict[int, Tensor] = {}
        texts: dict[int, str | Tensor] = {}
        given = self._given_prompts(prompts)

        def pixels() -> Iterator[tuple[int, Tensor]]:
            for index, decoded in enumerate(decode_ahead(sources, workers, self.decoding)):
                if decoded.pixels is None:
                    raise InvalidImageError(f"Image {index}: {decoded.error}") from decoded.error
                if self.reads_prompts:
                    texts[index] = prompt_for(index, given, decoded.source)
                yield index, decoded.pixels

        for batch in batches_by_size(pixels(), batch_size=batch_size, max_pixels=max_pixels):
            of_batch = batched_prompts([texts.pop(index) for index in batch.indices]) if self.reads_prompts else None
            with _naming(batch.indices):
                scores.update(zip(batch.indices, self.score_batch(batch.images, of_batch), strict=True))
        if not scores:
            raise InvalidImageError("There is nothing to score: the sequence of images is empty.")
        if given is not None and not isinstance(given, str) and len(given) != len(scores):
            raise wrong_number(len(given), len(scores))
        return torch.stack([scores[index] for index in range(len(scores))])

    @torch.inference_mode()
    def score_batch(self, images: Tensor, prompts: Sequence[str] | Tensor | None = None) -> Tensor:
        """Score a checked batch without gradients.

        Args:
            images: Shape (N, 3, H, W), on the CPU, float32 in [0, 1] or uint8.
            prompts: See `forward_batch`.

        Returns:
            Shape (N, K), float32, on the CPU; `to_output` brings it into the form that users get.

        Raises:
            InvalidOptionError: The metric has no weights, since it was moved to the device `"meta"`.
        """
        if self.device.type == "meta":
            raise InvalidOptionError("The metric is on the device 'meta' and has no weights. Make it again.")
        with torch.autocast(self.device.type, enabled=False):  # a score does not depend on who asks for it
            return self.forward_batch(images, prompts).cpu()

    def _forward_list(self, images: Sequence[Any], prompts: Sequence[str] | Tensor | None, validate: bool) -> Tensor:
        by_size: dict[tuple[torch.Size, torch.dtype], list[int]] = {}
        for index, image in enumerate(images):
            with _naming([index]):
                self.check_images(image, dimensions=(3,), values=validate)
            by_size.setdefault((image.shape, image.dtype), []).append(index)
        rows: dict[int, Tensor] = {}
        for indices in by_size.values():
            of_batch = None if prompts is None else batched_prompts([prompts[index] for index in indices])
            with _naming(indices):
                batch = self.forward_batch(torch.stack([images[index] for index in indices]), of_batch)
            rows.update(zip(indices, batch, strict=True))
        return torch.stack([rows[index] for index in range(len(images))])

    def _given_prompts(self, prompts: Prompts | None) -> str | list[str] | Tensor | None:
        """Prompts as they were given, checked for whether the metric reads any."""
        if prompts is None:
            return None
        if not self.reads_prompts:
            raise InvalidOptionError("This metric compares images with no prompts of their own. Leave prompts out.")
        return prompts if isinstance(prompts, (str, Tensor)) else list(prompts)

    def _prompts_of(self, prompts: Prompts | None, count: int) -> list[str] | Tensor | None:
        """The text of each of `count` images; None for a metric that reads none."""
        given = self._given_prompts(prompts)
        if not self.reads_prompts:
            return None
        if given is None:
            raise no_prompt("the images")
        texts = [given] * count if isinstance(given, str) else given
        if len(texts) != count:
            raise wrong_number(len(texts), count)
        return texts


@contextlib.contextmanager
def _naming(indices: Sequence[int]) -> Iterator[None]:
    """Say which images of a list an error is about."""
    try:
        yield
    except InvalidImageError as error:
        raise InvalidImageError(f"Image {', '.join(map(str, indices))}: {error}") from error
