"""Check the file that a program is written to, and compare the program with its metric."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from perceptmetrics._util.files import expand_home
from perceptmetrics.errors import InvalidOptionError, WeightsError
from perceptmetrics.factory.folder import cloudy_images

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from perceptmetrics.models.metric import Metric

__all__ = ["TOLERANCES", "CheckedProgram", "check_file", "check_program", "checked_shapes"]

# Largest allowed difference of a score, as a fraction of the range of the scores.
TOLERANCES = {"float32": 1e-4, "float16": 1e-2, "int8": 1e-1}

# Batch, height and width: landscape and portrait, odd and even, larger and smaller than the sizes metrics resize to.
_SHAPES = ((2, 240, 320), (1, 301, 225), (3, 64, 96), (1, 700, 1301))
_BATCHES = (1, 3)


@dataclass(frozen=True, kw_only=True)
class CheckedProgram:
    """A program that was written, and how closely it reproduces the scores of the metric.

    Attributes:
        path: The file.
        format: `"onnx"` or `"pt2"`.
        precision: `"float32"` or `"int8"`.
        size: Height and width of the images; None for images of any size.
        largest_difference: Largest difference from the scores of the metric, over all images of the check.
        shapes: Number, height and width of the images of the check.
        bytes: Size of the file, including separate weights of a model of more than 2 GB.
    """

    path: Path
    format: str
    precision: str
    size: tuple[int, int] | None
    largest_difference: float
    shapes: tuple[tuple[int, int, int], ...]
    bytes: int


def check_file(path: Path | str, suffix: str, *, overwrite: bool) -> Path:
    """Check that a program may be written to a file.

    Args:
        path: The file.
        suffix: Required suffix of its name.
        overwrite: Whether an existing file may be replaced.

    Returns:
        The absolute path.

    Raises:
        InvalidOptionError: The suffix is wrong, the file exists, or the path is a folder.
    """
    found = expand_home(path).resolve()
    if found.suffix.lower() != suffix:
        raise InvalidOptionError(f"Expected a file name that ends in {suffix}, got {found.name!r}.")
    if found.is_dir():
        raise InvalidOptionError(f"{found} is a folder; expected a file to write.")
    if found.exists() and not overwrite:
        raise InvalidOptionError(
            f"{found} already exists. Choose another name, or replace it with --overwrite (overwrite=True)."
        )
    return found


def checked_shapes(metric: Metric, size: tuple[int, int] | None) -> tuple[tuple[int, int, int], ...]:
    """Number, height and width of the images with which a program is checked."""
    if size is not None:
        return tuple((count, *size) for count in _BATCHES)
    least = metric.encoder.min_size
    return tuple((count, max(height, least), max(width, least)) for count, height, width in _SHAPES)


def check_program(
    metric: Metric, run: Callable[[Tensor], Tensor], shapes: tuple[tuple[int, int, int], ...], precision: str
) -> float:
    """Compare the scores of a program with those of its metric.

    Args:
        metric: The metric.
        run: The program.
        shapes: The result of `checked_shapes`.
        precision: `"float32"`, `"float16"` or `"int8"`; sets the tolerance, see `TOLERANCES`.

    Returns:
        The largest difference of a score.

    Raises:
        WeightsError: A score exceeds the tolerance or is not a number.
    """
    largest = 0.0
    limit = TOLERANCES[precision] * metric.spec.score.span
    for count, height, width in shapes:
        images = cloudy_images(count, (height, width))
        with torch.inference_mode():
            expected = metric.to_output(metric.forward_batch(images))
        scores = run(images)
        difference = float((scores - expected).abs().max()) if scores.shape == expected.shape else float("nan")
        if not difference <= limit:
            raise WeightsError(
                f"The program of {metric.metric_name!r} does not reproduce the scores of {count} images of {height} x "
                f"{width} pixels (largest difference {difference:.2g}, allowed {limit:.2g}). Nothing was written."
            )
        largest = max(largest, difference)
    return largest
