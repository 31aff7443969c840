"""Commands and their options. What needs PyTorch is imported when a command runs, so that help is instant."""

from __future__ import annotations

import os
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer

from perceptmetrics._util.version import __version__
from perceptmetrics.apps.cli.benchmark import benchmark
from perceptmetrics.apps.cli.console import fail
from perceptmetrics.apps.cli.dataset import dataset_app
from perceptmetrics.apps.cli.demo import demo
from perceptmetrics.apps.cli.experiments import add_experiments
from perceptmetrics.apps.cli.explain import add_explanations
from perceptmetrics.apps.cli.export import export
from perceptmetrics.apps.cli.finetune import finetune
from perceptmetrics.apps.cli.publish import add_publishing
from perceptmetrics.apps.cli.score import score
from perceptmetrics.apps.cli.serve import serve
from perceptmetrics.errors import PerceptMetricsError

__all__ = ["app", "main"]

app = typer.Typer(
    name="perceptmetrics",
    help="Score how people perceive images: quality, attributes, memorability, emotion.",
    epilog="Start with: perceptmetrics score --samples",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


class WeightsForm(str, Enum):
    """How converted weights are laid out."""

    slim = "slim"
    merged = "merged"


CacheDir = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads this at run time on Python 3.10
    typer.Option(help="Folder of downloaded weights. Default: the Hugging Face cache.", show_default=False),
]


def main() -> None:
    """Run the command line."""
    try:
        app()
    except PerceptMetricsError as error:
        fail(str(error))
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that cannot be written
        fail(str(error))


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"perceptmetrics {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command("list")
def list_command(
    pattern: Annotated[str, typer.Argument(help="Shell-style pattern, such as 'clip*'.", show_default=False)] = "",
    cache_dir: CacheDir = None,
) -> None:
    """List the metrics: task, range, direction, licence, size, and whether their weights are on this machine."""
    from perceptmetrics.apps.cli.catalogue import print_list

    print_list(pattern, cache_dir)


@app.command()
def info(
    name: Annotated[str, typer.Argument(help="A metric, as named by `perceptmetrics list`.", show_default=False)],
    cache_dir: CacheDir = None,
) -> None:
    """Show a metric's card: what its score means, paper, training data, limits, licence, files."""
    from perceptmetrics.apps.cli.catalogue import print_card

    print_card(name, cache_dir)


@app.command()
def fetch(
    names: Annotated[list[str], typer.Argument(help="Metrics whose weights to download.", show_default=False)],
    backbone: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Option(help="The CLIP that backbone= will name, such as ViT-L-14.", show_default=False),
    ] = None,
    revision: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Option(help="Another revision of its Hub repository.", show_default=False),
    ] = None,
    cache_dir: CacheDir = None,
) -> None:
    """Download the weights of metrics, verify them, and print address, size and sha256.

    Afterwards the metrics work offline. Set HF_ENDPOINT to download from a mirror.
    """
    from perceptmetrics.apps.cli.catalogue import fetch_and_print

    fetch_and_print(names, backbone, revision, cache_dir)


@app.command()
def convert(
    source: Annotated[
        Path, typer.Argument(help="A released file (.pth), or a metric that was exported or converted.", metavar="SRC")
    ],
    destination: Annotated[Path, typer.Argument(help="Folder to write.", metavar="DST")],
    metric: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Option("--metric", "-m", help="Whose file it is, where its name does not say.", show_default=False),
    ] = None,
    form: Annotated[
        WeightsForm, typer.Option(help="slim: adapters and head, to go with the CLIP they tune. merged: all in one.")
    ] = WeightsForm.slim,
    half: Annotated[bool, typer.Option("--half", help="Store a merged encoder in float16.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what the folder holds.")] = False,
    backbone_checkpoint: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this at run time on Python 3.10
        typer.Option(help="The CLIP of a slim source, instead of the one in the cache.", show_default=False),
    ] = None,
) -> None:
    """Convert trained weights to safetensors: 11.6 MB of adapters and head, or one file with everything.

    The folder holds `model.safetensors`, `spec.json` and `golden.safetensors` (pictures and their scores). It is read
    again and compared with the source before it appears. Examples:

    - `perceptmetrics convert perceptCLIP_IQA.pth iqa-slim`

    - `perceptmetrics convert iqa-slim iqa-merged --form merged --half`
    """
    from perceptmetrics.apps.cli.convert import convert_and_print

    convert_and_print(
        source,
        destination,
        metric=metric,
        form=form.value,
        half=half,
        overwrite=overwrite,
        encoder=backbone_checkpoint,
    )


add_publishing(app)
add_experiments(app)
add_explanations(app)
app.command()(score)
app.command()(export)
app.command()(finetune)
app.command()(benchmark)
app.command()(demo)
app.command()(serve)
app.add_typer(dataset_app, name="dataset", help="Data sets of images with human labels: list them, check one.")
