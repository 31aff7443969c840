"""What training writes while it runs: the state from which it resumes exactly, and the journal that people read.

What a step draws depends on the seed and the number of the step alone, and so does the learning rate. So weights, the
optimizer's moments and a few numbers are the whole state. Its file is written under another name and renamed: a process
that is killed leaves the previous state intact.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from perceptmetrics._util.atomic import replacing
from perceptmetrics.errors import MissingExtraError, WeightsError
from perceptmetrics.finetune.results import EpochRecord, StageName
from perceptmetrics.weights.tensor_files import read_metadata, read_tensors, save_tensors

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError as error:
    raise MissingExtraError("Finetuning", "finetune") from error

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

__all__ = ["Journal", "NullObserver", "Observer", "Progress", "TrainingState", "read_state", "write_state"]

_PROGRESS = "progress"


@dataclass(kw_only=True)
class Progress:
    """How far a training has come.

    Attributes:
        identity: What is trained, and on what; a state is only used for the training that it belongs to.
        epoch: Number of the current epoch, from 0.
        step: Number of its steps that are done.
        loss_sum: Sum of their losses.
        seconds: Their duration.
        records: The epochs before.
        finished: Whether the training is over.
        scaler: State of the gradient scaler of float16.
    """

    identity: str
    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    records: list[EpochRecord] = field(default_factory=list)
    finished: bool = False
    scaler: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """Everything needed to resume a training.

    Attributes:
        progress: How far it has come.
        weights: The trained weights, by name.
        best: The weights of the best epoch.
        optimizer: The optimizer's tensors, by `"<weight>/<moment>"`.
    """

    progress: Progress
    weights: Mapping[str, Tensor]
    best: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]


def write_state(path: Path, state: TrainingState) -> None:
    """Write a state atomically."""
    groups = {"weights": state.weights, "best": state.best, "optimizer": state.optimizer}
    tensors = {
        f"{group}.{name}": tensor.detach().cpu().clone()
        for group, named in groups.items()
        for name, tensor in named.items()
    }
    with replacing(path) as temporary:
        save_tensors(tensors, temporary, {_PROGRESS: json.dumps(asdict(state.progress))})


def read_state(path: Path, identity: str) -> TrainingState | None:
    """Read what `write_state` wrote.

    Args:
        path: The file.
        identity: What is to be trained.

    Returns:
        The state; None if there is none.

    Raises:
        WeightsError: The file is corrupt, or belongs to another training.
    """
    if not path.is_file():
        return None
    try:
        tensors, metadata = read_tensors(path), read_metadata(path)
    except WeightsError as error:
        raise WeightsError(f"{path} is corrupt. Delete it to train this part of the run again: {error}") from error
    document = json.loads(metadata.get(_PROGRESS, "{}"))
    if document.get("identity") != identity:
        raise WeightsError(
            f"{path} belongs to another training: recipe, data or encoder have changed since. Finish the run with what "
            "it was started with, or choose another output folder."
        )
    records = [EpochRecord(**record) for record in document.pop("records")]
    groups: dict[str, dict[str, Tensor]] = {"weights": {}, "best": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        group, _, rest = name.partition(".")
        groups[group][rest] = tensor
    return TrainingState(progress=Progress(records=records, **document), **groups)


def trained_tensors(module: nn.Module) -> dict[str, Tensor]:
    """The trainable weights of a module, by name."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def load_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy weights into the `trained_tensors` of a module.

    Raises:
        WeightsError: They are not those of this module.
    """
    own = trained_tensors(module)
    if own.keys() != weights.keys():
        odd = sorted(own.keys() ^ weights.keys())
        raise WeightsError(f"The state does not match the trained weights: {odd[0]} is missing or unexpected.")
    with torch.no_grad():
        for name, tensor in weights.items():
            own[name].copy_(tensor)


def optimizer_tensors(optimizer: torch.optim.Optimizer, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The optimizer's moments by `"<weight>/<moment>"`."""
    return {
        f"{name}/{moment}": torch.as_tensor(value)
        for name, weight in weights.items()
        for moment, value in optimizer.state.get(weight, {}).items()
        if value is not None
    }


def load_optimizer(
    optimizer: torch.optim.Optimizer, weights: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> None:
    """Restore the moments that `optimizer_tensors` returned."""
    for key, tensor in tensors.items():
        name, _, moment = key.rpartition("/")
        weight = weights[name]
        restored = tensor.clone() if moment == "step" else tensor.to(weight.device, copy=True)
        optimizer.state[weight][moment] = restored


class Observer(Protocol):
    """Follows the progress of a run."""

    def encoding(self, data_set: str, done: int, total: int) -> None:
        """Features of `done` of a data set's `total` images have been computed or read."""

    def step(self, stage: StageName, epoch: int, step: int, steps: int, loss: float) -> None:
        """A step is done."""

    def epoch(self, stage: StageName, record: EpochRecord, best_epoch: int) -> None:
        """An epoch is done."""


class NullObserver:
    """Ignores everything."""

    def encoding(self, data_set: str, done: int, total: int) -> None:
        """See `Observer`."""

    def step(self, stage: StageName, epoch: int, step: int, steps: int, loss: float) -> None:
        """See `Observer`."""

    def epoch(self, stage: StageName, record: EpochRecord, best_epoch: int) -> None:
        """See `Observer`."""


class Journal:
    """Writes `metrics.jsonl` and TensorBoard's files into the folder of a run.

    The file holds each epoch once, even if an epoch was repeated after an interruption.

    Args:
        folder: Folder of the run.
        writes: Whether this process writes.
    """

    def __init__(self, folder: Path, *, writes: bool) -> None:
        self._path = folder / "metrics.jsonl"
        self._board = folder / "tensorboard"
        self._writes = writes
        self._records: dict[StageName, list[EpochRecord]] = {}
        self._open: tuple[StageName, SummaryWriter] | None = None

    @property
    def records(self) -> dict[StageName, tuple[EpochRecord, ...]]:
        """The epochs of each training, in the order in which the trainings started."""
        return {name: tuple(records) for name, records in self._records.items()}

    def write(self, stage: StageName, records: list[EpochRecord]) -> None:
        """Write all epochs of a training so far."""
        known = len(self._records.get(stage, []))
        self._records[stage] = list(records)
        if not self._writes:
            return
        if known:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.writelines(_line(stage, record) for record in records[known:])
        else:  # the file may hold epochs of a process that was stopped
            lines = [_line(name, record) for name, done in self._records.items() for record in done]
            with replacing(self._path) as temporary:
                temporary.write_text("".join(lines), encoding="utf-8")
        self._write_board(stage, records[known:])

    def restore(self) -> None:
        """Read the records of a finished run from its file."""
        self._records = {}
        for line in self._path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            stage = StageName(split=entry.pop("split"), lr=entry.pop("tried_lr"), stage=entry.pop("stage"))
            self._records.setdefault(stage, []).append(_record(entry))

    def _write_board(self, stage: StageName, records: list[EpochRecord]) -> None:
        if not records:
            return
        if self._open is None or self._open[0] != stage:
            self.close()
            self._open = stage, SummaryWriter(str(self._board / stage.filename), purge_step=records[0].epoch)
        _, board = self._open
        for record in records:
            board.add_scalar("loss", record.loss, record.epoch)
            board.add_scalar("lr", record.lr, record.epoch)
            for data_set, statistic in record.validation.items():
                board.add_scalar(f"validation/{data_set}", statistic, record.epoch)
        board.flush()

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._open is not None:
            self._open[1].close()
            self._open = None


def _line(stage: StageName, record: EpochRecord) -> str:
    # Both have a learning rate: the one that is tried, and that of the epoch's last step. JSON has no NaN.
    fields = asdict(record)
    fields["validation"] = {name: _or_none(statistic) for name, statistic in record.validation.items()}
    fields |= {name: _or_none(getattr(record, name)) for name in ("loss", "validation_loss", "selection")}
    line = {"split": stage.split, "stage": stage.stage, "tried_lr": stage.lr, **fields}
    return json.dumps(line, allow_nan=False) + "\n"


def _record(fields: dict[str, Any]) -> EpochRecord:
    """The record that `_line` wrote."""
    fields["validation"] = {name: _or_nan(statistic) for name, statistic in fields["validation"].items()}
    fields |= {name: _or_nan(fields[name]) for name in ("loss", "validation_loss", "selection")}
    return EpochRecord(**fields)


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
