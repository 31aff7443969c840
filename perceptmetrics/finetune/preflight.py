"""Check the labels of a run before it trains on them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from perceptmetrics._util.text import printable
from perceptmetrics.datasets.doubts import Doubt, label_doubts
from perceptmetrics.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.datasets import LabelledImages

__all__ = ["check_labels", "doubt_text", "option_words"]

_log = logging.getLogger(__name__)


def check_labels(datasets: Sequence[LabelledImages]) -> None:
    """Refuse labels that cannot be right, and warn of those that look wrong.

    Raises:
        DatasetError: Labels cannot be right; the message says what was found and which options to state.
    """
    for dataset in datasets:
        for doubt in label_doubts(dataset):
            if doubt.is_error:
                raise DatasetError(doubt_text(dataset, doubt))
            _log.warning("%s", doubt_text(dataset, doubt))


def doubt_text(dataset: LabelledImages, doubt: Doubt) -> str:
    """A doubt with the options that would mend it."""
    words = " ".join(option_words(doubt))
    return printable(f"{dataset.name}: {doubt.text}{f' Such as: {words}' if words else ''}")


def option_words(doubt: Doubt, prefix: str = "") -> list[str]:
    """The options that would mend a doubt, as words of the command line.

    Args:
        doubt: The doubt.
        prefix: What stands before the name of each option, such as that of one data set of several.
    """
    pairs = [(name, value) for name, values in doubt.options.items() for value in values]
    return [word for name, value in pairs for word in ("--option", f"{prefix}{name}={value}")]
