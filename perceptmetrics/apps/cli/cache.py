"""The commands `cache info` and `cache clear`: what lies in the cache, and how it is removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from perceptmetrics.apps.cli.console import messages, new_table, printable, property_table, results
from perceptmetrics.apps.cli.options import command

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["clear", "info"]

_UNITS = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "kB": 10**3}


@command
def info() -> None:
    """Show what lies in the cache: files, size, and days since the first and the last of them was used.

    For example:

    - `perceptmetrics cache info`
    """
    from perceptmetrics.weights.cache import cache_home
    from perceptmetrics.weights.cache_content import CACHE_KINDS, cache_content, feature_limit
    from perceptmetrics.weights.trust import first_seen_folder

    headings = ("kind", "files", "size", "days unused", "what it is")
    table = new_table(headings, right=("files", "size", "days unused"), whole=("kind",))
    content = cache_content()
    for kind in content:
        ages = "" if kind.oldest is None or kind.newest is None else f"{kind.oldest:.0f} to {kind.newest:.0f}"
        table.add_row(kind.name, f"{kind.files:,}", _size(kind.size), ages, CACHE_KINDS[kind.name])
    results.print(table)
    trusted = first_seen_folder()
    rows = [
        ("cache", printable(str(cache_home()))),
        ("size", _size(sum(kind.size for kind in content))),
        ("limit of features", _size(feature_limit())),
        ("hashes of first downloads", f"{_count(trusted)} in {printable(str(trusted))}; never cleared"),
    ]
    results.print(property_table(rows))


@command
def clear(
    kinds: Annotated[
        list[str] | None,
        typer.Argument(help="Kinds, as `perceptmetrics cache info` names them. Default: all.", show_default=False),
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(min=0, help="Only files that have not been used for as many days.", show_default=False),
    ] = None,
) -> None:
    """Remove files from the cache. What is needed again is computed again; hashes of first downloads stay.

    For example:

    - `perceptmetrics cache clear features --older-than 30`
    """
    from perceptmetrics.weights.cache_content import clear_cache

    messages.print(f"Removed {_size(clear_cache(kinds or (), older_than=older_than))}.")


def _size(size: int) -> str:
    for unit, factor in _UNITS.items():
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.glob("*.json"))
