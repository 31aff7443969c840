"""How commands with results begin and end: is the output possible, what was written, what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from perceptmetrics.apps.cli.console import messages, printable
from perceptmetrics.reports import check_output, write_report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from perceptmetrics.reports import Makers
    from perceptmetrics.scoring.results import ScoredImage

__all__ = ["check_before", "finish", "name_all", "report_failures"]


def check_before(output: Path | None, forms: Sequence[str]) -> None:
    """Refuse an output that cannot be written, before anything is scored."""
    if output is not None:
        check_output(output, forms)


def finish(output: Path | None, stem: str | Mapping[str, str], makers: Makers, failed: Sequence[ScoredImage]) -> int:
    """Write a report, or say that one could be written, and name the images that failed; the exit status."""
    if output is None:
        messages.print(f"Add --output FOLDER for {', '.join('.' + form for form in makers)}.", markup=False)
    else:
        for path in write_report(output, stem, makers):
            messages.print(f"Wrote {printable(str(path))}.", markup=False)
    return report_failures(failed)


def report_failures(failed: Sequence[ScoredImage]) -> int:
    """Name the images that could not be scored; the exit status, 1 when there are any."""
    for row in failed:
        reason = str(row.error) if row.name in str(row.error) else f"{row.name}: {row.error}"
        messages.print(Text("Not scored: ", style="red"), Text(printable(reason)), sep="")
    return 1 if failed else 0


def name_all(what: str, names: Sequence[str]) -> None:
    """Print names under a heading with their number; nothing when there are none."""
    if names:
        messages.print(f"{what}: {len(names)}", markup=False)
        for name in names:
            messages.print(f"  {printable(name)}", markup=False)
