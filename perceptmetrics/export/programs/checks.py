"""Checks before a program is written, and a run beside the metric that it was made from before anybody sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from perceptmetrics.errors import InvalidOptionError, WeightsError
from perceptmetrics.factory.folder import cloudy_pictures

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from perceptmetrics.models.metric import Metric

__all__ = ["TOLERANCES", "CheckedProgram", "check_file", "check_program", "checked_shapes"]

# By how much a score may differ, as a share of the range of the scores.
TOLERANCES = {"float32": 1e-4, "float16": 1e-2, "int8": 1e-1}

# Batch, height and width: landscape and portrait, odd and even, larger and smaller than what metrics resize to.
_SHAPES = ((2, 240, 320), (1, 301, 225), (3, 64, 96), (1, 700, 1301))
_BATCHES = (1, 3)


@dataclass(frozen=True, kw_only=True)
class CheckedProgram:
    """A program that was written, and how near its scores are to those of the metric.

    Attributes:
        path: The file.
        format: `"onnx"` or `"pt2"`.
        precision: `"float32"` or `"int8"`.
        size: Height and width of the images; None for images of any size.
        largest_difference: The largest difference of a score from the metric's own, over all pictures of the check.
        shapes: Number, height and width of the pictures of the check.
        bytes: Size of the file, with the weights that lie beside it when it is larger than 2 GB.
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
        suffix: What its name must end in.
        overwrite: Whether a file that lies there may be replaced.

    Returns:
        The absolute path.

    Raises:
        InvalidOptionError: The name ends otherwise, the file exists, or it is a folder.
    """
    found = Path(path).expanduser().resolve()
    if found.suffix.lower() != suffix:
        raise InvalidOptionError(f"Expected a file name that ends in {suffix}, got {found.name!r}.")
    if found.is_dir():
        raise InvalidOptionError(f"{found} is a folder; expected a file to write.")
    if found.exists() and not overwrite:
        raise InvalidOptionError(
            f"{found} exists already. Choose another name, or replace it with --overwrite (overwrite=True)."
        )
    return found


def checked_shapes(metric: Metric, size: tuple[int, int] | None) -> tuple[tuple[int, int, int], ...]:
    """Number, height and width of the pictures that a program is checked with."""
    if size is not None:
        return tuple((count, *size) for count in _BATCHES)
    least = metric.backbone.min_size
    return tuple((count, max(height, least), max(width, least)) for count, height, width in _SHAPES)


def check_program(
    metric: Metric, run: Callable[[Tensor], Tensor], shapes: tuple[tuple[int, int, int], ...], precision: str
) -> float:
    """Run a program beside its metric.

    Args:
        metric: The metric.
        run: The program.
        shapes: What `checked_shapes` returns.
        precision: `"float32"`, `"float16"` or `"int8"`: how much the scores may differ, see `TOLERANCES`.

    Returns:
        The largest difference of a score.

    Raises:
        WeightsError: A score differs by more, or is not a number.
    """
    largest = 0.0
    limit = TOLERANCES[precision] * metric.spec.score.span
    for count, height, width in shapes:
        pictures = cloudy_pictures(count, (height, width))
        with torch.inference_mode():
            expected = metric.to_output(metric.forward_batch(pictures))
        scores = run(pictures)
        difference = float((scores - expected).abs().max()) if scores.shape == expected.shape else float("nan")
        if not difference <= limit:
            raise WeightsError(
                f"The program of {metric.metric_name!r} scores {count} pictures of {height} x {width} pixels otherwise "
                f"than the metric, by {difference:.2g} where {limit:.2g} is allowed. Nothing was written."
            )
        largest = max(largest, difference)
    return largest
