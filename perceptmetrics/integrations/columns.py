"""Scores as columns of a table: the common part of the integrations with tables."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from perceptmetrics._util.files import refuse_empty
from perceptmetrics.errors import DatasetError, InvalidOptionError, nearest_names
from perceptmetrics.factory.create import create_metric
from perceptmetrics.images.addresses import is_address
from perceptmetrics.images.batch import DEFAULT_BATCH_SIZE, DEFAULT_MAX_PIXELS
from perceptmetrics.models.metric import Metric
from perceptmetrics.scoring.stream import score_columns, score_images

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["ERROR_COLUMN", "MetricsOption", "TableScorer"]

ERROR_COLUMN = "score_error"

PathLike = str | os.PathLike[str]
MetricsOption: TypeAlias = "PathLike | Metric | Sequence[PathLike | Metric]"


@dataclass(frozen=True, kw_only=True)
class TableScorer:
    """Scores the images in a column.

    Attributes:
        metrics: The metrics.
        folder: Where relative paths start, or an address; None for the working directory.
        batch_size: Largest number of images of equal size in one forward pass.
        max_pixels: Largest number of pixels in one forward pass; a larger image goes alone.
        workers: Number of decoding threads; 0 for none, None to choose.
    """

    metrics: tuple[Metric, ...]
    folder: PathLike | None = None
    batch_size: int = DEFAULT_BATCH_SIZE
    max_pixels: int = DEFAULT_MAX_PIXELS
    workers: int | None = None

    @classmethod
    def of(cls, metrics: MetricsOption, **limits: Any) -> TableScorer:
        """Create one from a metric, the name of one, or several of either.

        Raises:
            InvalidOptionError: There is no metric, something is not a metric, or a metric is given twice.
        """
        refuse_empty(folder=limits.get("folder"))
        given = [metrics] if isinstance(metrics, (str, os.PathLike, Metric)) else list(metrics)
        made = tuple(create_metric(one) if isinstance(one, (str, os.PathLike)) else one for one in given)
        other = [type(one).__name__ for one in made if not isinstance(one, Metric)]
        if other or not made:
            raise InvalidOptionError(f"Expected metrics or their names, got {', '.join(other) or 'none'}.")
        score_columns(made)
        return cls(metrics=made, **limits)

    @property
    def score_columns(self) -> list[str]:
        """Names of the columns of scores, as `perceptmetrics.scoring.stream.score_columns` gives them."""
        return score_columns(self.metrics)

    def check_columns(self, image_column: str, present: Sequence[object]) -> None:
        """Check that the column of images exists and that no column would be overwritten.

        Args:
            image_column: The column of images.
            present: Names of all columns of the table.

        Raises:
            DatasetError: There is no such column, or a column of results exists already.
        """
        if image_column not in present:
            raise DatasetError(f"No column is named {image_column!r}. {nearest_names(image_column, map(str, present))}")
        taken = [column for column in (*self.score_columns, ERROR_COLUMN) if column in present]
        if taken:
            raise DatasetError(f"The columns {', '.join(taken)} exist already. Rename or remove them first.")

    def score(self, values: Iterable[object]) -> dict[str, list[Any]]:
        """Score a column of images.

        Args:
            values: Paths, addresses (`"hf://..."`, `"s3://..."`, see `images.addresses`), encoded bytes, dictionaries
                with `"bytes"` or `"path"`, or anything else that `Metric.score` takes as a single image.

        Returns:
            Columns of scores, None where an image failed, and the column `score_error` with the reason or None.
        """
        columns: dict[str, list[Any]] = {column: [] for column in (*self.score_columns, ERROR_COLUMN)}
        sources: Any = (self._source(value) for value in values)
        scored = score_images(
            self.metrics, sources, batch_size=self.batch_size, max_pixels=self.max_pixels, workers=self.workers
        )
        for row in scored:
            for column in self.score_columns:
                columns[column].append(row.scores.get(column))
            columns[ERROR_COLUMN].append(row.error)
        return columns

    def _source(self, value: object) -> object:
        if isinstance(value, float) and math.isnan(value):  # pandas' missing value
            return None
        if isinstance(value, Mapping):
            value = value.get("path") if value.get("bytes") is None else value["bytes"]
        if not isinstance(value, (str, os.PathLike)) or self.folder is None or is_address(os.fspath(value)):
            return value
        folder = os.fspath(self.folder)
        return f"{folder.rstrip('/')}/{os.fspath(value)}" if is_address(folder) else Path(folder, value)
