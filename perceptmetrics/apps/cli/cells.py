"""What the tables of several commands are made of."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from perceptmetrics.apps.cli.console import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["facts", "foreign", "format_interval", "format_number", "name_some", "new_table"]

NAMED = 10


def new_table(left: Sequence[str], right: Sequence[str]) -> Table:
    """An empty table.

    Args:
        left: Headings of the first columns, of words.
        right: Headings of the others, of numbers.
    """
    table = Table(box=None, pad_edge=False)
    for heading in left:
        table.add_column(heading, justify="right" if heading == "place" else "left")
    for heading in right:
        table.add_column(heading, justify="left" if heading == "image" else "right", overflow="fold")
    return table


def facts(rows: Iterable[tuple[str, str]]) -> Table:
    """A table of names with their values."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table


def foreign(text: str | Path) -> Text:
    """Text from elsewhere, such as the name of a file, as it is; Rich reads no markup into it."""
    return Text(printable(str(text)))


def format_number(value: float, form: str) -> str:
    """A number in a form of `format`."""
    return "undefined" if math.isnan(value) else format(value, form)


def format_interval(interval: tuple[float, float] | None, form: str) -> str:
    """Both ends of an interval in a form of `format`; nothing where there is none."""
    if interval is None or math.isnan(interval[0]):
        return ""
    return f"[{interval[0]:{form}}, {interval[1]:{form}}]"


def name_some(names: Sequence[str]) -> str:
    """The first ten of names, and how many more there are."""
    more = f", and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
