"""The command `check`: the tripwire for broken images, for people and for continuous integration."""

from __future__ import annotations

import json
import math
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from perceptmetrics.apps.cli.options import (
    Icc,
    ImageColumn,
    KeyColumn,
    MaxImagePixels,
    OutsidePaths,
    Workers,
    command,
)
from perceptmetrics.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from perceptmetrics.images.sources import Part
    from perceptmetrics.tripwire import Verdict

__all__ = ["check"]

_COLUMNS = ("image", "broken", "kind", "value", "threshold", "reason")


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """What is checked, how it is read, and where the verdicts go."""

    recursive: Annotated[bool, typer.Option(help="Search folders to any depth.")] = True
    image_column: ImageColumn = None
    key_column: KeyColumn = None
    outside_paths: OutsidePaths = False
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write, with every image: .csv or .jsonl.", show_default=False),
    ] = None
    form: Annotated[
        Literal["table", "csv", "jsonl"] | None,
        typer.Option("--format", help="Default: by the suffix of --output, else a table.", show_default=False),
    ] = None
    workers: Workers = None
    icc: Icc = "convert"
    max_image_pixels: MaxImagePixels = None


@command
def check(
    images: Annotated[
        list[str],
        typer.Argument(
            help="Images, folders, patterns such as 'out/**/*.png', tar, Parquet and CSV files, addresses.",
            show_default=False,
        ),
    ],
    *,
    options: CheckOptions,
) -> int:
    """Find broken images: noise, black or lost parts, seams, swapped channels and other faults of programs.

    Names each broken image with its fault. A table shows the broken ones, a file all. The exit status is 1 if an image
    is broken or cannot be read, 0 if all are healthy, and 2 if the command itself is at fault. Examples:

    - `perceptmetrics check outputs/`

    - `perceptmetrics check outputs/ --output verdicts.jsonl`
    """
    from perceptmetrics.images.sources import ReadOptions, find_parts, read_part
    from perceptmetrics.tripwire import check_images

    form = _format(options)
    read = ReadOptions(
        image_column=options.image_column, key_column=options.key_column, outside_paths=options.outside_paths
    )
    parts = list(find_parts(images, recursive=options.recursive))
    sources = (source for part in parts for source in read_part(part, read))
    verdicts = _watched(check_images(sources, workers=options.workers), _count(parts))
    return _show(verdicts) if form == "table" else _write(verdicts, form, options.output)


def _format(options: CheckOptions) -> str:
    if options.output is None:
        return options.form or "table"
    form = options.form or options.output.suffix.lstrip(".").lower()
    if form not in ("csv", "jsonl"):
        raise InvalidOptionError(
            f"--output writes CSV or JSON Lines, got {repr(form) if form else 'no suffix'}. Name the file .csv or "
            ".jsonl, or add --format csv."
        )
    if options.output.exists() and not options.output.is_file():
        raise InvalidOptionError(f"{options.output} is not a regular file. To print the verdicts, leave out --output.")
    return form


def _count(parts: list[Part]) -> int | None:
    """Number of images; None if it is not known in advance."""
    return None if any(part.container is not None for part in parts) else sum(len(part.files) for part in parts)


def _watched(verdicts: Iterator[Verdict], total: int | None) -> Iterator[Verdict]:
    """Pass verdicts on with a progress bar on a terminal, and say at the end how many images are broken."""
    from perceptmetrics.apps.cli.console import messages
    from perceptmetrics.apps.cli.progress import image_progress

    broken = seen = 0
    with image_progress() as progress:
        task = progress.add_task("checking", total=total, rate=0.0)
        for verdict in verdicts:
            seen, broken = seen + 1, broken + verdict.broken
            progress.update(task, completed=seen, rate=seen / max(progress.tasks[0].elapsed or 0.0, 1e-3))
            yield verdict
    messages.print(f"{broken} of {seen} images are broken.")


def _show(verdicts: Iterator[Verdict]) -> int:
    from perceptmetrics.apps.cli.console import foreign, new_table, results

    table = new_table(("image", "fault", "reason"), whole=("fault",))
    for verdict in verdicts:
        if verdict.broken:
            table.add_row(foreign(verdict.name), verdict.kind, foreign(verdict.reason))
    if table.row_count:
        results.print(table)
    return int(table.row_count > 0)


def _write(verdicts: Iterator[Verdict], form: str, output: Path | None) -> int:
    status = 0
    with _opened(output) as stream:
        stream.write(_start(form))
        for verdict in verdicts:
            stream.write(_line(verdict, form))
            stream.flush()
            status |= verdict.broken
    return int(status)


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears as a whole."""
    from perceptmetrics._util.atomic import replacing
    from perceptmetrics.scoring.results_journal import open_text

    if output is None:
        yield sys.stdout
        return
    with replacing(output) as temporary, open_text(temporary, "w") as stream:
        yield stream


def _start(form: str) -> str:
    from perceptmetrics._util.csv_cells import csv_line

    return csv_line(_COLUMNS) if form == "csv" else ""


def _line(verdict: Verdict, form: str) -> str:
    """One image; a number that there is none of is an empty cell in CSV and null in JSON Lines."""
    from perceptmetrics._util.csv_cells import DECIMALS, csv_line

    fields = asdict(verdict)
    if form == "csv":
        return csv_line([fields.pop("name"), str(fields.pop("broken")).lower(), *fields.values()])
    for name in ("value", "threshold"):
        fields[name] = round(fields[name], DECIMALS) if math.isfinite(fields[name]) else None
    return json.dumps({"image": fields.pop("name"), **fields}) + "\n"
