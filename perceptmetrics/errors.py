"""Every exception that perceptmetrics raises on purpose.

Each message says what was expected, what came, and what to do. All of them derive from
`PerceptMetricsError`; each also derives from the built-in exception that a caller would catch
without knowing this package.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

__all__ = [
    "ClusterError",
    "DatasetError",
    "FullDiskError",
    "InvalidEmbeddingError",
    "InvalidImageError",
    "InvalidOptionError",
    "InvalidSpecError",
    "MissingExtraError",
    "PerceptMetricsError",
    "PublishingError",
    "UnknownMetricError",
    "WeightsError",
    "first_line",
    "nearest_names",
]


_MOST_LISTED = 60


class PerceptMetricsError(Exception):
    """Base class of every error of this package."""


class UnknownMetricError(PerceptMetricsError, LookupError):
    """No metric is registered under the requested name."""


class InvalidSpecError(PerceptMetricsError, ValueError):
    """A metric specification is incomplete or contradicts itself."""


class InvalidOptionError(PerceptMetricsError, ValueError):
    """An option is unknown to the metric, or its value is not one of those allowed."""


class InvalidImageError(PerceptMetricsError, ValueError):
    """An image cannot be read, or an array or tensor is not an image of the expected form."""


class InvalidEmbeddingError(PerceptMetricsError, ValueError):
    """An array or file does not hold embeddings, or they are not those that the metric reads."""


class DatasetError(PerceptMetricsError, ValueError):
    """A folder of images or a file of human ratings or choices does not have the expected form."""


class WeightsError(PerceptMetricsError, RuntimeError):
    """A weight file is missing, corrupt, of another layout, or not the file that was expected."""


class PublishingError(PerceptMetricsError, RuntimeError):
    """A metric cannot be published: the Hub is out of reach, refuses it, or does not know who asks."""


class FullDiskError(PerceptMetricsError, OSError):
    """There is no room for a file.

    Args:
        path: The file.
        number: The system's number of the error.
        reason: The system's words for it.
        advice: What to do once there is room, as the end of a sentence.

    Attributes:
        path: The file.
        reason: The system's words.
    """

    def __init__(self, path: str | os.PathLike[str], number: int | None, reason: str, advice: str) -> None:
        super().__init__(f"{path} cannot be written: {reason}. Free some space on its disk and {advice}.")
        self.path = path
        self.errno = number
        self.reason = reason


class ClusterError(PerceptMetricsError, RuntimeError):
    """A cluster cannot be started, or could not finish the work."""


class MissingExtraError(PerceptMetricsError, ImportError):
    """An optional dependency is not installed.

    Args:
        purpose: What the dependency is needed for, as the start of a sentence.
        extra: Name of the extra of this package that installs it; None where there is none.
        advice: A sentence that says what to install, in place of the extra.
    """

    def __init__(self, purpose: str, extra: str | None = None, *, advice: str = "") -> None:
        advice = advice or f'Install it with: pip install "perceptmetrics[{extra}]"'
        super().__init__(f"{purpose} needs an optional dependency that is not installed. {advice}")
        self.extra = extra


def nearest_names(name: str, known: Iterable[str]) -> str:
    """Phrase the known names nearest to `name` for an error message.

    Args:
        name: What the user typed.
        known: The names that would have been understood.

    Returns:
        `"Did you mean 'a' or 'b'?"` when something is near, names that begin with `name` first; else the list of all
        known names, or of the first of very many.
    """
    candidates = sorted(known)
    by_lower_case = {candidate.lower(): candidate for candidate in candidates}
    near = difflib.get_close_matches(name.lower(), by_lower_case, n=10, cutoff=0.5)
    near.sort(key=lambda match: not match.startswith(name.lower()))  # what was begun, then what was misspelt
    if near:
        return f"Did you mean {' or '.join(repr(by_lower_case[match]) for match in near[:3])}?"
    others = f" and {len(candidates) - _MOST_LISTED} more" if len(candidates) > _MOST_LISTED else ""
    return f"Known: {', '.join(candidates[:_MOST_LISTED]) or 'none'}{others}."


def first_line(error: BaseException) -> str:
    """First line of another library's error, to be quoted in a message of ours; its type when it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
