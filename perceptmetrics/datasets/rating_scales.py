"""The scales of ratings in a table of one's own: as stated, otherwise from the lowest to the highest rating."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from perceptmetrics.datasets.labelled import Scale
from perceptmetrics.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

__all__ = ["End", "Ends", "rating_scales"]

End: TypeAlias = "float | Sequence[float] | None"
"""An end of a scale: a number, one for each rating, or None for that of the ratings."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Ends:
    """What is stated of the scales.

    Attributes:
        lower: Lower end.
        upper: Upper end.
        lower_is_better: Whether the lower end is the good one.
    """

    lower: End = None
    upper: End = None
    lower_is_better: bool = False

    @property
    def stated(self) -> bool:
        """Whether anything is."""
        return self.lower is not None or self.upper is not None or self.lower_is_better


def rating_scales(ratings: Mapping[str, ArrayLike], ends: Ends) -> tuple[Scale, ...]:
    """The scale of each rating.

    Args:
        ratings: Ratings by label; NaN where there is none.
        ends: What is stated.

    Raises:
        InvalidOptionError: An end is no number, or there are not as many as ratings.
    """
    scales = []
    lower, upper = _of_each("lower", ends.lower, ratings), _of_each("upper", ends.upper, ratings)
    for (label, numbers), low, high in zip(ratings.items(), lower, upper, strict=True):
        least, greatest = float(np.nanmin(numbers)), float(np.nanmax(numbers))
        if low is None or high is None:
            _log.warning(
                "%r: lower and upper are not given, so the lowest and highest rating (%g, %g) are used as the ends of "
                "the scale.",
                label,
                least,
                greatest,
            )
        scale = (least if low is None else low, greatest if high is None else high)
        scales.append(Scale(lower=scale[0], upper=scale[1], higher_is_better=not ends.lower_is_better))
    return tuple(scales)


def _of_each(option: str, end: End, ratings: Mapping[str, ArrayLike]) -> list[float | None]:
    several: list[float | None] = [*end] if isinstance(end, Sequence) else [end] * len(ratings)
    if len(several) != len(ratings) or not all(_is_end(one) for one in several):
        raise InvalidOptionError(
            f"{option} must be a number, or one number for each of the columns {', '.join(ratings)}, got {end!r}."
        )
    return several


def _is_end(end: object) -> bool:
    return end is None or (isinstance(end, (int, float)) and not isinstance(end, bool) and math.isfinite(end))
