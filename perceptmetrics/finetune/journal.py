"""What training tells while it runs: lines of `metrics.jsonl`, TensorBoard, and whoever observes it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from perceptmetrics._util.atomic import replacing
from perceptmetrics.errors import MissingExtraError
from perceptmetrics.finetune.state import EpochRecord

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError as error:
    raise MissingExtraError("Finetuning", "finetune") from error

if TYPE_CHECKING:
    from pathlib import Path


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
        return f"split {self.split + 1}, lr {self.lr:g}, {self.stage}"

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
        self._open: tuple[StageName, SummaryWriter] | None = None

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
        if known:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.writelines(_line(stage, record) for record in records[known:])
        else:  # the file may hold epochs of a process that was stopped
            lines = [_line(name, record) for name, done in self._records.items() for record in done]
            with replacing(self._path) as temporary:
                temporary.write_text("".join(lines), encoding="utf-8")
        self._write_board(stage, records[known:])

    def restore(self) -> None:
        """Take the records of a finished run from its file."""
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
            for data_set, figure in record.validation.items():
                board.add_scalar(f"validation/{data_set}", figure, record.epoch)
        board.flush()

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._open is not None:
            self._open[1].close()
            self._open = None


def _line(stage: StageName, record: EpochRecord) -> str:
    # Both have a learning rate: the one that is tried, and that of the epoch's last step. JSON knows no NaN.
    fields = asdict(record)
    fields["validation"] = {name: _or_none(figure) for name, figure in record.validation.items()}
    fields |= {"loss": _or_none(record.loss), "selection": _or_none(record.selection)}
    line = {"split": stage.split, "stage": stage.stage, "tried_lr": stage.lr, **fields}
    return json.dumps(line, allow_nan=False) + "\n"


def _record(fields: dict[str, Any]) -> EpochRecord:
    """Take the fields of a line back."""
    fields["validation"] = {name: _or_nan(figure) for name, figure in fields["validation"].items()}
    fields |= {"loss": _or_nan(fields["loss"]), "selection": _or_nan(fields["selection"])}
    return EpochRecord(**fields)


def _or_none(figure: float) -> float | None:
    return figure if math.isfinite(figure) else None


def _or_nan(figure: float | None) -> float:
    return math.nan if figure is None else figure
