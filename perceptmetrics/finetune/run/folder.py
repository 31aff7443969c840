"""The files in the folder of a run: recipe, predictions, summary."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from perceptmetrics._util.atomic import replacing
from perceptmetrics._util.csv_cells import csv_line
from perceptmetrics._util.version import __version__
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.finetune.data.batches import split_notes
from perceptmetrics.finetune.recipe import recipe_to_yaml
from perceptmetrics.finetune.run.results import averages

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune.recipe import Recipe
    from perceptmetrics.finetune.run.results import DataSetResult, RunResult, SplitResult

__all__ = ["RECIPE_FILE", "is_free", "run_identity", "write_predictions", "write_summary"]

RECIPE_FILE = "recipe.yaml"


def is_free(folder: Path, recipe_text: str, *, resume: bool) -> bool:
    """Whether a folder is free for a new run. With `resume` it may hold the same run instead.

    Raises:
        InvalidOptionError: It holds something else.
    """
    file = folder / RECIPE_FILE
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return True
    if not file.is_file():
        raise InvalidOptionError(f"{folder} exists and holds no run. Choose another output folder.")
    if not resume:
        raise InvalidOptionError(
            f"{folder} already holds a run. Continue it with --resume (resume=True), or choose another folder."
        )
    if file.read_text(encoding="utf-8", errors="replace") != recipe_text:
        raise InvalidOptionError(
            f"{folder} holds a run of another recipe or with another --name (see its {RECIPE_FILE}), which this recipe "
            "cannot resume."
        )
    return False


def run_identity(recipe: Recipe, datasets: Sequence[LabelledImages], encoder: str) -> str:
    """Identify a run: a hash of recipe, names of the images, labels, groups, official splits and encoder."""
    digest = hashlib.sha256(json.dumps([recipe_to_yaml(recipe), encoder]).encode())
    for dataset in datasets:
        digest.update(json.dumps(dataset.names).encode("utf-8", "surrogatepass"))
        labels = dataset.classes if dataset.ratings is None else dataset.ratings
        digest.update(np.ascontiguousarray(labels).tobytes())
        parts = [
            part.tolist() for split in dataset.official_splits for part in (split.train, split.validation, split.test)
        ]
        for one in dataset.pooled if recipe.confidence != "none" else ():
            digest.update(one.counts.tobytes() + (b"" if one.errors is None else one.errors.tobytes()))
        tested = None if dataset.test_only is None else dataset.test_only.tolist()
        content = [dataset.labels, dataset.groups, dataset.contents, tested, parts]
        digest.update(json.dumps(content).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def write_predictions(path: Path, splits: Sequence[SplitResult], datasets: Sequence[LabelledImages]) -> None:
    """Write scores and labels of all test images as CSV: ratings as fractions of their scale, classes by name."""
    by_name = {dataset.name: dataset for dataset in datasets}
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(csv_line(["split", "data_set", "image", "label", "score", "truth"]))
        for split in splits:
            for result in split.data_sets:
                for row in _rows(by_name[result.data_set], result):
                    stream.write(csv_line([split.number + 1, result.data_set, *row]))


def _rows(dataset: LabelledImages, result: DataSetResult) -> list[list[object]]:
    rows: list[list[object]] = []
    for image, scores in zip(result.images.tolist(), result.scores.tolist(), strict=True):
        for column, label in enumerate(dataset.labels):
            truth: float | None = None
            if dataset.classes is not None:
                truth = int(dataset.classes[image] == column)
            elif dataset.ratings is not None:
                truth = float(dataset.ratings[image, column])
            rows.append([dataset.names[image], label, scores[column], truth])
    return rows


def write_summary(path: Path, result: RunResult, extra: dict[str, Any]) -> None:
    """Write the statistics of all splits, their medians and their means as JSON; NaN becomes null."""
    splits = [
        {
            "split": split.number + 1,
            "lr": split.lr,
            "validation_by_lr": {f"{lr:g}": value for lr, value in split.tried.items()},
            "best_epoch": split.best_epoch,
            "validation": split.selection,
            "test": {
                one.data_set: {name: asdict(statistics) for name, statistics in one.statistics.items()}
                for one in split.data_sets
            },
        }
        for split in result.splits
    ]
    document = {
        "perceptmetrics": __version__,
        **extra,
        "headlines": [{"sentence": one.sentence, "caution": one.caution, **asdict(one)} for one in result.headlines],
        "reported": result.recipe.report.average,
        "medians": averages(result, result.median),
        "means": averages(result, result.mean),
        "split_notes": split_notes(result.recipe, result.datasets),
        "overlaps": [{**asdict(one), "split": one.split + 1} for one in result.overlaps],
        "splits": splits,
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(_plain(document), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value
