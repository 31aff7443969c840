"""The end of commands with results: report files are checked before and written after, failures are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceptmetrics.apps.cli.console import messages, print_failure, printable
from perceptmetrics.reports import check_output, write_report

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from perceptmetrics.reports import Makers
    from perceptmetrics.scoring.results import ScoredImage

__all__ = ["check_before", "finish", "print_written", "report_failures", "suggest_output"]


def check_before(output: Path | None, forms: Sequence[str]) -> None:
    """Refuse an output that cannot be written, before anything is scored."""
    if output is not None:
        check_output(output, forms)


def finish(output: Path | None, stem: str | Mapping[str, str], makers: Makers, failed: Sequence[ScoredImage]) -> int:
    """Write a report, or say that one could be written, and name the images that failed; the exit status."""
    if output is None:
        suggest_output(makers)
    else:
        print_written(write_report(output, stem, makers))
    return report_failures((row.name, str(row.error)) for row in failed)


def suggest_output(forms: Iterable[str]) -> None:
    """Say which files `--output` would write."""
    messages.print(f"Add --output FOLDER for {', '.join('.' + form for form in forms)}.", markup=False)


def print_written(paths: Iterable[Path]) -> None:
    """Name the files that were written."""
    for path in paths:
        messages.print(f"Wrote {printable(str(path))}.", markup=False)


def report_failures(failed: Iterable[tuple[str, str]]) -> int:
    """Print the images that could not be scored, with their reasons; the exit status, 1 when there are any."""
    status = 0
    for name, reason in failed:
        print_failure(name, reason)
        status = 1
    return status
