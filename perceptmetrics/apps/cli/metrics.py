"""Create the metrics that a command names, and score with a progress bar. Imported when a command runs."""

from __future__ import annotations

import operator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn

from perceptmetrics.apps.cli.console import messages
from perceptmetrics.apps.cli.options import DEFAULT_METRIC
from perceptmetrics.apps.cli.progress import TimeLeft, loading
from perceptmetrics.apps.cli.values import parse_prompts
from perceptmetrics.errors import InvalidOptionError, UnknownMetricError
from perceptmetrics.factory.create import create_metric
from perceptmetrics.factory.options import option_names
from perceptmetrics.metrics.registry import metric_info
from perceptmetrics.scoring.stream import score_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from perceptmetrics.apps.cli.options import EncoderOptions, MetricOptions, PromptOptions, ScoringOptions
    from perceptmetrics.images.load import ImageSource
    from perceptmetrics.images.sources import NamedImage
    from perceptmetrics.models.metric import Metric
    from perceptmetrics.scoring.results import ScoredImage
    from perceptmetrics.scoring.stream import ScoreImages

__all__ = [
    "chosen_device",
    "create_metrics",
    "encoder_keywords",
    "keywords_of_each",
    "progress_bar",
    "scorer_with_progress",
]


def create_metrics(
    names: Sequence[str] | None, options: MetricOptions, default_prompts: Sequence[str] | None = None
) -> list[Metric]:
    """Create metrics.

    Args:
        names: Their names; without any, `lite_iqa`.
        options: Device, weights, prompts.
        default_prompts: Prompts for metrics that take them, where the user names none.

    Returns:
        The metrics, each name once.
    """
    names = list(dict.fromkeys(names or [DEFAULT_METRIC]))
    if options.checkpoint is not None and len(names) > 1:
        raise InvalidOptionError(f"--checkpoint goes with a single metric, got {', '.join(names)}.")
    metrics = []
    for name, own in keywords_of_each(names, options).items():
        keywords = {**encoder_keywords(options), "checkpoint": options.checkpoint}
        if default_prompts and not own.keys() & {"prompts", "prompt", "template"} and _takes_prompts(name):
            own["prompts"] = list(default_prompts)
        with loading(name):
            metrics.append(create_metric(name, **keywords, **own))
    return metrics


def _stated_keywords(options: PromptOptions) -> dict[str, Any]:
    """Options that were given, as keywords of `create_metric`."""
    names = ("prompt", "template", "backbone", "positional_embedding", "resize")
    stated = {name: getattr(options, name) for name in names}
    if options.prompts is not None:
        stated["prompts"] = parse_prompts(options.prompts)
    return {name: value for name, value in stated.items() if value is not None}


def keywords_of_each(names: Sequence[str], options: PromptOptions) -> dict[str, dict[str, Any]]:
    """For each metric the keywords that belong to it.

    A single metric gets all. Of several, those that take prompts get the options of prompts, and `resize` is for those
    that show an image whole; an option that none of them takes is refused.
    """
    own = _stated_keywords(options)
    of_each = {
        name: {key: value for key, value in own.items() if len(names) == 1 or _takes(name, key)} for name in names
    }
    unused = [key for key in own if not any(key in keywords for keywords in of_each.values())]
    if unused:
        flags = ", ".join(f"--{key.replace('_', '-')}" for key in unused)
        what = "shows an image whole" if unused == ["resize"] else "takes prompts"
        raise InvalidOptionError(f"{flags}: none of {', '.join(names)} {what}. Leave it out, or add -m clipiqa.")
    return of_each


def _takes(name: str, option: str) -> bool:
    """Whether one of several metrics is meant by an option."""
    if option != "resize":
        return _takes_prompts(name)
    try:
        spec = metric_info(name)
    except UnknownMetricError:  # a folder or a repository
        return False
    return option in option_names(spec) and spec.views.only is not None


def encoder_keywords(options: EncoderOptions) -> dict[str, Any]:
    """Options as keywords of `create_metric`."""
    return {
        "device": chosen_device(options.device),
        "precision": options.precision,
        "backbone_checkpoint": options.backbone_checkpoint,
        "cache_dir": options.cache_dir,
        "icc": options.icc,
        "max_image_pixels": options.max_image_pixels,
    }


def chosen_device(device: str) -> str:
    """The device that `--device` means: `auto` is a CUDA GPU if there is one, else the CPU."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def scorer_with_progress(options: ScoringOptions) -> ScoreImages:
    """A function that scores images, with a progress bar on a terminal."""

    def scorer(metrics: Sequence[Metric], sources: Iterable[ImageSource | NamedImage]) -> Iterator[ScoredImage]:
        rows = score_images(metrics, sources, batch_size=options.batch_size, workers=options.workers)
        with _progress() as progress:
            yield from progress.track(rows, total=operator.length_hint(sources) or None, description="scoring")

    return scorer


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
    """A progress bar on a terminal; yields a function of the current step's name and the fraction done, in [0, 1]."""
    with _progress(counted=False) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda step, fraction: progress.update(task, description=step, completed=fraction)


def _takes_prompts(name: str) -> bool:
    """Whether its prompts are texts; learned ones cannot be exchanged."""
    try:
        head = metric_info(name).head
    except UnknownMetricError:  # a folder or a repository
        return False
    return head.takes_prompts


def _progress(*, counted: bool = True) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn() if counted else TaskProgressColumn(),
        TimeLeft(),
        console=messages,
        disable=not messages.is_terminal,
        transient=True,
    )
