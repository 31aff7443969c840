"""Scores do not move from release to release."""

from __future__ import annotations

import json

import pytest

from tests.golden.write import GOLDEN, golden_scores


def test_lite_iqa_gives_the_recorded_scores() -> None:
    """The tolerance leaves room for other versions of Pillow's JPEG and of PyTorch's convolutions."""
    assert golden_scores() == pytest.approx(json.loads(GOLDEN.read_text()), abs=2e-3)
