"""What visitors are shown, without a browser."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from perceptmetrics.apps.demo import Offer, Studio, offers, studio
from perceptmetrics.apps.demo.app import write_examples
from perceptmetrics.errors import MissingExtraError, WeightsError
from perceptmetrics.images.load import load_image
from perceptmetrics.models.metric import Metric
from tests.support.html_pages import Tags, image_of

BROKEN = {
    "text.png": "not an image",
    "empty.png": "not an image",
    "cut.png": "truncated or corrupt",
    "wide.png": "more than the 30000 pixels",
    "bomb.png": "more than the 30000 pixels",
    "heavy.png": "more than 0.1 MB",
    "dot.png": "1 x 1",
}


def text_of(fragment: str) -> str:
    return " ".join(html.unescape(re.sub("<[^>]+>", " ", fragment)).split())


def images_of(fragment: str) -> list[str]:
    return [attributes["src"] for tag, attributes in Tags(fragment.encode()).tags if tag == "img"]


def check_safe(fragment: str, uploads: dict[str, Path]) -> None:
    assert "Traceback" not in fragment
    assert str(next(iter(uploads.values())).parent) not in fragment


def test_a_score_is_that_of_the_metric_with_its_range_and_direction(
    tried: Studio, made: dict[str, Metric], uploads: dict[str, Path]
) -> None:
    shown = tried.scores([uploads["a.png"], uploads["b.jpg"]], ["one", "lower"])
    for name in ("a.png", "b.jpg"):
        assert f"{made['one'].score(uploads[name]).item():.4f}" in text_of(shown)
    assert "0 to 1, higher is better" in text_of(shown)
    assert "0 to 1, lower is better" in text_of(shown)
    assert [image_of(uri).size for uri in images_of(shown)] == [(60, 40), (36, 50)]


def test_emotions_are_probabilities_from_the_highest_to_the_lowest(
    tried: Studio, made: dict[str, Metric], uploads: dict[str, Path]
) -> None:
    shown = text_of(tried.scores([uploads["a.png"]], ["moods"]))
    row = dict(zip(made["moods"].labels, made["moods"].score(uploads["a.png"])[0].tolist(), strict=True))
    expected = [f"{label} {row[label]:.1%}" for label in sorted(row, key=lambda label: -row[label])]
    assert re.findall(r"(?:joy|fear|awe) [\d.]+%", shown) == expected
    assert "probabilities" in shown


@pytest.mark.parametrize(
    ("chosen", "has_radar"),
    [(["looks"], True), (["one", "lower", "looks"], True), (["one", "lower"], False), (["moods"], False)],
)
def test_three_scores_with_a_range_are_a_radar(
    tried: Studio, uploads: dict[str, Path], chosen: list[str], has_radar: bool
) -> None:
    shown = tried.scores([uploads["a.png"], uploads["text.png"]], chosen)
    assert ("pm-radar" in shown) == has_radar
    assert len(images_of(shown)) == 1 + has_radar


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_says_why_and_the_others_are_scored(
    tried: Studio, made: dict[str, Metric], uploads: dict[str, Path], name: str
) -> None:
    shown = tried.scores([uploads[name], uploads["a.png"]], ["one"])
    assert BROKEN[name] in text_of(shown)
    assert name in text_of(shown)
    assert f"{made['one'].score(uploads['a.png']).item():.4f}" in text_of(shown)
    check_safe(shown, uploads)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_neither_explained_nor_compared(tried: Studio, uploads: dict[str, Path], name: str) -> None:
    for shown in (
        tried.explanation(uploads[name], "one"),
        tried.comparison(uploads["a.png"], uploads[name], ["one"]),
    ):
        assert BROKEN[name] in text_of(shown)
        assert "pm-problem" in shown
        assert not images_of(shown)
        check_safe(shown, uploads)


def test_an_explanation_shows_the_image_and_a_map_over_it(tried: Studio, uploads: dict[str, Path]) -> None:
    shown = tried.explanation(uploads["a.png"], "one")
    photograph, overlay = (image_of(uri) for uri in images_of(shown))
    assert photograph.size == overlay.size == (60, 40)
    assert (load_image(photograph) - load_image(overlay)).abs().mean() > 0.02
    assert "score per pixel" in text_of(shown)


def test_two_images_are_compared_score_by_score(
    tried: Studio, made: dict[str, Metric], uploads: dict[str, Path]
) -> None:
    shown = text_of(tried.comparison(uploads["a.png"], uploads["b.jpg"], ["one", "lower", "moods"]))
    first, second = (made["one"].score(uploads[name]).item() for name in ("a.png", "b.jpg"))
    assert f"{first:.4f} {second:.4f} {second - first:+.4f}" in shown
    better, worse = ("second", "first") if second > first else ("first", "second")
    assert re.search(rf"one 0 to 1, higher is better [-+.\d ]+ {better} lower", shown)
    assert re.search(rf"lower 0 to 1, lower is better [-+.\d ]+ {worse} moods", shown)
    assert "moods: joy" in shown


def test_names_are_escaped(tried: Studio, uploads: dict[str, Path]) -> None:
    name = "<b>c&.png"
    for shown in (
        tried.scores([uploads[name]], ["one"]),
        tried.explanation(uploads[name], "one"),
        tried.comparison(uploads[name], uploads[name], ["one"]),
    ):
        assert "<b>c" not in shown
        assert name in text_of(shown)


@pytest.mark.parametrize("chosen", [[], ["absent"], ["nobody"]])
def test_only_metrics_on_this_machine_can_be_chosen(tried: Studio, uploads: dict[str, Path], chosen: list[str]) -> None:
    assert "Choose at least one" in text_of(tried.scores([uploads["a.png"]], chosen))
    assert tried.ready == ["one", "moods", "looks", "lower"]


def test_what_is_missing_is_shown_with_how_to_get_it(tried: Studio) -> None:
    assert "perceptmetrics fetch absent" in text_of(tried.catalogue())


def test_nothing_uploaded_is_nothing_wrong(tried: Studio, uploads: dict[str, Path]) -> None:
    assert tried.scores(None, ["one"]) == ""
    assert "pm-problem" not in tried.explanation(None, "one") + tried.comparison(uploads["a.png"], None, ["one"])


def test_too_many_images(tried: Studio, uploads: dict[str, Path]) -> None:
    assert "At most 3 images" in tried.scores([uploads["a.png"]] * 4, ["one"])


@pytest.mark.parametrize("error", [RuntimeError("/home/secret"), WeightsError("/home/secret is damaged")])
def test_a_fault_is_not_told(
    tried: Studio,
    uploads: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(studio, "create_metric", broken)
    shown = tried.scores([uploads["a.png"]], ["one"])
    assert "secret" not in shown
    assert "log of the demo" in shown
    assert "secret" in caplog.text


def test_registered_metrics_without_weights_are_offered_with_the_command_that_fetches_them(tmp_path: Path) -> None:
    found: dict[str, Offer] = {offer.name: offer for offer in offers(cache_dir=tmp_path)}
    assert found["lite_iqa"].missing == ""
    assert next(iter(found)) == "lite_iqa"
    assert found["clipiqa"].missing == f"perceptmetrics fetch clipiqa --cache-dir {tmp_path}"
    assert found["clipiqa, attributes"].options["prompts"]


def test_without_sample_photographs_there_are_no_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(write_examples(tmp_path)) == 5

    def absent() -> None:
        raise MissingExtraError("Scoring the sample photographs", "samples")

    monkeypatch.setattr("perceptmetrics.apps.demo.app.sample_photographs", absent)
    assert write_examples(tmp_path) == []
