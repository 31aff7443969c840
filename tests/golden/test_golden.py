"""Scores do not move from release to release."""

from __future__ import annotations

import json
from importlib.metadata import version

import pytest

from tests.golden import published
from tests.golden.write import GOLDEN, golden_scores


@pytest.mark.parametrize("name", GOLDEN)
def test_a_packaged_head_gives_the_recorded_scores(name: str) -> None:
    """The tolerance leaves room for other versions of Pillow's JPEG and of PyTorch's convolutions."""
    assert golden_scores(name) == pytest.approx(json.loads(GOLDEN[name].read_text()), abs=2e-3)


def timm_version() -> tuple[int, ...]:
    return tuple(map(int, version("timm").split(".")[:3]))


def test_published_heads_on_small_random_encoders_give_the_recorded_scores() -> None:
    """The weights are drawn from seeds; the encoders are those of the contract suite."""
    recorded = json.loads(published.GOLDEN.read_text())
    scores = published.golden_scores()
    assert scores.keys() == recorded.keys()
    for name, expected in recorded.items():
        if name in published.DRAWN_BY_TIMM and timm_version() < published.TIMM:
            continue  # which drew other random weights
        assert scores[name] == pytest.approx(expected, abs=2e-4, rel=1e-3), name
