"""Scores from pairwise choices: the model of Bradley and Terry.

Bradley, Terry, "Rank analysis of incomplete block designs", Biometrika 1952: image i is chosen over image j with
probability `sigmoid(t_i - t_j)`. A tie counts as half a win of each. Without more, an image that won or lost every
comparison has no finite strength; so each image has also won and lost `prior` comparisons with an image of strength 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.special import expit, log_expit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Strengths", "bradley_terry"]

MOST_WITH_ERRORS = 2000  # images; time grows with the cube of their number
_ROWS = 512
_ITERATIONS = 5000


@dataclass(frozen=True, kw_only=True)
class Strengths:
    """What choices say about N images.

    Attributes:
        strength: Shape (N,), log odds against an image of strength 0.
        win_rate: Shape (N,), the probability of being chosen over another of these images, averaged over them; in
            [0, 1].
        error: Shape (N,), standard errors of `win_rate` from the curvature of the likelihood; None for more than 2,000
            images.
    """

    strength: NDArray[np.float64]
    win_rate: NDArray[np.float64]
    error: NDArray[np.float64] | None


def bradley_terry(
    first: ArrayLike, second: ArrayLike, outcome: ArrayLike, count: int, *, prior: float = 0.1
) -> Strengths:
    """Fit strengths to choices.

    Args:
        first: M indices of images.
        second: M indices of the images that they were compared with.
        outcome: M numbers: 1 if the first was chosen, 0 if the second, 0.5 for a tie.
        count: Number of images N, at least 2.
        prior: Comparisons that each image has also won, and lost, against an image of strength 0; above 0. Strengths
            are finite, and drawn to 0 the more the fewer comparisons an image was in.

    Returns:
        The strengths.

    Examples:
        >>> bradley_terry([0, 0, 1], [1, 2, 2], [1, 1, 1], count=3).win_rate.round(2).tolist()
        [0.96, 0.5, 0.04]
    """
    one, other = np.asarray(first, dtype=np.intp), np.asarray(second, dtype=np.intp)
    won = np.asarray(outcome, dtype=np.float64)

    def cost(strength: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        difference = strength[one] - strength[other]
        likelihood = won @ log_expit(difference) + (1 - won) @ log_expit(-difference)
        likelihood += prior * (log_expit(strength) + log_expit(-strength)).sum()
        excess = expit(difference) - won
        gradient = np.bincount(one, excess, count) - np.bincount(other, excess, count)
        return -float(likelihood), gradient + prior * (2 * expit(strength) - 1)

    def curvature_times(strength: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
        scaled = _slope(strength[one] - strength[other]) * (vector[one] - vector[other])
        product = np.bincount(one, scaled, count) - np.bincount(other, scaled, count)
        return product + 2 * prior * _slope(strength) * vector

    found = minimize(
        cost,
        np.zeros(count),
        jac=True,
        hessp=curvature_times,
        method="trust-ncg",
        options={"gtol": 1e-8, "maxiter": _ITERATIONS},
    )
    strength: NDArray[np.float64] = found.x
    error = None
    if count <= MOST_WITH_ERRORS:
        steepness = _slope(strength[one] - strength[other])
        curvature = np.diag(2 * prior * _slope(strength))
        for i, j, sign in ((one, one, 1), (other, other, 1), (one, other, -1), (other, one, -1)):
            np.add.at(curvature, (i, j), sign * steepness)
        error = _errors(strength, curvature)
    return Strengths(strength=strength, win_rate=_win_rates(strength), error=error)


def _slope(difference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Derivative of the logistic function."""
    probability = expit(difference)
    slope: NDArray[np.float64] = probability * expit(-difference)
    return slope


def _win_rates(strength: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each image, the mean probability to be chosen over another one."""
    rates = np.empty_like(strength)
    for start in range(0, len(strength), _ROWS):  # so that memory does not grow with the square of their number
        rows = slice(start, start + _ROWS)
        rates[rows] = expit(strength[rows, None] - strength[None]).sum(axis=1) - 0.5  # without itself
    return rates / (len(strength) - 1)


def _errors(strength: NDArray[np.float64], curvature: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard errors of the win rates (delta method) from the matrix of second derivatives by the strengths."""
    slopes = _slope(strength[:, None] - strength[None]) / (len(strength) - 1)
    np.fill_diagonal(slopes, 0)
    by_strength = np.diag(slopes.sum(axis=1)) - slopes  # derivatives of each win rate
    spread = cho_solve(cho_factor(curvature), by_strength.T)
    errors: NDArray[np.float64] = np.sqrt((by_strength * spread.T).sum(axis=1))
    return errors
