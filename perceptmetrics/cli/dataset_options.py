"""Options of data sets, as commands take them: `NAME=VALUE`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from perceptmetrics.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["parse_dataset_options"]


def parse_dataset_options(options: Sequence[str]) -> dict[str, object]:
    """Read what users write as `NAME=VALUE`.

    Args:
        options: Such texts, in any number.

    Returns:
        Values by name: numbers and `true` or `false` as such, everything else as text; repeated ones as a list.

    Raises:
        InvalidOptionError: A text has another form.
    """
    values: dict[str, list[object]] = {}
    for option in options:
        name, separator, text = option.partition("=")
        if not separator or not name:
            raise InvalidOptionError(f"Expected NAME=VALUE after --option, got {option!r}.")
        values.setdefault(name, []).append(_value(text))
    return {name: several[0] if len(several) == 1 else several for name, several in values.items()}


def _value(text: str) -> object:
    try:
        value = json.loads(text.lower() if text in ("True", "False") else text)
    except ValueError:
        return text
    return value if isinstance(value, (bool, int, float, str)) else text
