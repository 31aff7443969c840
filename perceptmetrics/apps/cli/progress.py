"""Progress for people who wait: a steady estimate of the time left, and a spinner while metrics load."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn
from rich.text import Text

from perceptmetrics.apps.cli.console import messages, printable

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.progress import Task

__all__ = ["TimeLeft", "image_progress", "loading", "seconds_left"]

_SETTLED = 2.0  # seconds before which there is no estimate


def seconds_left(done: float, total: float | None, elapsed: float | None) -> float | None:
    """Seconds that the rest takes at the mean rate so far; None as long as nothing can be said.

    The mean over the whole time does not jump where work is done in batches, unlike the rate of the last steps.
    """
    if total is None or elapsed is None or elapsed < _SETTLED or done <= 0:
        return None
    return max(0.0, total - done) * elapsed / done


class TimeLeft(ProgressColumn):
    """The time left, from the mean rate so far."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """See `ProgressColumn`. The field `begun` of a task says how much was done before its clock started."""
        begun = task.fields.get("begun", 0.0)
        total = None if task.total is None else task.total - begun
        left = seconds_left(task.completed - begun, total, task.finished_time or task.elapsed)
        shown = "-:--:--" if left is None else str(timedelta(seconds=round(left)))
        return Text(f"{shown} left", style="progress.remaining")


def loading(name: str) -> AbstractContextManager[object]:
    """A spinner on a terminal while a metric loads."""
    if not messages.is_terminal:
        return nullcontext()
    return messages.status(f"loading {printable(name)}")


def image_progress() -> Progress:
    """The bar of commands that go through images; nothing where there is no terminal. Its tasks have a field `rate`."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.1f} images/s"),
        TimeLeft(),
        console=messages,
        disable=not messages.is_terminal,
        transient=True,
    )
