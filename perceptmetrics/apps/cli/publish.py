"""`push`: an exported metric onto the Hub."""

from pathlib import Path
from typing import Annotated

import typer

from perceptmetrics.apps.cli.console import messages, printable, results

__all__ = ["add_publishing"]


def add_publishing(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(push)


def push(
    folder: Annotated[Path, typer.Argument(help="An exported metric, or a run that ended.", metavar="RUN_OR_FOLDER")],
    repository: Annotated[str, typer.Argument(help="Where to publish it.", metavar="ORGANISATION/NAME")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository a private one.")] = False,
    revision: Annotated[
        str | None, typer.Option(help="Branch to write to, made when it is missing. Default: main.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the folder; ask nothing of the Hub.")] = False,
    backbone_checkpoint: Annotated[
        Path | None, typer.Option(help="The encoder of a slim metric, for the check.", show_default=False)
    ] = None,
) -> None:
    """Publish a metric on the Hugging Face Hub.

    Its specification, weights and golden scores are checked first, then uploaded in one commit with its model card and,
    where there are any, recipe and report. Needs HF_TOKEN. Examples:

    - `perceptmetrics push runs/livec me/livec-quality --private`

    - `perceptmetrics push runs/livec me/livec-quality --dry-run`
    """
    from perceptmetrics.export.publish import publish

    messages.print(f"Checking {'' if dry_run else 'and publishing '}{printable(str(folder))} ...", markup=False)
    published = publish(
        folder, repository, private=private, revision=revision, dry_run=dry_run, encoder=backbone_checkpoint
    )
    for name, size in published.files.items():
        results.print(f"{name}  {size / 1e6:.3f} MB", markup=False)
    results.print(f"Golden scores differ by at most {published.deviation:.1e}.")
    results.print(f"{'Would be published at' if dry_run else 'Published at'} {published.url}", markup=False)
    results.print(f"Load it with: {published.loading_line}", markup=False, soft_wrap=True)
