"""Split conformal prediction: how far the truth lies from predictions that were made without it.

Papadopoulos et al., "Inductive Confidence Machines for Regression", ECML 2002; Lei et al., "Distribution-Free
Predictive Inference for Regression", JASA 113, 2018.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["conformal_half_width"]

_ROUNDING = 1e-12


def conformal_half_width(errors: ArrayLike, units: ArrayLike, coverage: float) -> float:
    """Half the width of intervals around predictions that cover a fraction of new truths.

    Args:
        errors: N absolute errors of predictions that were made without the truth.
        units: N independent units to which the errors belong, such as images that were predicted several times. The
            errors of a unit count as one together.
        coverage: Fraction to cover, between 0 and 1.

    Returns:
        The quantile of the errors with the correction for a finite sample: of U units, of level (U + 1) coverage / U.
        Infinite if U is too small, that is below coverage / (1 - coverage).

    Examples:
        >>> conformal_half_width([0.4, 0.1, 0.3, 0.2], ["a", "b", "c", "d"], coverage=0.6)
        0.3
    """
    distances = np.asarray(errors, dtype=np.float64)
    _, unit_of, counts = np.unique(np.asarray(units), return_inverse=True, return_counts=True)
    total = len(counts)
    level = math.ceil((total + 1) * coverage - _ROUNDING) / total if total else math.inf
    if level > 1:
        return math.inf
    order = np.argsort(distances, kind="stable")
    covered = np.cumsum(1 / counts[unit_of[order]]) / total
    return float(distances[order][np.searchsorted(covered, level - _ROUNDING)])
