"""The predictions of a benchmark as a table: an image a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceptmetrics._util.atomic import write_whole
from perceptmetrics.scoring.results import csv_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from perceptmetrics.datasets import Split
    from perceptmetrics.evaluation.benchmarking import Benchmark

__all__ = ["predictions_csv", "write_predictions"]


def write_predictions(path: Path, benchmarks: Sequence[Benchmark]) -> None:
    """Write `predictions_csv` to a file, whole or not at all."""
    write_whole(path, predictions_csv(benchmarks))


def predictions_csv(benchmarks: Sequence[Benchmark]) -> bytes:
    """A CSV of all images of the data sets.

    Its columns are `dataset`; `image`; `part`, which the first split gives the image; `score.NAME` for each score, as
    the metric gave it; `rating.NAME` in the unit of the raters and `share.NAME`, which is the same normalised, with 1
    for the good end; or `class`; and `error`, why there is no score. What a data set does not have is empty.
    """
    rows = [row for benchmark in benchmarks for row in _rows(benchmark)]
    columns = dict.fromkeys(column for row in rows for column in row if column != "error")
    header = [*columns, "error"]
    return csv_bytes(header, ([row.get(column, "") for column in header] for row in rows))


def _rows(benchmark: Benchmark) -> Iterator[dict[str, object]]:
    dataset, predictions = benchmark.dataset, benchmark.predictions
    parts = _parts(benchmark.splits[0]) if benchmark.splits else {}
    errors = {row.name: row.error for row in predictions.failed}
    for place, name in enumerate(dataset.names):
        row: dict[str, object] = {"dataset": dataset.name, "image": name, "part": parts.get(place, "")}
        scores = (float(score) for score in predictions.scores[place])
        row |= {f"score.{column}": score for column, score in zip(predictions.columns, scores, strict=True)}
        if dataset.ratings is not None:
            for label, scale, share in zip(dataset.labels, dataset.scales, dataset.ratings[place], strict=True):
                row[f"rating.{label}"] = float(scale.restore(share))
                row[f"share.{label}"] = float(share)
        if dataset.classes is not None:
            row["class"] = dataset.labels[dataset.classes[place]]
        yield row | {"error": errors.get(name) or ""}


def _parts(split: Split) -> dict[int, str]:
    named = (("train", split.train), ("validation", split.validation), ("test", split.test))
    return {int(place): name for name, places in named for place in places}
