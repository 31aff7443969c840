"""What commands print with: results on standard output, everything else on standard error, and parts of tables."""

from __future__ import annotations

import importlib
import math
import os
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Literal, NoReturn

from rich.console import Console
from rich.text import Text

from perceptmetrics._util.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from rich.table import Table

__all__ = [
    "fail",
    "foreign",
    "format_interval",
    "format_number",
    "import_torch",
    "loading",
    "messages",
    "name_some",
    "new_table",
    "print_failure",
    "print_names",
    "printable",
    "property_table",
    "results",
]

NAMED = 10

messages = Console(stderr=True, highlight=False, soft_wrap=True)
# A pipe has no width of its own: do not fold tables there at 80 columns.
results = Console(highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160)


def fail(message: str, status: int = 2) -> NoReturn:
    """Print an error and exit with its status."""
    messages.print(Text("Error: ", style="bold red"), Text(message), sep="")
    raise SystemExit(status)


def loading(name: str) -> AbstractContextManager[object]:
    """A spinner on a terminal while something loads, such as a metric."""
    return messages.status(f"loading {printable(name)}") if messages.is_terminal else nullcontext()


def import_torch() -> None:
    """Import PyTorch, which takes a command's first seconds."""
    if "torch" not in sys.modules:
        with loading("PyTorch"):
            importlib.import_module("torch")


def print_failure(name: str, error: str) -> None:
    """Print why an image could not be scored."""
    reason = error if name in error else f"{name}: {error}"
    messages.print(Text("Not scored: ", style="red"), Text(printable(reason)), sep="")


def print_names(heading: str, names: Sequence[str]) -> None:
    """Print names, one a line, under a heading with their number; nothing when there are none."""
    if names:
        messages.print(f"{heading}: {len(names)}", markup=False)
        for name in names:
            messages.print(f"  {printable(name)}", markup=False)


def new_table(
    headings: Iterable[str],
    *,
    right: Collection[str] = (),
    folded: Collection[str] = ("image",),
    whole: Collection[str] = (),
) -> Table:
    """An empty table.

    Args:
        headings: Headings of all columns.
        right: Headings of the columns that are aligned to the right, such as numbers.
        folded: Headings of the columns in which words that are too long are broken; elsewhere they are cut.
        whole: Headings of the columns whose cells are never broken into lines.
    """
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in headings:
        justify: Literal["left", "right"] = "right" if heading in right else "left"
        overflow: Literal["fold", "ellipsis"] = "fold" if heading in folded else "ellipsis"
        table.add_column(heading, justify=justify, overflow=overflow, no_wrap=heading in whole)
    return table


def property_table(rows: Iterable[tuple[str, str | Text]]) -> Table:
    """A table of names and values."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table


def foreign(text: str | Path) -> Text:
    """Text from outside, such as a file name, printed as it is: Rich reads no markup in it."""
    return Text(printable(str(text)))


def format_number(value: float, form: str) -> str:
    """A number formatted by a format specification; NaN is "undefined"."""
    return "undefined" if math.isnan(value) else format(value, form)


def format_interval(interval: tuple[float, float] | None, form: str) -> str:
    """Both ends of an interval; empty where there is none."""
    if interval is None or math.isnan(interval[0]):
        return ""
    return f"[{interval[0]:{form}}, {interval[1]:{form}}]"


def name_some(names: Sequence[str]) -> str:
    """The first ten names, and how many more there are."""
    more = f", and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
