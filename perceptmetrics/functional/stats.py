"""Agreement between predictions and human ratings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import pearsonr, spearmanr

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["plcc", "srcc"]


def srcc(prediction: ArrayLike, target: ArrayLike) -> float:
    """Spearman's rank correlation coefficient.

    Args:
        prediction: N numbers.
        target: N numbers.

    Returns:
        Coefficient in [-1, 1].
    """
    return float(spearmanr(np.asarray(prediction), np.asarray(target)).statistic)


def plcc(prediction: ArrayLike, target: ArrayLike) -> float:
    """Pearson's linear correlation coefficient.

    Args:
        prediction: N numbers.
        target: N numbers.

    Returns:
        Coefficient in [-1, 1].
    """
    return float(pearsonr(np.asarray(prediction), np.asarray(target)).statistic)
