"""Check the labels of a training, and say which line to type where they cannot be right."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from perceptmetrics.apps.cli.console import messages, printable
from perceptmetrics.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perceptmetrics.datasets import LabelledImages

__all__ = ["check_labels_of_command"]


def check_labels_of_command(
    datasets: Sequence[LabelledImages], recipe: str, typed: Mapping[str, Any], *, dry_run: bool
) -> None:
    """Refuse labels that cannot be right, with the command that would train.

    Args:
        datasets: The data sets.
        recipe: The recipe as it was typed.
        typed: What was typed for each option, by its long name; a list for those that repeat.
        dry_run: Whether to print doubts that do not stop a training; a run itself warns of them.

    Raises:
        DatasetError: Labels cannot be right.
    """
    from perceptmetrics.datasets.doubts import label_doubts
    from perceptmetrics.finetune.data.checks import doubt_text, option_words

    for dataset in datasets:
        prefix = f"{dataset.name}." if len(datasets) > 1 else ""
        for doubt in label_doubts(dataset):
            if not doubt.is_error:
                if dry_run:
                    messages.print(doubt_text(dataset, doubt), markup=False)
                continue
            replaced = {f"{prefix}{name}" for name in doubt.options} | set(doubt.options)
            words = option_words(doubt, prefix)
            kept = [one for one in typed.get("option") or [] if one.partition("=")[0] not in replaced]
            line = _line(recipe, {**typed, "option": kept}, words)
            advice = f" Type, with what is true of your ratings:\n  {line}" if words else ""
            raise DatasetError(printable(f"{dataset.name}: {doubt.text}") + advice)


def _line(recipe: str, typed: Mapping[str, Any], more: Sequence[str]) -> str:
    words = ["perceptmetrics", "finetune", recipe]
    for name, value in typed.items():
        for one in value if isinstance(value, list) else [value]:
            words += [] if one in (None, False) else [f"--{name}"] if one is True else [f"--{name}", str(one)]
    return printable(shlex.join([*words, *more]))
