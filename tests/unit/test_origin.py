"""Scores of different weights, definitions or options are told apart."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.images.sources import NamedImage
from perceptmetrics.models.metric import Metric
from perceptmetrics.scoring.origin import check_origin, check_scores, origin_of
from perceptmetrics.scoring.results import ScoredImage
from perceptmetrics.scoring.stream import score_images
from tests.support.mean_colour_metric import tiny_metric


def changed(metric: Metric, by: float) -> Metric:
    """The metric with one weight moved."""
    with torch.no_grad():
        metric.head.layers[-1].bias += by
    return metric


def test_an_origin_says_what_differs() -> None:
    same, options = origin_of([tiny_metric()], {"--x": "1"}), {"--x": "1"}
    assert origin_of([tiny_metric()], options) == same
    check_origin(Path("s.csv"), same, origin_of([tiny_metric()], {**options, "--y": "2"}))
    others = {
        "the weights of tiny": origin_of([changed(tiny_metric(), 1e-6)], options),
        "the definition of tiny": origin_of([tiny_metric(lower=-7.0)], options),
        "--x": origin_of([tiny_metric()], {"--x": "2"}),
    }
    for name, other in others.items():
        assert {key for key in same if same[key] != other[key]} == {name}
        with pytest.raises(InvalidOptionError, match=f"s.csv was begun with other settings: {name}. .*another file"):
            check_origin(Path("s.csv"), same, other)


def test_what_a_card_says_changes_no_score() -> None:
    metric, same = tiny_metric(), origin_of([tiny_metric()], {})
    metric.spec = replace(metric.spec, card=replace(metric.spec.card, licence="another"))
    assert origin_of([metric], {}) == same


@pytest.fixture
def photograph(tmp_path: Path) -> str:
    Image.new("RGB", (16, 16), (10, 200, 90)).save(tmp_path / "a.png")
    return str(tmp_path / "a.png")


def test_scores_of_other_weights_are_refused(photograph: str) -> None:
    images = [NamedImage(photograph, photograph)]
    done = {row.name: row for row in score_images([tiny_metric()], [photograph])}
    check_scores(Path("s.csv"), done, [tiny_metric()], images)
    check_scores(Path("s.csv"), done, [changed(tiny_metric(), 4e-4)], images)  # as devices may differ
    for by in (0.01, -0.01, float("nan")):
        with pytest.raises(
            InvalidOptionError, match=r"s.csv was made with other weights.* it is .* now. Resume it with"
        ):
            check_scores(Path("s.csv"), done, [changed(tiny_metric(), by)], images)


def test_scores_that_cannot_be_compared_are_reported(photograph: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        check_scores(Path("s.csv"), {photograph: ScoredImage(photograph, {"tiny": 0.5})}, [tiny_metric()], [])
    assert "None of the images of s.csv is at hand" in caplog.text
