"""The command `publish`: an exported metric or a finished run, onto the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perceptmetrics.apps.cli.console import messages, printable, results
from perceptmetrics.apps.cli.options import command

__all__ = ["publish"]


@command
def publish(
    folder: Annotated[Path, typer.Argument(help="An exported metric, or a finished run.", metavar="FOLDER")],
    repository: Annotated[str, typer.Argument(help="Repository on the Hub.", metavar="ORGANISATION/NAME")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    revision: Annotated[
        str | None,
        typer.Option(help="Branch to write to; created if it is missing. Default: main.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check the folder; do not contact the Hub.")] = False,
    backbone_checkpoint: Annotated[
        Path | None,
        typer.Option(help="Encoder weights of a slim metric, for the check: a file or folder.", show_default=False),
    ] = None,
) -> None:
    """Publish a metric on the Hugging Face Hub.

    First its specification, weights and golden scores are checked; then they are uploaded in one commit, with a model
    card and, where the folder has them, recipe and report. Needs HF_TOKEN. Examples:

    - `perceptmetrics publish runs/livec me/livec-quality --private`

    - `perceptmetrics publish runs/livec me/livec-quality --dry-run`
    """
    from perceptmetrics.export.publish import publish as publish_folder

    messages.print(f"Checking {'' if dry_run else 'and publishing '}{printable(str(folder))} ...", markup=False)
    published = publish_folder(
        folder, repository, private=private, revision=revision, dry_run=dry_run, encoder=backbone_checkpoint
    )
    for name, size in published.files.items():
        results.print(f"{name}  {size / 1e6:.3f} MB", markup=False, soft_wrap=True)
    results.print(f"Golden scores differ by at most {published.deviation:.1e}.")
    results.print(f"{'Would be published at' if dry_run else 'Published at'} {published.url}", markup=False)
    results.print(f"Load it with: {published.loading_line}", markup=False, soft_wrap=True)
