"""What users give as images: a single one, or several in whatever form, taken one by one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from torch import Tensor

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.find import is_file_pattern
from perceptmetrics.images.load import check_tensor
from perceptmetrics.images.sources import find_sources, is_container

if TYPE_CHECKING:
    from perceptmetrics.images.load import ImageSource
    from perceptmetrics.images.sources import NamedImage

__all__ = ["is_single_image", "single_images"]


def is_single_image(images: object) -> bool:
    """Whether something stands for one image rather than for several."""
    if isinstance(images, (str, os.PathLike)):
        return not (Path(images).is_dir() or is_file_pattern(os.fspath(images)) or is_container(images))
    if isinstance(images, (Tensor, np.ndarray)):
        return images.ndim < 4
    return isinstance(images, (bytes, bytearray, memoryview, Image.Image)) or hasattr(images, "read")


def single_images(images: Any) -> Iterable[ImageSource | NamedImage]:
    """Take whatever stands for images, see `Metric.score`, as single ones.

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
    if isinstance(images, np.ndarray):  # one of objects or strings is a column of a table
        return images if images.ndim == 4 or images.dtype.kind in "OSU" else [images]
    if isinstance(images, Iterable) and not isinstance(images, Mapping):
        return images
    raise InvalidImageError(
        "Expected an image (path, bytes, PIL image, array, tensor), a folder, a pattern or an iterable of images, "
        f"got {type(images).__name__}."
    )
