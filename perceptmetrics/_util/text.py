"""Make text from elsewhere, such as file names, fit to be shown."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    r"""Escape what cannot be shown: control and formatting characters and invalid UTF-8.

    Example:
        >>> print(printable("one\ntwo, turned round by \u202e"))
        one\ntwo, turned round by \u202e
    """
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
