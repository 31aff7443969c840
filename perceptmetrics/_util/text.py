"""Make values and text from elsewhere, such as file names, fit to be shown and compared."""

from __future__ import annotations

import reprlib
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["composed", "printable", "recomposed", "shown"]


def printable(text: str) -> str:
    r"""Escape what cannot be shown: control and formatting characters and invalid UTF-8.

    Examples:
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

    Examples:
        >>> shown("half"), len(shown("x" * 5_000_000))
        ("'half'", 200)
    """
    return _short.repr(value)


def composed(text: str) -> str:
    """Text in composed Unicode (NFC): "e" and a combining accent become one character, as on most systems but macOS."""
    return unicodedata.normalize("NFC", text)


def recomposed(names: Collection[str], known: Collection[str]) -> dict[str, str]:
    """Recognise names that differ from known ones only in their Unicode composition.

    Args:
        names: Each once.
        known: Each once.

    Returns:
        The known name of each name that is not known itself, where exactly one name and one known name without a
        partner of exactly its name are equal in NFC.
    """
    new = _alone(set(names) - set(known))
    old = _alone(set(known) - set(names))
    return {new[key]: old[key] for key in new.keys() & old.keys()}


def _alone(names: Iterable[str]) -> dict[str, str]:
    """Names by their composed form, where no other has the same."""
    by_form: dict[str, list[str]] = {}
    for name in names:
        by_form.setdefault(composed(name), []).append(name)
    return {form: same[0] for form, same in by_form.items() if len(same) == 1}
