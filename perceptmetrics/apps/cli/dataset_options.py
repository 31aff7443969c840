"""Options of data sets, as commands take them: `NAME=VALUE`, of one data set among several `DATASET.NAME=VALUE`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from perceptmetrics.errors import InvalidOptionError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["parse_dataset_options", "parse_options_of_several"]


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


def parse_options_of_several(options: Sequence[str], datasets: Sequence[str]) -> dict[str, dict[str, object]]:
    """Read what users write as `NAME=VALUE` for all data sets, or `DATASET.NAME=VALUE` for one of them.

    Args:
        options: Such texts, in any number.
        datasets: The data sets.

    Returns:
        For each data set, values by name, see `parse_dataset_options`.

    Raises:
        InvalidOptionError: A text has another form, or names another data set.
    """
    of_each: dict[str, list[str]] = {name: [] for name in datasets}
    for option in options:
        owner, dot, _ = option.partition("=")[0].partition(".")
        if dot and owner not in of_each:
            raise InvalidOptionError(f"{option!r} is for no data set of this run. {nearest_names(owner, datasets)}")
        for name in [owner] if dot else datasets:
            of_each[name].append(option.removeprefix(f"{owner}.") if dot else option)
    return {name: parse_dataset_options(own) for name, own in of_each.items()}


def _value(text: str) -> object:
    try:
        value = json.loads(text.lower() if text in ("True", "False") else text)
    except ValueError:
        return text
    return value if isinstance(value, (bool, int, float, str)) else text
