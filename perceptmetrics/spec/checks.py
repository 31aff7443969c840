"""Checks that every part of a specification shares."""

from __future__ import annotations

import re

from perceptmetrics.errors import InvalidSpecError

__all__ = ["require", "require_rgb", "require_sha256", "require_text"]

_SHA256 = re.compile(r"[0-9a-f]{64}")


def require(condition: bool, message: str) -> None:
    """Raise `InvalidSpecError` with a message unless a condition holds."""
    if not condition:
        raise InvalidSpecError(message)


def require_text(owner: str, **fields: str) -> None:
    """Require texts that are stated, by their names in `owner`."""
    for name, value in fields.items():
        require(isinstance(value, str) and bool(value.strip()), f"{owner}.{name} must be stated, got {value!r}.")


def require_sha256(owner: str, value: str | None) -> None:
    """Require a well-formed hash, or None."""
    require(
        value is None or _SHA256.fullmatch(value) is not None,
        f"{owner}.sha256 must be 64 lower-case hexadecimal digits, or None when it is unknown; got {value!r}.",
    )


def require_rgb(owner: str, **fields: tuple[float, ...]) -> None:
    """Require one number per colour channel."""
    for name, value in fields.items():
        require(len(value) == 3, f"{owner}.{name} needs three numbers (R, G, B), got {value!r}.")
