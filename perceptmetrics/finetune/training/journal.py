"""The journal of a training that people read: `metrics.jsonl` and TensorBoard's files."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING

from perceptmetrics._util.atomic import replacing
from perceptmetrics.errors import InvalidSpecError, MissingExtraError, WeightsError
from perceptmetrics.finetune.training.epochs import EpochRecord, StageName
from perceptmetrics.spec.plain import from_plain

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError as error:
    raise MissingExtraError("Finetuning", "finetune") from error

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Journal"]

_PERHAPS_NAN = ("loss", "validation_loss", "selection")


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
        """Read the records of a finished run from its file.

        Raises:
            WeightsError: The file is missing or corrupt.
        """
        self._records = {}
        try:
            for line in self._path.read_text(encoding="utf-8").splitlines():
                stage, record = _read_line(line)
                self._records.setdefault(stage, []).append(record)
        except (OSError, ValueError) as error:
            raise WeightsError(
                f"{self._path} of a finished run is missing or corrupt: {error}. Restore it, or train again in another "
                "folder."
            ) from error

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
    fields |= {name: _or_none(getattr(record, name)) for name in _PERHAPS_NAN}
    line = {"split": stage.split + 1, "stage": stage.stage, "tried_lr": stage.lr, **fields}
    return json.dumps(line, allow_nan=False) + "\n"


def _read_line(line: str) -> tuple[StageName, EpochRecord]:
    """What `_line` wrote; a `ValueError` if it is something else."""
    fields = json.loads(line)
    if not isinstance(fields, dict) or not isinstance(fields.get("validation"), dict):
        raise InvalidSpecError("it is no record of an epoch")
    names = {"split": "split", "tried_lr": "lr", "stage": "stage"}
    stage = {own: fields.pop(name) for name, own in names.items() if name in fields}
    if isinstance(stage.get("split"), int):
        stage["split"] -= 1  # people count from 1
    fields["validation"] = {name: _or_nan(statistic) for name, statistic in fields["validation"].items()}
    fields |= {name: _or_nan(fields[name]) for name in _PERHAPS_NAN if name in fields}
    return from_plain(StageName, stage, "its stage"), from_plain(EpochRecord, fields, "its record")


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
