"""Write reports: a single file chosen by its suffix, or all files of a report into a folder."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from perceptmetrics._util.atomic import write_whole
from perceptmetrics._util.files import refuse_empty
from perceptmetrics._util.version import __version__
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.reports.plots import PLOT_FORMATS, figure_bytes

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from matplotlib.figure import Figure

    from perceptmetrics.scoring.results import ScoredImage

__all__ = ["Makers", "check_output", "failures", "json_bytes", "plot_makers", "write_report"]

Makers: TypeAlias = "Mapping[str, Callable[[], bytes]]"
"""Functions that make the files of a report, by suffix without dot."""

_ONLY_BY_NAME = frozenset({"pdf"})


def check_output(output: Path, formats: Iterable[str]) -> None:
    """Refuse an output path that cannot be written, before hours are spent on its content.

    Args:
        output: A folder, or a file with one of the suffixes.
        formats: Suffixes of the report's files, without dot.

    Raises:
        InvalidOptionError: The path is neither.
    """
    suffix = output.suffix.lstrip(".").lower()
    if output.is_dir() or (not suffix and not output.exists()):
        return
    if suffix not in formats or (output.exists() and not output.is_file()):
        raise InvalidOptionError(
            f"Expected a folder or a file that ends in {', '.join(f'.{known}' for known in formats)}, got "
            f"{str(output)!r}. (A folder with a dot in its name must exist already.)"
        )


def write_report(output: str | os.PathLike[str], stem: str | Mapping[str, str], makers: Makers) -> list[Path]:
    """Write one file, or all files of a report into a folder; each file is written atomically.

    Args:
        output: See `check_output`. Files of the same names are replaced.
        stem: Name of the files in a folder, without suffix; or a name for each suffix.
        makers: Makers of the files.

    Returns:
        The written files.

    Raises:
        InvalidOptionError: See `check_output`.
    """
    refuse_empty(output=output)
    output = Path(output)
    check_output(output, makers)
    suffix = output.suffix.lstrip(".").lower()
    if not output.is_dir() and suffix:
        write_whole(output, makers[suffix]())
        return [output]
    stems = {key: stem if isinstance(stem, str) else stem[key] for key in makers if key not in _ONLY_BY_NAME}
    files = {output / f"{name}.{key}": makers[key] for key, name in stems.items()}
    for path, make in files.items():
        write_whole(path, make())
    return list(files)


def plot_makers(draw: Callable[[], Figure], formats: Sequence[str] = PLOT_FORMATS) -> dict[str, Callable[[], bytes]]:
    """Makers of a plot in each format; the plot is drawn when it is written."""

    def maker(suffix: str) -> Callable[[], bytes]:
        return lambda: figure_bytes(draw(), suffix)

    return {suffix: maker(suffix) for suffix in formats}


def failures(failed: Iterable[ScoredImage]) -> list[dict[str, str]]:
    """Images that could not be scored, each with the reason, for JSON and pages."""
    return [{"image": row.name, "reason": row.error or ""} for row in failed]


def json_bytes(experiment: str, result: Mapping[str, Any]) -> bytes:
    """Encode a result as JSON with the name of the experiment and the version of this package; NaN becomes null."""
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
