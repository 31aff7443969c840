"""What the texts of options mean: prompts, and options of data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perceptmetrics.errors import InvalidOptionError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.datasets import LabelledImages, Split

__all__ = [
    "parse_confusion",
    "parse_dataset_options",
    "parse_options_of_several",
    "parse_prompts",
    "split_files",
    "splits_of",
]


def parse_prompts(text: str) -> list[str | tuple[str, str]]:
    """Parse `--prompts`: attribute names and pairs `Positive.|Negative.`, separated by commas."""
    items = [item.strip() for item in text.split(",") if item.strip()]
    prompts: list[str | tuple[str, str]] = []
    for item in items:
        positive, bar, negative = (part.strip() for part in item.partition("|"))
        prompts.append((positive, negative) if bar else item)
    return prompts


def parse_dataset_options(options: Sequence[str]) -> dict[str, object]:
    """Parse `NAME=VALUE` options.

    Args:
        options: Any number of such texts.

    Returns:
        Values by name: numbers and `true` or `false` as such, everything else as text; repeated names as a list.

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
    """Parse `NAME=VALUE` for all data sets and `DATASET.NAME=VALUE` for one of them.

    Args:
        options: Any number of such texts.
        datasets: Names of the data sets.

    Returns:
        For each data set, values by name; see `parse_dataset_options`.

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


def parse_confusion(stated: str | None) -> tuple[str, str] | None:
    """Parse `TRUE=PREDICTED`, two classes.

    Raises:
        InvalidOptionError: It has another form.
    """
    if stated is None:
        return None
    true, equals, predicted = (part.strip() for part in stated.partition("="))
    if not (true and equals and predicted):
        raise InvalidOptionError(f"Expected --confusion TRUE=PREDICTED, such as awe=contentment, got {stated!r}.")
    return true, predicted


def split_files(stated: Sequence[str], datasets: Sequence[str]) -> dict[str, Path]:
    """Parse `FILE` for a single data set and `NAME=FILE` for one of several.

    Returns:
        The list of splits of each data set that has one.

    Raises:
        InvalidOptionError: A text has another form, names another data set, or one twice.
    """
    lists: dict[str, Path] = {}
    for text in stated:
        owner, equals, file = text.partition("=")
        if not (equals and owner in datasets):
            owner, file = datasets[0], text
            if text.isdecimal():
                raise InvalidOptionError(f"--splits names a file. For the number of splits: --set splits.count={text}.")
            if len(datasets) > 1:
                raise InvalidOptionError(
                    f"Expected --splits NAME=FILE with one of {', '.join(datasets)}, got {text!r}."
                )
        if owner in lists:
            raise InvalidOptionError(f"--splits is given twice for {owner}; a file may hold several splits.")
        lists[owner] = Path(file)
    return lists


def splits_of(
    dataset: LabelledImages, name: str, stated: str | None, seed: int
) -> tuple[LabelledImages, tuple[Split, ...], str]:
    """The splits that `--splits` means.

    Args:
        dataset: The data set.
        name: Its name in the registry.
        stated: A number, 0 for none; or a file with a list of splits; None for the number of the data set's papers.
        seed: Seed of splits that are drawn.

    Returns:
        The data set, with the splits of the file if there is one; the splits; what is to be said about them, or "".
    """
    from perceptmetrics.datasets import dataset_info, make_splits, splits_note, with_split_file

    info = dataset_info(name)
    count = int(stated) if stated is not None and stated.isdecimal() else info.split_count
    if stated is not None and not stated.isdecimal():
        dataset = with_split_file(dataset, stated)
        count = len(dataset.official_splits)
    if count == 0:
        return dataset, (), ""
    parts = make_splits(dataset, count, seed=seed, test=info.test_fraction, validation=info.validation_fraction)
    return dataset, parts, splits_note(dataset, count)


def _value(text: str) -> object:
    import json

    try:
        value = json.loads(text.lower() if text in ("True", "False") else text)
    except ValueError:
        return text
    return value if isinstance(value, (bool, int, float, str)) else text
