"""Creating the metrics of an experiment and scoring with a progress bar."""

from __future__ import annotations

import operator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from perceptmetrics.errors import InvalidOptionError, UnknownMetricError
from perceptmetrics.factory.create import create_metric
from perceptmetrics.metrics.registry import metric_info
from perceptmetrics.scoring.stream import score_images
from perceptmetrics.spec import AntonymHeadSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.console import Console

    from perceptmetrics.apps.cli.arguments import How
    from perceptmetrics.images.load import ImageSource
    from perceptmetrics.models.metric import Metric
    from perceptmetrics.scoring.results import ScoredImage
    from perceptmetrics.scoring.stream import ScoreImages

__all__ = ["chosen_device", "create_metrics", "parse_prompts", "progress_bar", "scorer_with_progress"]


def create_metrics(names: Sequence[str], how: How, default_prompts: Sequence[str] | None = None) -> list[Metric]:
    """Create metrics.

    Args:
        names: Their names.
        how: Device, weights, prompts.
        default_prompts: What a metric that takes prompts gets when the user names none.

    Returns:
        The metrics, each name once.
    """
    names = list(dict.fromkeys(names))
    if how.checkpoint is not None and len(names) > 1:
        raise InvalidOptionError(f"--checkpoint goes with a single metric, got {', '.join(names)}.")
    metrics = []
    for name in names:
        options: dict[str, Any] = {}
        if how.prompts is not None and (len(names) == 1 or _takes_prompts(name)):
            options["prompts"] = parse_prompts(how.prompts)
        elif how.prompts is None and default_prompts and _takes_prompts(name):
            options["prompts"] = list(default_prompts)
        metrics.append(
            create_metric(
                name,
                device=chosen_device(how.device),
                checkpoint=how.checkpoint,
                backbone_checkpoint=how.backbone_checkpoint,
                precision=how.precision.value if how.precision else None,
                cache_dir=how.cache_dir,
                **options,
            )
        )
    return metrics


def chosen_device(device: str) -> str:
    """What `--device` stands for: `auto` is a CUDA GPU where there is one."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def parse_prompts(text: str) -> list[str | tuple[str, str]]:
    """Read `--prompts`: attribute names and pairs `Positive.|Negative.`, separated by commas."""
    items = [item.strip() for item in text.split(",") if item.strip()]
    prompts: list[str | tuple[str, str]] = []
    for item in items:
        positive, bar, negative = (part.strip() for part in item.partition("|"))
        prompts.append((positive, negative) if bar else item)
    return prompts


def scorer_with_progress(how: How, messages: Console) -> ScoreImages:
    """Score as the user asked for, with a bar on a terminal."""

    def scorer(metrics: Sequence[Metric], sources: Iterable[ImageSource]) -> Iterator[ScoredImage]:
        rows = score_images(metrics, sources, batch_size=how.batch_size, workers=how.workers)
        with _progress(messages) as progress:
            yield from progress.track(rows, total=operator.length_hint(sources) or None, description="scoring")

    return scorer


@contextmanager
def progress_bar(messages: Console) -> Iterator[Callable[[str, float], None]]:
    """A bar on a terminal; gives what is to be told: what is being done, and the share of it that is, in [0, 1]."""
    with _progress(messages, counted=False) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda what, share: progress.update(task, description=what, completed=share)


def _takes_prompts(name: str) -> bool:
    """Whether its prompts are texts; learned ones cannot be exchanged."""
    try:
        head = metric_info(name).head
    except UnknownMetricError:  # a folder or a repository
        return False
    return isinstance(head, AntonymHeadSpec) and head.context is None


def _progress(messages: Console, *, counted: bool = True) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn() if counted else TaskProgressColumn(),
        TimeRemainingColumn(),
        console=messages,
        disable=not messages.is_terminal,
        transient=True,
    )
