"""Scores as columns of a pandas data frame, by a function or by `frame.perceptmetrics.score(...)`.

Importing this module registers the accessor with pandas.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from perceptmetrics.errors import DatasetError, InvalidOptionError, MissingExtraError
from perceptmetrics.images.batch import DEFAULT_BATCH_SIZE, DEFAULT_MAX_PIXELS
from perceptmetrics.integrations.columns import ERROR_COLUMN, MetricsOption, TableScorer

if TYPE_CHECKING:
    import os

    from pandas import DataFrame

__all__ = ["FrameAccessor", "score_frame"]


def score_frame(
    frame: DataFrame,
    metrics: MetricsOption,
    image_column: str = "image",
    *,
    folder: str | os.PathLike[str] | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    workers: int | None = None,
) -> DataFrame:
    """Score the images of a data frame.

    Args:
        frame: The frame. It is not modified.
        metrics: A metric, a name, or several of them.
        image_column: Column with paths, addresses, encoded bytes, PIL images, arrays, or
            dictionaries with `"bytes"` or `"path"`.
        folder: Where relative paths start, a path or an address; None for the working directory.
        batch_size: Largest number of images of equal size in one forward pass.
        max_pixels: Largest number of pixels in one forward pass; a larger image goes alone.
        workers: Number of decoding threads; 0 for none, None to choose.

    Returns:
        A copy with further columns: the scores (float32; NaN where an image failed), named after the metric or, with
        labels, `metric.label`; and `score_error`, None or the reason why an image failed.

    Raises:
        DatasetError: There is no such column, there are two of them, or columns of scores exist already.
        InvalidOptionError: `frame` is not a data frame, or `metrics` is something else.
        MissingExtraError: pandas is not installed.

    Examples:
        >>> import pandas
        >>> photograph = np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)
        >>> frame = pandas.DataFrame({"image": [photograph, "missing.jpg"]})
        >>> list(score_frame(frame, "lite_iqa"))
        ['image', 'lite_iqa', 'score_error']
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("score_frame", "pandas") from error
    if not isinstance(frame, pd.DataFrame):
        raise InvalidOptionError(f"score_frame takes a pandas.DataFrame, got {type(frame).__name__}.")
    scorer = TableScorer.of(metrics, folder=folder, batch_size=batch_size, max_pixels=max_pixels, workers=workers)
    scorer.check_columns(image_column, list(frame.columns))
    if list(frame.columns).count(image_column) > 1:
        raise DatasetError(f"Several columns are named {image_column!r}. Rename all but one of them.")
    columns = scorer.score(frame[image_column])
    dtypes: dict[str, Any] = dict.fromkeys(scorer.score_columns, np.float32) | {ERROR_COLUMN: object}
    return frame.assign(**{name: pd.Series(columns[name], frame.index, dtype) for name, dtype in dtypes.items()})


class FrameAccessor:
    """The accessor `frame.perceptmetrics`.

    Args:
        frame: The frame.
    """

    def __init__(self, frame: DataFrame) -> None:
        self._frame = frame

    def score(self, metrics: MetricsOption, image_column: str = "image", **options: Any) -> DataFrame:
        """Score the images of the frame; see `score_frame`.

        Args:
            metrics: A metric, a name, or several of them.
            image_column: Column of images.
            **options: Further options of `score_frame`.

        Returns:
            A copy with the columns of scores.
        """
        return score_frame(self._frame, metrics, image_column, **options)


with contextlib.suppress(ModuleNotFoundError):  # without pandas there are no frames
    from pandas.api.extensions import register_dataframe_accessor

    register_dataframe_accessor("perceptmetrics")(FrameAccessor)
