"""From images to verdicts, in bounded memory: what can be measured first, then what is learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.decode import decode_ahead
from perceptmetrics.images.given import single_images
from perceptmetrics.images.sources import NamedImage
from perceptmetrics.images.sources.named import name_of
from perceptmetrics.tripwire.exact import fault_of_numbers, fault_of_pixels
from perceptmetrics.tripwire.features import SMALLEST, features_of
from perceptmetrics.tripwire.head import load_head
from perceptmetrics.tripwire.statistics import as_bytes
from perceptmetrics.tripwire.verdicts import KINDS, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_images", "find_broken"]


def find_broken(images: Any, *, workers: int | None = None) -> list[Verdict]:
    """Find the images that a fault of a program has broken.

    Args:
        images: What `Metric.score` takes: a path, a folder, a pattern, an archive, bytes, a PIL image, an array, a
            tensor (3, H, W) or (N, 3, H, W), or an iterable of images. Tensors and arrays may hold NaN and values
            outside [0, 1]; that is a fault which is found.
        workers: Number of decoding threads; 0 for none, None to choose.

    Returns:
        The verdicts on broken images, in the order of the images; an empty list if all are healthy. An image that
        cannot be read is broken.

    Raises:
        InvalidImageError: `images` stands for no images.
        MissingExtraError: The package with the encoder's weights is not installed.

    Examples:
        >>> import torch
        >>> [(verdict.kind, verdict.name) for verdict in find_broken(torch.zeros(2, 3, 64, 64))]
        [('constant', 'image 0'), ('constant', 'image 1')]
    """
    return [verdict for verdict in check_images(images, workers=workers) if verdict.broken]


def check_images(images: Any, *, workers: int | None = None) -> Iterator[Verdict]:
    """Judge a stream of images; see `find_broken`.

    Yields:
        One verdict per image, in the order of the images.

    Raises:
        InvalidImageError: `images` stands for no images.
    """
    found = False
    sources = single_images(images)
    named = (
        source if isinstance(source, NamedImage) else NamedImage(name_of(source, index), source)
        for index, source in enumerate(sources)
    )
    for decoded in decode_ahead(named, workers):
        found, name = True, decoded.source.name
        if decoded.pixels is not None:
            yield _judge(name, decoded.pixels.detach().cpu().numpy())
        elif decoded.error is not None:
            yield _refused(name, decoded.source.source, decoded.error)
        else:
            yield _unreadable(name, "expected an image, got nothing (None)")
    if not found:
        raise InvalidImageError("There is nothing to check: the sequence of images is empty.")


def _refused(name: str, source: object, error: InvalidImageError) -> Verdict:
    """The verdict on an image that the library does not score: its numbers are at fault, or it cannot be read."""
    if isinstance(source, Tensor) and source.is_floating_point() and source.device.type != "meta":
        source = source.detach().cpu().float().numpy()
    finding = fault_of_numbers(source) if isinstance(source, np.ndarray) else None
    if finding is None:
        return _unreadable(name, str(error))
    kind, value, threshold, reason = finding
    return Verdict(name=name, broken=True, kind=kind, value=value, threshold=threshold, reason=reason)


def _unreadable(name: str, reason: str) -> Verdict:
    nothing = float("nan")
    return Verdict(name=name, broken=True, kind="unreadable", value=nothing, threshold=nothing, reason=reason)


def _judge(name: str, pixels: np.ndarray[Any, Any]) -> Verdict:
    image = as_bytes(pixels)
    finding = fault_of_pixels(image)
    if finding is not None:
        kind, value, threshold, reason = finding
        return Verdict(name=name, broken=True, kind=kind, value=value, threshold=threshold, reason=reason)
    if min(image.shape[1:]) < SMALLEST:
        words = f"no fault that can be measured; images below {SMALLEST} pixels a side are not judged further"
        return Verdict(name=name, broken=False, kind=None, value=float("nan"), threshold=float("nan"), reason=words)
    head = load_head()
    nearest, value, threshold = head.nearest(head(features_of(image)[None])[0])
    broken = value > threshold
    words = f"{'looks like' if broken else 'nearest to'} {nearest}: {KINDS[nearest]} (log-odds {value:.2f}, limit "
    words += f"{threshold:.2f})"
    return Verdict(
        name=name, broken=broken, kind=nearest if broken else None, value=value, threshold=threshold, reason=words
    )
