"""Bradley-Terry scores: the maximum of their likelihood, their symmetries, and scores that are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.special import expit, log_expit
from scipy.stats import spearmanr

from perceptmetrics.functional.preference import bradley_terry

PRIOR = 0.1


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Choices among 30 images whose strengths are known."""
    rng = np.random.default_rng(0)
    truth = rng.normal(scale=1.5, size=30)
    first = rng.integers(0, 30, 900)
    second = (first + rng.integers(1, 30, 900)) % 30
    outcome = (rng.random(900) < expit(truth[first] - truth[second])).astype(float)
    outcome[::17] = 0.5
    return first, second, outcome, truth


def test_strengths_that_made_the_choices_are_found(drawn: tuple[np.ndarray, ...]) -> None:
    first, second, outcome, truth = drawn
    assert spearmanr(bradley_terry(first, second, outcome, 30).strength, truth).statistic > 0.97


def test_no_other_strengths_are_more_likely(drawn: tuple[np.ndarray, ...]) -> None:
    first, second, outcome, _ = drawn
    found = bradley_terry(first, second, outcome, 30, prior=PRIOR).strength

    def likelihood(strength: np.ndarray) -> float:
        difference = strength[first] - strength[second]
        own = PRIOR * (log_expit(strength) + log_expit(-strength)).sum()
        return float((outcome * log_expit(difference) + (1 - outcome) * log_expit(-difference)).sum() + own)

    assert np.abs(approx_fprime(found, likelihood)).max() < 1e-4


def test_win_rates_are_the_mean_probability_to_win_against_another(drawn: tuple[np.ndarray, ...]) -> None:
    first, second, outcome, _ = drawn
    found = bradley_terry(first, second, outcome, 30)
    chances = expit(found.strength[:, None] - found.strength[None])
    expected = [np.delete(row, index).mean() for index, row in enumerate(chances)]
    assert found.win_rate.tolist() == pytest.approx(expected)
    assert found.win_rate.mean() == pytest.approx(0.5)


def test_exchanged_sides_and_reversed_choices_change_what_they_must(drawn: tuple[np.ndarray, ...]) -> None:
    first, second, outcome, _ = drawn
    found = bradley_terry(first, second, outcome, 30).strength
    assert bradley_terry(second, first, 1 - outcome, 30).strength == pytest.approx(found, abs=1e-6)
    assert bradley_terry(first, second, 1 - outcome, 30).strength == pytest.approx(-found, abs=1e-6)


def test_errors_are_those_of_repeated_experiments(drawn: tuple[np.ndarray, ...]) -> None:
    first, second, _, truth = drawn
    rng = np.random.default_rng(1)
    chances = expit(truth[first] - truth[second])
    found = [bradley_terry(first, second, rng.random(900) < chances, 30) for _ in range(60)]
    spread = np.std([one.win_rate for one in found], axis=0)
    stated = np.mean([one.error for one in found], axis=0)
    assert np.median(stated / spread) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("count", [2, 40])
def test_images_that_always_won_are_ordered_with_finite_scores(count: int) -> None:
    chain = np.arange(count - 1)
    found = bradley_terry(chain, chain + 1, np.ones(count - 1), count)
    assert np.isfinite(found.strength).all()
    assert (np.diff(found.win_rate) < 0).all()
    assert found.error is not None
    assert np.isfinite(found.error).all()


def test_a_stronger_prior_draws_scores_together(drawn: tuple[np.ndarray, ...]) -> None:
    first, second, outcome, _ = drawn
    spreads = [np.ptp(bradley_terry(first, second, outcome, 30, prior=prior).win_rate) for prior in (0.01, 1, 100)]
    assert spreads == sorted(spreads, reverse=True)
