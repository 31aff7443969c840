"""Streams of images: results in input order, failures as results, each image decoded once for all metrics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from perceptmetrics import Metric, create_metric
from perceptmetrics.errors import InvalidImageError, InvalidOptionError
from perceptmetrics.images.sources import NamedImage
from perceptmetrics.scoring.results import ScoredImage
from perceptmetrics.scoring.stream import score_columns, score_images
from tests.support.registered_metrics import build


@pytest.fixture(scope="module")
def metric() -> Metric:
    return create_metric("lite_iqa")


def picture(seed: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_results_come_in_input_order_whatever_the_sizes(metric: Metric) -> None:
    pictures = [picture(seed, 40 + 8 * (seed % 3)) for seed in range(10)]
    rows = list(score_images([metric], pictures, batch_size=3))
    assert [row.name for row in rows] == [f"image {place}" for place in range(10)]
    expected = [metric.score(image).item() for image in pictures]
    assert [row.scores["lite_iqa"] for row in rows] == pytest.approx(expected, abs=1e-5)


def test_unreadable_and_too_small_images_are_results_with_their_reason(metric: Metric, tmp_path: Path) -> None:
    sources = [picture(0), tmp_path / "missing.png", picture(1, 8, 8), picture(2)]
    rows = list(score_images([metric], sources))
    assert [row.error is None for row in rows] == [True, False, False, True]
    assert "does not exist" in str(rows[1].error)
    assert "at least 32 x 32" in str(rows[2].error)


def test_several_metrics_share_one_pass(metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    import perceptmetrics.images.decode as decoding

    calls = []
    load = decoding.load_pixels
    monkeypatch.setattr(decoding, "load_pixels", lambda source, options=None: (calls.append(1), load(source))[1])
    attributes = build("clipiqa", prompts=["quality", "brightness"])
    rows = list(score_images([metric, attributes], [picture(0), picture(1)]))
    assert len(calls) == 2
    assert list(rows[0].scores) == ["lite_iqa", "clipiqa.quality", "clipiqa.brightness"]
    assert score_columns([metric, attributes]) == list(rows[0].scores)
    assert rows[1].scores["clipiqa.brightness"] == pytest.approx(attributes.score(picture(1))[0, 1].item(), abs=1e-5)


def test_one_metric_twice_is_refused(metric: Metric) -> None:
    with pytest.raises(InvalidOptionError, match="given once"):
        score_columns([metric, metric])


def test_sources_are_consumed_lazily(metric: Metric) -> None:
    taken = 0

    def endless() -> Iterator[NDArray[np.uint8]]:
        nonlocal taken
        while True:
            taken += 1
            yield picture(taken, 32, 32)

    rows = score_images([metric], endless(), workers=2, batch_size=4)
    for _ in range(8):
        assert next(rows).error is None
    rows.close()
    assert taken < 40


def test_batch_limits_do_not_change_scores(metric: Metric) -> None:
    pictures = [picture(seed) for seed in range(5)]
    alone = [row.scores["lite_iqa"] for row in score_images([metric], pictures, max_pixels=1)]
    together = [row.scores["lite_iqa"] for row in score_images([metric], pictures, batch_size=5, workers=0)]
    assert alone == pytest.approx(together, abs=1e-5)


def test_metrics_of_other_names_have_other_columns(metric: Metric) -> None:
    renamed = Metric(replace(metric.spec, name="other"), metric.views, metric.encoder, metric.head)
    assert score_columns([metric, renamed]) == ["lite_iqa", "other"]


def test_failures_are_told_at_once(metric: Metric) -> None:
    """However many files are missing, the first is reported before they are all looked at."""
    taken = 0

    def missing() -> Iterator[str]:
        nonlocal taken
        while taken < 5000:
            taken += 1
            yield f"missing {taken}.png"

    rows = score_images([metric], missing(), workers=1)
    assert next(rows).error is not None
    rows.close()
    assert taken < 20


def test_a_rare_size_does_not_hold_the_others_back(metric: Metric) -> None:
    taken = 0

    def stream() -> Iterator[NDArray[np.uint8]]:
        nonlocal taken
        for taken in range(1, 500):
            yield picture(taken, 40, 56) if taken == 1 else picture(taken, 32, 32)

    rows = score_images([metric], stream(), workers=0)
    next(rows)
    rows.close()
    assert taken <= 70


def test_known_rows_are_given_in_their_place_and_their_images_not_read(metric: Metric, tmp_path: Path) -> None:
    sources = [NamedImage("a", picture(0)), NamedImage("gone", tmp_path / "gone.png"), NamedImage("b", picture(1))]
    known = {"gone": ScoredImage("gone", {"lite_iqa": 0.25})}
    rows = list(score_images([metric], sources, known=known))
    assert [row.name for row in rows] == ["a", "gone", "b"]
    assert rows[1] == known["gone"]
    assert all(row.error is None for row in rows)


def test_what_begins_with_a_window_scores_the_same_bits(metric: Metric) -> None:
    """Sizes change from image to image, so batches would differ if they reached over the border."""
    pictures = [picture(seed, 32 + 8 * (seed % 3), 40) for seed in range(50)]
    names = [NamedImage(f"{place}", image) for place, image in enumerate(pictures)]
    whole = list(score_images([metric], names, batch_size=2))
    known = {row.name: row for row in whole[:32]}
    resumed = list(score_images([metric], names, batch_size=2, known=known))
    assert [row.window for row in whole] == [place // 16 for place in range(50)]
    assert [row.scores for row in resumed] == [row.scores for row in whole]


def test_images_without_pixels_and_errors_in_place_of_images_are_failures(metric: Metric) -> None:
    sources = [NamedImage("a", None), NamedImage("b", InvalidImageError("cut off")), NamedImage("c", b"text")]
    errors = [str(row.error) for row in score_images([metric], sources)]
    assert errors[0].startswith("Expected an image")
    assert errors[1] == "cut off"
    assert errors[2] == "c: image of 4 bytes is not an image in a format that can be read."
