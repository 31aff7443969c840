"""The scores of all splits, the last file of a run: a run that has it is finished."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import torch

from perceptmetrics.datasets import Split
from perceptmetrics.errors import WeightsError
from perceptmetrics.finetune.run.results import SplitResult, test_result
from perceptmetrics.finetune.run.untouched import Untouched
from perceptmetrics.finetune.training.sealed_files import read_sealed, write_sealed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from perceptmetrics.datasets import LabelledImages

__all__ = ["SCORES_FILE", "read_finished", "write_finished"]

SCORES_FILE = "scores.safetensors"
_UNTOUCHED = "untouched"
_PARTS = ("train", "validation", "test")


def write_finished(
    path: Path, identity: str, splits: Sequence[SplitResult], untouched: Untouched | None = None
) -> None:
    """Write the scores of all splits, the last file of a run.

    Args:
        path: The file.
        identity: Identity of the run.
        splits: The splits.
        untouched: Scores of the metric before training.
    """
    tensors = {}
    for split in splits:
        for result, parts in zip(split.data_sets, split.parts, strict=True):
            for part in _PARTS:
                tensors[f"{split.number}/{result.data_set}/{part}"] = torch.tensor(getattr(parts, part))
            tensors[f"{split.number}/{result.data_set}/scores"] = torch.from_numpy(result.scores)
    notes = [[split.number, split.lr, list(split.tried.items()), split.best_epoch, split.selection] for split in splits]
    named = {"identity": identity, "splits": json.dumps(notes)}
    if untouched is not None:
        named[_UNTOUCHED] = untouched.name
        tensors |= {f"{_UNTOUCHED}/{name}": torch.from_numpy(scores) for name, scores in untouched.scores.items()}
    write_sealed(path, tensors, named)


def read_finished(
    path: Path, identity: str, datasets: Sequence[LabelledImages], seed: int
) -> tuple[tuple[SplitResult, ...], Untouched | None] | None:
    """Read what `write_finished` wrote, and compute the statistics again.

    Args:
        path: The file.
        identity: Identity of the run.
        datasets: The data sets.
        seed: Seed of the bootstrap intervals.

    Returns:
        The splits, and the scores of the metric before training; None if the run is not finished.

    Raises:
        WeightsError: The file is corrupt, or belongs to another run.
    """
    if not path.is_file():
        return None
    try:
        tensors, notes = read_sealed(path)
        saved = _saved_splits(notes, tensors, datasets)
    except WeightsError as error:
        raise WeightsError(f"{path} is corrupt. Restore it, or delete it to train again: {error}") from error
    if notes.get("identity") != identity:
        raise WeightsError(
            f"{path} belongs to another training: data or encoder have changed since. Choose another folder."
        )
    splits = []
    for number, lr, tried, best_epoch, selection, parts, scores in saved:
        tested = zip(datasets, parts, scores, strict=True)
        splits.append(
            SplitResult(
                number=number,
                lr=lr,
                tried=tried,
                best_epoch=best_epoch,
                selection=selection,
                parts=tuple(parts),
                data_sets=tuple(test_result(dataset, part.test, found, seed) for dataset, part, found in tested),
            )
        )
    return tuple(splits), _saved_untouched(notes, tensors, datasets)


class _Saved(NamedTuple):
    number: int
    lr: float
    tried: dict[float, float]
    best_epoch: int
    selection: float
    parts: list[Split]
    scores: list[NDArray[np.float64]]


def _saved_splits(
    notes: Mapping[str, str], tensors: Mapping[str, Tensor], datasets: Sequence[LabelledImages]
) -> list[_Saved]:
    """What a file holds of each split; a `WeightsError` if it has another form."""
    saved = []
    try:
        for number, lr, tried, best_epoch, selection in json.loads(notes["splits"]):
            names = [f"{number}/{dataset.name}" for dataset in datasets]
            parts = [Split(**{part: tensors[f"{name}/{part}"].numpy() for part in _PARTS}) for name in names]
            scores = [tensors[f"{name}/scores"].numpy() for name in names]
            saved.append(_Saved(number, lr, dict(tried), best_epoch, selection, parts, scores))
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"it does not hold the splits and their scores ({error!r})") from error
    for split in saved:
        for part, found in zip(split.parts, split.scores, strict=True):
            if len(part.test) != len(found):
                raise WeightsError(
                    f"it has {len(found)} scores for {len(part.test)} images of split {split.number + 1}"
                )
    return saved


def _saved_untouched(
    notes: Mapping[str, str], tensors: Mapping[str, Tensor], datasets: Sequence[LabelledImages]
) -> Untouched | None:
    """The scores of the metric before training; None where there is no such metric, and in older files."""
    name = notes.get(_UNTOUCHED)
    if name is None:
        return None
    saved = {one.name: tensors.get(f"{_UNTOUCHED}/{one.name}") for one in datasets}
    return Untouched(name=name, scores={key: scores.numpy() for key, scores in saved.items() if scores is not None})
