"""The recipe of the learned part gives the same bytes each time, and limits that few healthy images exceed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perceptmetrics.tripwire.head import OUTPUTS
from tests.benchmarks.tripwire import train as recipe


def test_the_recipe_gives_the_same_bytes_and_limits_above_healthy_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "EPOCHS", 3)
    monkeypatch.setattr(recipe, "HIDDEN", 8)
    rng = np.random.default_rng(0)
    monkeypatch.setattr(recipe, "ENCODER_FEATURES", 20)
    breakages = np.array([*[""] * 600, *list(OUTPUTS) * 20])
    kinds = np.array([OUTPUTS.get(name, "") for name in breakages])
    features = rng.normal(0, 1, (len(kinds), 40)).astype(np.float32)
    features[np.arange(len(kinds)), [recipe.NAMES.index(name) if name else 39 for name in breakages]] += 6
    rows = {"features": features, "kind": kinds, "breakage": breakages, "group": np.arange(len(kinds))}
    for name in ("one", "two"):
        recipe.train(rows, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    log_odds = recipe.log_odds_of_left_out(rows)
    assert (log_odds[kinds == ""] > recipe.limits(rows, log_odds)).any(1).mean() < 0.01
