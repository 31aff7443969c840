"""Where a program is written."""

from __future__ import annotations

from pathlib import Path

from perceptmetrics.errors import InvalidOptionError

__all__ = ["check_file"]


def check_file(path: Path | str, suffix: str, *, overwrite: bool) -> Path:
    """Check that a program may be written to a file.

    Args:
        path: The file.
        suffix: What its name must end in.
        overwrite: Whether a file that lies there may be replaced.

    Returns:
        The absolute path.

    Raises:
        InvalidOptionError: The name ends otherwise, the file exists, or it is a folder.
    """
    found = Path(path).expanduser().resolve()
    if found.suffix.lower() != suffix:
        raise InvalidOptionError(f"Expected a file name that ends in {suffix}, got {found.name!r}.")
    if found.is_dir():
        raise InvalidOptionError(f"{found} is a folder; expected a file to write.")
    if found.exists() and not overwrite:
        raise InvalidOptionError(
            f"{found} exists already. Choose another name, or replace it with --overwrite (overwrite=True)."
        )
    return found
