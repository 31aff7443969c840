"""Where a report goes: one file whose suffix says what it is, or a folder that takes all of them."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from perceptmetrics._util.atomic import write_whole
from perceptmetrics._util.version import __version__
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.reports.plots import PLOT_FORMS, figure_bytes

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from matplotlib.figure import Figure

__all__ = ["Makers", "check_output", "json_bytes", "plot_makers", "write_report"]

Makers: TypeAlias = "Mapping[str, Callable[[], bytes]]"
"""What makes each file of a report, by suffix without its dot."""

_ONLY_BY_NAME = frozenset({"pdf"})


def check_output(output: Path, forms: Iterable[str]) -> None:
    """Refuse an output that cannot be written, before hours are spent on what should go there.

    Args:
        output: A folder, or a file with one of the suffixes.
        forms: Suffixes without dot that the report has.

    Raises:
        InvalidOptionError: It is neither.
    """
    form = output.suffix.lstrip(".").lower()
    if output.is_dir() or (not form and not output.exists()):
        return
    if form not in forms or (output.exists() and not output.is_file()):
        raise InvalidOptionError(
            f"Expected a folder or a file that ends in {', '.join('.' + form for form in forms)}, got {str(output)!r}. "
            "(A folder with a dot in its name must exist already.)"
        )


def write_report(output: str | os.PathLike[str], stem: str | Mapping[str, str], makers: Makers) -> list[Path]:
    """Write one file, or all files of a report into a folder, each whole or not at all.

    Args:
        output: See `check_output`. Files of the same names are replaced.
        stem: Name of the files in a folder, without suffix; or the name of each by its suffix.
        makers: What makes each file.

    Returns:
        The files.

    Raises:
        InvalidOptionError: See `check_output`.
    """
    output = Path(output)
    check_output(output, makers)
    form = output.suffix.lstrip(".").lower()
    if not output.is_dir() and form:
        write_whole(output, makers[form]())
        return [output]
    stems = {form: stem if isinstance(stem, str) else stem[form] for form in makers if form not in _ONLY_BY_NAME}
    files = {output / f"{name}.{form}": makers[form] for form, name in stems.items()}
    for path, make in files.items():
        write_whole(path, make())
    return list(files)


def plot_makers(draw: Callable[[], Figure], forms: Sequence[str] = PLOT_FORMS) -> dict[str, Callable[[], bytes]]:
    """Makers of a plot in each form; it is drawn when it is written."""

    def maker(form: str) -> Callable[[], bytes]:
        return lambda: figure_bytes(draw(), form)

    return {form: maker(form) for form in forms}


def json_bytes(experiment: str, result: Mapping[str, Any]) -> bytes:
    """A JSON object with the name of the experiment, the version of this package and the result; NaN becomes null."""
    content = {"experiment": experiment, "perceptmetrics": __version__, **result}
    return (json.dumps(_plain(content), indent=2, allow_nan=False) + "\n").encode("ascii")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 8) if math.isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value
