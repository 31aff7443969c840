"""The road from images to scores.

    images --Views--> groups of pixels --Backbone--> features --Head--> raw outputs --mean, score map--> scores

`Metric.forward` is that road and nothing else: differentiable, on whatever device the tensors are. `Metric.score`
reads images from anywhere, checks their values, batches them and calls `forward` without gradients.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from perceptmetrics.batching import DEFAULT_BATCH_SIZE, DEFAULT_MAX_PIXELS, batches_by_size
from perceptmetrics.decoding import decode_ahead
from perceptmetrics.errors import InvalidImageError
from perceptmetrics.files import find_images
from perceptmetrics.functional.score import logistic
from perceptmetrics.io import ImageSource, check_tensor

if TYPE_CHECKING:
    from perceptmetrics.backbones import Backbone
    from perceptmetrics.spec import MetricSpec
    from perceptmetrics.views import Views

__all__ = ["Metric"]


class Metric(nn.Module):
    """A no-reference metric of how people perceive images.

    Made by `create_metric`. Its parameters are frozen: it gives gradients to pixels, none to weights.

    Args:
        spec: What the metric is.
        views: How an image is shown to the encoder.
        backbone: The encoder.
        head: From features to raw outputs.

    Attributes:
        spec: The specification, with range, direction, labels, paper and licence.

    Example:
        >>> import torch, perceptmetrics
        >>> metric = perceptmetrics.create_metric("lite_iqa")
        >>> metric(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2])
    """

    def __init__(self, spec: MetricSpec, views: Views, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.spec = spec
        self.views = views
        self.backbone = backbone
        self.head = head
        self.requires_grad_(False)
        self.eval()

    @property
    def metric_name(self) -> str:
        """Registered name."""
        return self.spec.name

    @property
    def metric_mode(self) -> str:
        """`"NR"`: no reference image is needed."""
        return "NR"

    @property
    def lower_better(self) -> bool:
        """Whether a lower score is better."""
        return self.spec.lower_better

    @property
    def score_range(self) -> tuple[float | None, float | None]:
        """Lowest and highest possible score; None where it is unbounded."""
        return self.spec.score.lower, self.spec.score.upper

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the K outputs; empty for a metric with a single score."""
        return self.spec.score.labels

    @property
    def device(self) -> torch.device:
        """Where the encoder lives."""
        return next(self.backbone.parameters()).device

    def forward(self, images: Tensor | Sequence[Tensor] | ImageSource | Iterable[ImageSource]) -> Tensor:
        """Score images, with gradients to the pixels when tensors are given.

        Only type and shape of tensors are checked, so that no device is waited for; values far outside
        [0, 1] give meaningless scores. `score` checks them.

        Args:
            images: Tensor of shape (N, 3, H, W) or (3, H, W), RGB in [0, 1], on the metric's device; or a list of
                tensors (3, H_i, W_i) of any sizes. Anything else goes to `score`.

        Returns:
            Shape (N,), or (N, K) for a metric with K labels; float32.

        Raises:
            InvalidImageError: Not floating point, not three channels, or too small for the encoder.
        """
        if isinstance(images, Tensor):
            check_tensor(images)
            return self._forward_batch(images if images.ndim == 4 else images[None])
        if isinstance(images, (list, tuple)) and images and all(isinstance(image, Tensor) for image in images):
            return self._forward_list(images)
        return self.score(images)

    def score(
        self,
        images: ImageSource | Iterable[ImageSource],
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        workers: int | None = None,
    ) -> Tensor:
        """Score images from anywhere, without gradients.

        Args:
            images: A path (file, folder searched to any depth, or pattern such as `"photos/*.jpg"`), encoded
                bytes, a PIL image, an array (H, W[, C]), a tensor (3, H, W) or (N, 3, H, W) in [0, 1], or an iterable
                of single images of any sizes.
            batch_size: Most images of equal size that go through the encoder together.
            max_pixels: Most pixels that go through it together; a larger image goes alone.
            workers: Number of decoding threads; 0 for none, None to choose.

        Returns:
            Shape (N,), or (N, K) for a metric with K labels; float32, on the CPU, in the order of the images
            (those of a folder in alphabetical order).

        Raises:
            InvalidImageError: An image cannot be read, or its values are not in [0, 1].
        """
        scores: dict[int, Tensor] = {}
        pixels = _pixels_or_raise(_single_images(images), workers)
        for batch in batches_by_size(pixels, batch_size=batch_size, max_pixels=max_pixels):
            with _naming(batch.places):
                scores.update(zip(batch.places, self.score_batch(batch.images), strict=True))
        if not scores:
            raise InvalidImageError("There is nothing to score: the sequence of images is empty.")
        return torch.stack([scores[place] for place in range(len(scores))])

    @torch.inference_mode()
    def score_batch(self, images: Tensor) -> Tensor:
        """Score a checked batch without gradients, moving it to the metric's device and the scores to the CPU.

        Args:
            images: Shape (N, 3, H, W), float32 in [0, 1].

        Returns:
            Shape (N,) or (N, K), float32, on the CPU.
        """
        with torch.autocast(self.device.type, enabled=False):  # a score does not depend on who asks for it
            return self._forward_batch(images.to(self.device)).cpu()

    def train(self, mode: bool = True) -> Metric:
        """Switch to training mode, except for the frozen parts, which stay in eval mode."""
        super().train(mode)
        for part in self.children():
            if not any(parameter.requires_grad for parameter in part.parameters()):
                part.eval()
        return self

    def _forward_batch(self, images: Tensor) -> Tensor:
        dtype = next(self.backbone.parameters()).dtype
        outputs = [
            self.head(self.backbone(group).float()).unflatten(0, (images.shape[0], -1))
            for group in self.views(images.to(dtype))
        ]
        raw = torch.cat(outputs, dim=1).mean(dim=1).float()
        mapping = self.spec.score
        scores = logistic(raw, mapping.scale, mapping.shift) if mapping.map == "logistic" else raw
        return scores if self.labels else scores[:, 0]

    def _forward_list(self, images: Sequence[Any]) -> Tensor:
        by_size: dict[tuple[torch.Size, torch.dtype], list[int]] = {}
        for place, image in enumerate(images):
            with _naming([place]):
                check_tensor(image, dimensions=(3,))
            by_size.setdefault((image.shape, image.dtype), []).append(place)
        scores: dict[int, Tensor] = {}
        for places in by_size.values():
            with _naming(places):
                batch = self._forward_batch(torch.stack([images[place] for place in places]))
            scores.update(zip(places, batch, strict=True))
        return torch.stack([scores[place] for place in range(len(images))])


@contextlib.contextmanager
def _naming(places: Sequence[int]) -> Iterator[None]:
    """Say which images of a list an error is about."""
    try:
        yield
    except InvalidImageError as error:
        raise InvalidImageError(f"Image {', '.join(map(str, places))}: {error}") from error


def _single_images(images: Any) -> Iterable[ImageSource]:
    if isinstance(images, (str, os.PathLike)):
        return find_images([images])
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


def _pixels_or_raise(sources: Iterable[ImageSource], workers: int | None) -> Iterator[tuple[int, Tensor]]:
    for place, decoded in enumerate(decode_ahead(sources, workers)):
        if decoded.pixels is None:
            raise InvalidImageError(f"Image {place}: {decoded.error}") from decoded.error
        yield place, decoded.pixels
