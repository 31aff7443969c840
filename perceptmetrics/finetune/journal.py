"""What training tells while it runs: lines of `metrics.jsonl`, TensorBoard, and whoever observes it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol

from perceptmetrics.atomic import replacing
from perceptmetrics.errors import MissingExtraError

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError as error:
    raise MissingExtraError("Finetuning", "finetune") from error

if TYPE_CHECKING:
    from pathlib import Path

    from perceptmetrics.finetune.state import EpochRecord

__all__ = ["Journal", "Observer", "Silence", "StageName"]


@dataclass(frozen=True, kw_only=True)
class StageName:
    """Which training of a run.

    Attributes:
        split: Number of the split.
        lr: Learning rate that is tried.
        stage: What is trained: `"main"`, or one of those before and after it.
    """

    split: int
    lr: float
    stage: str

    def __str__(self) -> str:
        return f"split {self.split}, lr {self.lr:g}, {self.stage}"

    @property
    def filename(self) -> str:
        """For files and TensorBoard."""
        return f"split{self.split}_lr{self.lr:g}_{self.stage}"


class Observer(Protocol):
    """Is told how training goes on."""

    def encoding(self, data_set: str, done: int, total: int) -> None:
        """Features of a data set are computed or read."""

    def step(self, stage: StageName, epoch: int, step: int, steps: int, loss: float) -> None:
        """A step is done."""

    def epoch(self, stage: StageName, record: EpochRecord, best_epoch: int) -> None:
        """An epoch is done."""


class Silence:
    """Observes nothing."""

    def encoding(self, data_set: str, done: int, total: int) -> None:
        """See `Observer`."""

    def step(self, stage: StageName, epoch: int, step: int, steps: int, loss: float) -> None:
        """See `Observer`."""

    def epoch(self, stage: StageName, record: EpochRecord, best_epoch: int) -> None:
        """See `Observer`."""


class Journal:
    """Writes `metrics.jsonl` and TensorBoard's files into the folder of a run.

    The file is always that of the epochs that count: an epoch that was repeated after a stop stands in it once.

    Args:
        folder: The run's folder.
        writes: Whether this process writes.
    """

    def __init__(self, folder: Path, *, writes: bool) -> None:
        self._path = folder / "metrics.jsonl"
        self._board = folder / "tensorboard"
        self._writes = writes
        self._records: dict[StageName, list[EpochRecord]] = {}

    @property
    def records(self) -> dict[StageName, tuple[EpochRecord, ...]]:
        """The epochs of each training that was written down, in the order of their first ones."""
        return {name: tuple(records) for name, records in self._records.items()}

    def write(self, stage: StageName, records: list[EpochRecord]) -> None:
        """Write down all epochs of a training so far."""
        known = len(self._records.get(stage, []))
        self._records[stage] = list(records)
        if not self._writes:
            return
        lines = [
            json.dumps({**asdict(name), **asdict(record)}, allow_nan=True)
            for name, done in self._records.items()
            for record in done
        ]
        with replacing(self._path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        self._write_board(stage, records[known:])

    def _write_board(self, stage: StageName, records: list[EpochRecord]) -> None:
        if not records:
            return
        with SummaryWriter(str(self._board / stage.filename), purge_step=records[0].epoch) as board:
            for record in records:
                board.add_scalar("loss", record.loss, record.epoch)
                board.add_scalar("lr", record.lr, record.epoch)
                for data_set, figure in record.validation.items():
                    board.add_scalar(f"validation/{data_set}", figure, record.epoch)
