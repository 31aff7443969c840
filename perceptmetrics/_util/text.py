"""Make values and text from elsewhere, such as file names, fit to be shown."""

from __future__ import annotations

import reprlib

__all__ = ["printable", "shown"]


def printable(text: str) -> str:
    r"""Escape what cannot be shown: control and formatting characters and invalid UTF-8.

    Example:
        >>> print(printable("one\ntwo, turned round by \u202e"))
        one\ntwo, turned round by \u202e
    """
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


class _Short(reprlib.Repr):
    """A `repr` of bounded length, whatever the value."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxtuple = self.maxlist = self.maxdict = self.maxset = self.maxfrozenset = 16
        self.maxstring = self.maxother = self.maxlong = 200

    def repr_int(self, value: int, level: int) -> str:
        """Python refuses to write integers of several thousand digits."""
        bits = value.bit_length()
        return repr(value) if bits <= 256 else f"an integer of {bits} bits"


_short = _Short()


def shown(value: object) -> str:
    """The `repr` of a value for an error message, abbreviated if it is long or deep.

    Example:
        >>> shown("half"), len(shown("x" * 5_000_000))
        ("'half'", 200)
    """
    return _short.repr(value)
