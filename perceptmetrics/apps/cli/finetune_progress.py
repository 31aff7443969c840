"""The progress of a training: one bar for the whole run on a terminal, a line now and then in a pipe."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from perceptmetrics.apps.cli.console import messages, printable
from perceptmetrics.apps.cli.progress import TimeLeft, seconds_left
from perceptmetrics.finetune.data.batches import recipe_splits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune import EpochRecord, Recipe, StageName

__all__ = ["TrainingBar"]

_LINE_AFTER = 20.0  # seconds between two lines in a pipe


class TrainingBar:
    """Shows how far a run has come; an observer of `finetune`.

    Args:
        recipe: The recipe.
        datasets: Its data sets.
        enabled: Whether this process shows anything.
    """

    def __init__(self, recipe: Recipe, datasets: Sequence[LabelledImages], *, enabled: bool) -> None:
        alone = recipe.optimizer.head_epochs or recipe.optimizer.epochs
        first = {"head_first": alone} if recipe.head_first else {}
        last = {f"head_{one.name}": alone for one in datasets} if recipe.second_stage else {}
        self._stages = {**first, "main": recipe.optimizer.epochs, **last}
        self._rates = recipe.optimizer.lr
        self._splits = min(len(recipe_splits(recipe, one)) for one in datasets)
        self._models = self._splits * len(self._rates) + (recipe.splits.export == "all")
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeLeft(),
            TextColumn("{task.fields[note]}"),
            console=messages,
            transient=True,
            disable=not enabled or not messages.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, visible=False, note="")
        self._writes_lines = enabled and not messages.is_terminal
        self._note, self._shown = "", ""
        self._done, self._begun, self._started = 0.0, 0.0, 0.0
        self._last_line = -math.inf

    def __enter__(self) -> TrainingBar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @property
    def total(self) -> int:
        """Number of epochs of the run; a training that stops early does not need all of its own."""
        return self._models * sum(self._stages.values())

    def encoding(self, data_set: str, done: int, total: int) -> None:
        """See `finetune.Observer`."""
        description = f"features of {printable(data_set)}"
        if description != self._shown:
            self._started = 0.0  # training goes on with a clock of its own
            self._progress.reset(self._task, total=total, description=description, visible=True, note="", begun=0)
            self._shown = description
        self._progress.update(self._task, completed=done)
        self._line(f"{description}: {done} of {total} images")

    def step(self, stage: StageName, epoch: int, step: int, steps: int, loss: float) -> None:
        """See `finetune.Observer`."""
        offset = sum(list(self._stages.values())[: list(self._stages).index(stage.stage)])
        model = stage.split * len(self._rates) + (self._rates.index(stage.lr) if stage.lr in self._rates else 0)
        before = model * sum(self._stages.values()) if stage.split < self._splits else self._last_model()
        self._done = max(self._done, before + offset + epoch + step / steps)
        if not self._started:
            self._started, self._begun = time.monotonic(), before + offset + epoch + (step - 1) / steps
            self._progress.reset(self._task, total=self.total, note="", begun=self._begun)
        self._shown = f"{self._where(stage)}, epoch {epoch + 1} of {self._stages[stage.stage]}"
        self._progress.update(
            self._task,
            description=self._shown,
            completed=self._done,
            visible=True,
            note=self._note or f"loss {loss:.3f}",
        )

    def epoch(self, stage: StageName, record: EpochRecord, best_epoch: int) -> None:
        """See `finetune.Observer`."""
        best = "" if record.epoch == best_epoch else f" (best in epoch {best_epoch + 1})"
        known = not math.isnan(record.selection)
        self._note = f"validation {record.selection:.3f}{best}" if known else f"loss {record.loss:.3f}"
        left = seconds_left(self._done - self._begun, self.total - self._begun, time.monotonic() - self._started)
        time_left = "" if left is None else f", about {_duration(left)} left"
        self._line(f"{self._shown}: {self._note}; {self._done / self.total:.0%}{time_left}")

    def _last_model(self) -> int:
        """Epochs before the model that is trained on all images."""
        return (self._models - 1) * sum(self._stages.values())

    def _where(self, stage: StageName) -> str:
        """The training among those of the run."""
        if stage.split >= self._splits:
            return "all images"
        words = [f"split {stage.split + 1} of {self._splits}"]
        if len(self._rates) > 1 and stage.lr in self._rates:
            words.append(f"learning rate {self._rates.index(stage.lr) + 1} of {len(self._rates)}")
        if stage.stage != "main":
            words.append(
                "heads first" if stage.stage == "head_first" else printable(stage.stage.replace("_", " of ", 1))
            )
        return ", ".join(words)

    def _line(self, text: str) -> None:
        if self._writes_lines and time.monotonic() - self._last_line >= _LINE_AFTER:
            self._last_line = time.monotonic()
            messages.print(text, markup=False)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
