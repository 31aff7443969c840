"""What a finished run leaves of itself, so that resuming it gives the same result and trains nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch

from perceptmetrics._util.atomic import replacing
from perceptmetrics.datasets import Split
from perceptmetrics.errors import WeightsError
from perceptmetrics.finetune.results import SplitResult, test_result
from perceptmetrics.weights.tensor_files import read_metadata, read_tensors, save_tensors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from perceptmetrics.datasets import LabelledImages

__all__ = ["SCORES_FILE", "read_finished", "write_finished"]

SCORES_FILE = "scores.safetensors"
_PARTS = ("train", "validation", "test")


def write_finished(path: Path, identity: str, splits: Sequence[SplitResult]) -> None:
    """Write down the scores of all splits; the last file of a run.

    Args:
        path: The file.
        identity: What was trained, on what.
        splits: The splits.
    """
    tensors = {}
    for split in splits:
        for result, parts in zip(split.data_sets, split.parts, strict=True):
            for part in _PARTS:
                tensors[f"{split.number}/{result.data_set}/{part}"] = torch.tensor(getattr(parts, part))
            tensors[f"{split.number}/{result.data_set}/scores"] = torch.from_numpy(result.scores)
    notes = [[split.number, split.lr, list(split.tried.items()), split.best_epoch, split.selection] for split in splits]
    with replacing(path) as temporary:
        save_tensors(tensors, temporary, {"identity": identity, "splits": json.dumps(notes)})


def read_finished(
    path: Path, identity: str, datasets: Sequence[LabelledImages], seed: int
) -> tuple[SplitResult, ...] | None:
    """Read what `write_finished` wrote, and work the figures out again.

    Args:
        path: The file.
        identity: What is to be trained, on what.
        datasets: The data sets.
        seed: Seed of the figures' intervals.

    Returns:
        The splits; None when the run is not finished.

    Raises:
        WeightsError: The file is damaged, or of another training.
    """
    if not path.is_file():
        return None
    tensors, notes = read_tensors(path), read_metadata(path)
    if notes.get("identity") != identity:
        raise WeightsError(f"{path} is of another training: data or encoder have changed since. Choose another folder.")
    splits = []
    for number, lr, tried, best_epoch, selection in json.loads(notes["splits"]):
        parts = [
            Split(**{part: tensors[f"{number}/{dataset.name}/{part}"].numpy() for part in _PARTS})
            for dataset in datasets
        ]
        results = [
            test_result(dataset, part.test, tensors[f"{number}/{dataset.name}/scores"].numpy(), seed)
            for dataset, part in zip(datasets, parts, strict=True)
        ]
        splits.append(
            SplitResult(
                number=number,
                lr=lr,
                tried=dict(tried),
                best_epoch=best_epoch,
                selection=selection,
                parts=tuple(parts),
                data_sets=tuple(results),
            )
        )
    return tuple(splits)
