"""The epochs of a training: its name, their records, which of them is kept, and who follows them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["EpochRecord", "NullObserver", "Observer", "StageName", "is_better", "kept_epoch"]


@dataclass(frozen=True, kw_only=True)
class StageName:
    """Identifies one training of a run.

    Attributes:
        split: Number of the split, from 0; people read it from 1.
        lr: Learning rate that is tried.
        stage: What is trained: `"main"` for what the recipe names, `"head_first"` for the heads before it, `"head_"`
            and the name of a data set for its head afterwards.
    """

    split: int
    lr: float
    stage: str

    def __str__(self) -> str:
        return f"split {self.split + 1}, lr {self.lr:g}, {self.stage}"

    @property
    def filename(self) -> str:
        """The name in file names and in TensorBoard."""
        return f"split_{self.split + 1}_lr{self.lr:g}_{self.stage}"


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """Results of one epoch.

    Attributes:
        epoch: Its number, from 0.
        loss: Mean loss of its batches.
        validation_loss: Mean loss of the data sets' validation images; NaN without them.
        validation: For each data set, the statistic of its validation images by which models are selected.
        selection: Mean of `validation`; NaN without validation images.
        lr: Learning rate of its last step.
        seconds: Duration.
    """

    epoch: int
    loss: float
    validation_loss: float
    validation: dict[str, float]
    selection: float
    lr: float
    seconds: float


def is_better(statistic: float, than: float) -> bool:
    """Whether a validation statistic is better than another; an undefined one (NaN) is better than none."""
    return statistic > than or (math.isnan(than) and not math.isnan(statistic))


def kept_epoch(records: Sequence[EpochRecord], keep: Literal["best", "last"]) -> int:
    """Choose the epoch whose weights are kept: the last, or the one with the highest validation statistic.

    Ties go to the lower loss on the validation images, then to the earlier epoch: a few images can be in the right
    order long before the model is good. Without validation images the last epoch counts as the best.
    """
    if keep == "last":
        return records[-1].epoch
    best = 0
    for record in records:
        tied = record.selection == records[best].selection and record.validation_loss < records[best].validation_loss
        if not record.validation or tied or is_better(record.selection, records[best].selection):
            best = record.epoch
    return best


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
