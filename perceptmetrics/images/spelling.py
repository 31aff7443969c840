"""What the names of files in a table stand for: tables and files come from different systems."""

from __future__ import annotations

import contextlib
from pathlib import Path, PurePosixPath

from perceptmetrics._util.csv_cells import unmarked
from perceptmetrics._util.text import composed

__all__ = ["spelled_in", "spellings"]


def spellings(name: str) -> list[str]:
    """What a name in a table may stand for, the name itself first.

    These are the name with slashes for backslashes; the name that `unmarked` restores from a CSV of this package; and,
    where a table was read as Windows-1252, the name of the same bytes.
    """
    spelled = [name, unmarked(name)]
    if not name.isascii():
        with contextlib.suppress(UnicodeEncodeError):
            spelled.append(name.encode("cp1252", "surrogateescape").decode("utf-8", "surrogateescape"))
    spelled += [PurePosixPath(one.replace("\\", "/")).as_posix() for one in spelled]
    return list(dict.fromkeys(spelled))


def spelled_in(folder: Path, name: str) -> str:
    """The spelling of a relative path under which something exists in a folder; the name itself if there is none.

    Where no spelling exists, each part of the path stands for the only entry that is equal in composed Unicode (NFC).
    """
    for spelling in spellings(name):
        with contextlib.suppress(OSError, ValueError):  # too long, or with a null character
            if (folder / spelling).exists():
                return spelling
    for spelling in spellings(name):
        matched = _composed_alike(folder, PurePosixPath(spelling))
        if matched is not None:
            return matched
    return name


def _composed_alike(folder: Path, path: PurePosixPath) -> str | None:
    found = PurePosixPath()
    for part in path.parts:
        try:
            entries = [entry.name for entry in (folder / found).iterdir() if composed(entry.name) == composed(part)]
        except (OSError, ValueError):
            return None
        if len(entries) != 1:
            return None
        found /= entries[0]
    return str(found) if path.parts else None
