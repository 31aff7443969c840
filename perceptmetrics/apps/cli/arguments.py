"""Options that several commands share, and the few lines that every command of an experiment would repeat."""

import functools
import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from perceptmetrics.apps.cli.console import fail

__all__ = [
    "How",
    "Label",
    "MetricName",
    "MetricNames",
    "Output",
    "Paths",
    "Precision",
    "Seed",
    "experiment",
    "explanation",
]

Paths = Annotated[list[str], typer.Argument(help="Images, folders or patterns.", show_default=False)]
MetricName = Annotated[str, typer.Option("--metric", "-m", help="Metric to score with.")]
MetricNames = Annotated[
    list[str] | None,
    typer.Option("--metric", "-m", help="Metric to score with; repeat for several. Default: lite_iqa."),
]
Label = Annotated[
    str | None, typer.Option(help="Which score of a metric that gives several by label.", show_default=False)
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Folder for all files of the result, or one file, which its suffix chooses.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything that is drawn at random.")]


class Precision(str, Enum):
    """In what arithmetic encoders run."""

    int8 = "int8"


@dataclass(frozen=True, kw_only=True)
class How:
    """How metrics are created and run: the options that `experiment` adds to a command."""

    prompts: Annotated[
        str | None,
        typer.Option(
            help="Attributes for metrics that take prompts, such as 'quality,brightness,Cosy photo.|Cold photo.'.",
            show_default=False,
        ),
    ] = None
    device: Annotated[str, typer.Option(help="'auto' (a CUDA GPU if there is one), 'cpu', 'cuda:1', 'mps'.")] = "auto"
    batch_size: Annotated[int, typer.Option(min=1, help="Most images of one size to score together.")] = 8
    workers: Annotated[
        int | None,
        typer.Option(
            min=0, help="Threads that decode images. Default: one per processor, at most 8.", show_default=False
        ),
    ] = None
    backbone_checkpoint: Annotated[
        Path | None, typer.Option(help="CLIP weights from a file or folder instead of the Hub.", show_default=False)
    ] = None
    checkpoint: Annotated[
        Path | None, typer.Option(help="The metric's own trained weights from a file.", show_default=False)
    ] = None
    precision: Annotated[
        Precision | None,
        typer.Option(help="int8: faster on a processor, scores shift a little.", show_default=False),
    ] = None
    cache_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of downloaded weights. Default: the Hugging Face cache.", show_default=False),
    ] = None


def experiment(command: Callable[..., int], without: Collection[str] = ()) -> Callable[..., None]:
    """Make a command of a function with a keyword `how: How` that returns an exit status.

    In place of `how` the command has the options that are fields of `How`, except those that it would not use.
    """
    shared = {name: option for name, option in inspect.signature(How).parameters.items() if name not in without}
    own = inspect.signature(command)
    parameters = [parameter for name, parameter in own.parameters.items() if name != "how"]

    @functools.wraps(command)
    def wrapper(**options: object) -> None:
        how = How(**{name: options.pop(name) for name in shared})  # type: ignore[arg-type] # Typer checked them
        try:
            status = command(**options, how=how)
        except KeyboardInterrupt:
            fail("Interrupted.", status=130)
        raise typer.Exit(status)

    del wrapper.__wrapped__  # Typer is to see the signature below
    parameters += [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in shared.values()]
    wrapper.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters], return_annotation=None
    )
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapper


explanation = functools.partial(experiment, without=("batch_size", "workers"))
