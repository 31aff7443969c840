"""The command line: every command by its name. To add one, write its function in a file of its own and name it here.

A command imports what needs PyTorch when it runs, so that help is instant.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from perceptmetrics._util.version import __version__
from perceptmetrics.apps.cli.attributes import attributes
from perceptmetrics.apps.cli.benchmark import benchmark
from perceptmetrics.apps.cli.cache import clear as clear_cache
from perceptmetrics.apps.cli.cache import info as cache_info
from perceptmetrics.apps.cli.catalogue import fetch, info, list_metrics
from perceptmetrics.apps.cli.check import check
from perceptmetrics.apps.cli.compare import compare
from perceptmetrics.apps.cli.console import fail
from perceptmetrics.apps.cli.convert import convert
from perceptmetrics.apps.cli.correlate import correlate
from perceptmetrics.apps.cli.dataset import check as check_dataset
from perceptmetrics.apps.cli.dataset import list_datasets
from perceptmetrics.apps.cli.demo import demo
from perceptmetrics.apps.cli.explain import explain
from perceptmetrics.apps.cli.export import export
from perceptmetrics.apps.cli.finetune import finetune
from perceptmetrics.apps.cli.heads import heads
from perceptmetrics.apps.cli.ladder import ladder
from perceptmetrics.apps.cli.options import CheckedCommand
from perceptmetrics.apps.cli.publish import publish
from perceptmetrics.apps.cli.rank import rank
from perceptmetrics.apps.cli.score import score
from perceptmetrics.apps.cli.serve import serve
from perceptmetrics.apps.cli.study import make_study, score_study
from perceptmetrics.errors import PerceptMetricsError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["app", "main"]

GROUPS = {
    "study": "Pairs of images for people to choose from, and how a metric agrees.",
    "dataset": "Data sets of images with human labels: list them, check one.",
    "cache": "What this package keeps to save time: show it, remove it.",
}
COMMANDS: dict[str, dict[str, Callable[..., None] | dict[str, Callable[..., None]]]] = {
    "Score": {
        "score": score,
        "check": check,
        "list": list_metrics,
        "info": info,
        "fetch": fetch,
        "explain": explain,
        "heads": heads,
    },
    "Experiments": {
        "rank": rank,
        "attributes": attributes,
        "compare": compare,
        "ladder": ladder,
        "correlate": correlate,
        "study": {"make": make_study, "score": score_study},
    },
    "Train": {
        "dataset": {"list": list_datasets, "check": check_dataset},
        "finetune": finetune,
        "benchmark": benchmark,
    },
    "Export": {
        "convert": convert,
        "export": export,
        "publish": publish,
        "cache": {"info": cache_info, "clear": clear_cache},
    },
    "Serve": {"serve": serve, "demo": demo},
}

app = typer.Typer(
    name="perceptmetrics",
    help="Score how people perceive images: quality, attributes, memorability, emotion.",
    epilog="Start with: perceptmetrics score --samples",
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for _panel, _commands in COMMANDS.items():
    for _name, _command in _commands.items():
        if isinstance(_command, dict):
            _group = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help=GROUPS[_name])
            for _subname, _subcommand in _command.items():
                _group.command(_subname, cls=CheckedCommand)(_subcommand)
            app.add_typer(_group, name=_name, rich_help_panel=_panel)
        else:
            app.command(_name, cls=CheckedCommand, rich_help_panel=_panel)(_command)


def main() -> None:
    """Run the command line."""
    try:
        app(prog_name="perceptmetrics")
    except PerceptMetricsError as error:
        fail(str(error))
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:  # a folder that cannot be written
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
