"""Conformal intervals cover what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perceptmetrics.functional.conformal import conformal_half_width


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
def test_new_errors_are_covered_as_often_as_promised(coverage):
    rng = np.random.default_rng(0)
    covered = [
        errors[-1] <= conformal_half_width(errors[:-1], np.arange(40), coverage)
        for errors in np.abs(rng.standard_t(3, size=(3000, 41)))
    ]
    exact = math.ceil(41 * coverage) / 41
    assert np.mean(covered) == pytest.approx(exact, abs=3 * math.sqrt(exact * (1 - exact) / 3000))


def test_too_few_errors_give_an_infinite_interval():
    assert conformal_half_width(np.arange(9.0), np.arange(9), 0.9) == 8.0
    assert conformal_half_width(np.arange(8.0), np.arange(8), 0.9) == math.inf
    assert conformal_half_width([], [], 0.9) == math.inf


def test_errors_of_one_unit_count_as_one():
    errors, units = [1.0, 2.0, 3.0, 4.0], ["a", "b", "c", "d"]
    once = conformal_half_width(errors, units, 0.6)
    assert conformal_half_width([*errors, *[4.0] * 20], [*units, *["d"] * 20], 0.6) == once == 3.0
