"""`perceptmetrics dataset`: what data sets there are, and whether one on this disk is sound."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from perceptmetrics.apps.cli.console import fail

__all__ = ["dataset_app"]

dataset_app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@dataset_app.command("list")
def list_command() -> None:
    """List the data sets: task, official size, paper, licence, how to obtain them."""
    from perceptmetrics.apps.cli.dataset_runs import print_datasets

    print_datasets()


@dataset_app.command()
def check(
    name: Annotated[str, typer.Argument(help="A data set, as named by `perceptmetrics dataset list`.")],
    root: Annotated[Path, typer.Argument(help="The folder into which it was unpacked.")],
    missing: Annotated[
        Literal["error", "skip"], typer.Option(help="Whether labelled images without a file are a problem.")
    ] = "error",
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            help="NAME=VALUE: an option of this data set; repeat for another, or for a list of values.",
            show_default=False,
        ),
    ] = None,
    splits: Annotated[
        int | None, typer.Option(min=1, help="How many splits to look at. Default: as many as the papers.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of drawn splits.")] = 0,
) -> None:
    """Check a data set: counts, labels and their range, sizes, damaged files, duplicates, leaks between splits.

    The exit status is 1 when there are problems. Examples:

    - `perceptmetrics dataset check livec ChallengeDB_release/ --missing skip`

    - `perceptmetrics dataset check csv photos/ --option columns=mos --option lower=1 --option upper=5`
    """
    from perceptmetrics.apps.cli.dataset_runs import run_check

    try:
        status = run_check(name, root, option or [], accept_missing=missing == "skip", count=splits, seed=seed)
    except KeyboardInterrupt:
        fail("Interrupted.", status=130)
    raise typer.Exit(status)
