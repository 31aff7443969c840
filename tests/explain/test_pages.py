"""Pages, figures and tables of explanations."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from perceptmetrics import head_importance
from perceptmetrics.errors import InvalidImageError, InvalidOptionError
from perceptmetrics.explain import Head, explain_images, parse_heads, read_heads
from perceptmetrics.reports import check_explain_output, explain_page, heads_makers, write_explanations
from perceptmetrics.reports.plots import ColourScale, paint
from perceptmetrics.spec import CropsView, WholeView
from tests.explain.cases import metric_and_reference
from tests.support.html_pages import HOSTILE, Tags, image_of
from tests.support.mean_colour_metric import tiny_metric
from tests.support.registered_metrics import build

VIEWS = (WholeView(), CropsView(height=48, width=48, size=32, count=2))


@pytest.fixture
def hostile(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number, name in enumerate(HOSTILE):
        noise = np.random.default_rng(number).integers(0, 256, (30, 44, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / name)
    (folder / "<i>broken.png").write_bytes(b"no image")
    return sorted(str(path) for path in folder.iterdir())


@pytest.fixture(scope="module")
def transformer():
    return metric_and_reference("perceptclip_emo")[0]


def test_hostile_names_are_text_on_the_page_and_safe_on_the_disk(hostile, tmp_path):
    explanations = explain_images(tiny_metric(views=VIEWS), hostile, samples=1)
    files = write_explanations(tmp_path / "out", replace(explanations, images=explanations.images[:2]))
    assert {path.name for path in files} == {path.name for path in (tmp_path / "out").iterdir()}
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", path.name) for path in files)
    assert len(files) == 2 + 2 * 2
    page = Tags(explain_page(explanations))
    assert not {"script", "i", "b\\"} & {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    for shown in ("<script>alert(2)<.png", '"><img src=x onerror=alert(1)>.png', "\\u202egnp.png", "<i>broken.png"):
        assert shown in page.text
    numbers = json.loads((tmp_path / "out" / "explain.json").read_text())
    assert [row["image"] for row in numbers["images"]] == [name for name in hostile if "broken" not in name][:2]
    assert len(numbers["failed"]) == 1


def test_pages_need_nothing_from_elsewhere(hostile):
    content = explain_page(explain_images(tiny_metric(views=VIEWS), hostile[-1:], samples=1))
    page = Tags(content)
    links = [attributes[key] for _, attributes in page.tags for key in ("src", "href") if key in attributes]
    assert len(links) == 3 + 3  # image, saliency, map of views; three views
    assert all(link.startswith("data:image/jpeg;base64,") for link in links)
    assert b"url(" not in content
    assert all(attributes["alt"] for tag, attributes in page.tags if tag == "img")
    assert "No attention" in page.text


def test_a_page_shows_each_head_with_what_it_was_before(transformer, hostile):
    other = metric_and_reference("perceptclip_emo")[0].encoder
    heads = [Head(1, 1), Head(0, 0)]
    found = explain_images(transformer, hostile, methods=["attention"], heads=heads, pretrained=other, show=2)
    assert len(found.images) == 2
    assert len(found.left_out) == len(HOSTILE) - 2
    page = Tags(explain_page(found))
    assert [tag for tag, _ in page.tags].count("img") == 2 * (1 + 2 * 3)
    for text in ("head 1.1, perceptclip_emo", "head 1.1, before training", "head 0.0, difference", "uniform attention"):
        assert text in page.text
    alone = explain_images(transformer, hostile, methods=["attention"], heads=heads, show=1)
    assert [tag for tag, _ in Tags(explain_page(alone)).tags].count("img") == 1 + 2


def test_images_that_change_most_come_first(transformer, hostile):
    heads = [Head(1, 1), Head(2, 0)]
    found = explain_images(transformer, hostile, methods=["attention"], heads=heads, show=3)
    measured = head_importance(transformer, hostile, heads=heads)
    sizes = torch.stack([measured.sizes[:, head.layer, head.number] for head in heads]).amax(0)
    expected = [measured.images[place] for place in sizes.argsort(descending=True)]
    assert [image.name for image in found.images] + list(found.left_out) == expected
    for image in found.images:
        place = measured.images.index(image.name)
        for head in image.heads:
            torch.testing.assert_close(head.change, measured.changes[place][head.head])


def test_heads_are_chosen_by_their_estimated_importance(transformer, hostile):
    found = explain_images(transformer, hostile[:3], methods=["attention"], heads=2)
    strongest = head_importance(transformer, hostile[:3], method="gradient").strongest(2)
    assert [head.head for head in found.images[0].heads] == strongest


def test_a_method_that_is_not_possible_is_an_error_alone_and_a_note_among_others(hostile):
    with pytest.raises(InvalidOptionError, match="no attention heads"):
        explain_images(tiny_metric(), hostile, methods=["attention"])
    with pytest.raises(InvalidOptionError, match="must be among"):
        explain_images(tiny_metric(), hostile, methods=["magic", "saliency"])
    notes = explain_images(tiny_metric(), hostile[-1:], samples=1).notes
    assert [note.split(":")[0] for note in notes] == ["No attention", "No crops"]
    broken = [name for name in hostile if "broken" in name]
    with pytest.raises(InvalidImageError, match="no readable image"):
        explain_images(tiny_metric(), broken)


def test_quantised_metrics_are_explained_by_what_needs_no_gradient(hostile):
    metric = build("perceptclip_iqa", precision="int8", crops=2)
    found = explain_images(metric, hostile[-1:])
    assert [note.split(":")[0] for note in found.notes] == ["No attention", "No saliency"]
    assert found.images[0].views is not None
    named = explain_images(metric, hostile[-1:], heads=[Head(1, 0)])
    assert [str(head.head) for head in named.images[0].heads] == ["1.0"]


def test_large_images_are_shrunk_for_their_saliency_and_it_is_said(tmp_path):
    Image.new("RGB", (300, 100), "red").save(tmp_path / "a.png")
    found = explain_images(tiny_metric(), [tmp_path / "a.png"], methods=["saliency"], saliency_side=90, max_side=60)
    assert found.images[0].saliency_size == (30, 90)
    assert found.images[0].saliency.values.shape == found.images[0].pixels.shape[:2] == (20, 60)
    assert "90 x 30 pixels" in Tags(explain_page(found)).text


def test_one_figure_is_of_one_image(hostile, tmp_path):
    with pytest.raises(InvalidOptionError, match="one figure, but there are 2 images"):
        check_explain_output(tmp_path / "a.png", 2)
    with pytest.raises(InvalidOptionError, match="ends in"):
        check_explain_output(tmp_path / "a.xlsx", 1)
    found = explain_images(tiny_metric(), hostile[-1:], methods=["saliency"], samples=1)
    assert write_explanations(tmp_path / "a.svg", found) == [tmp_path / "a.svg"]
    assert (tmp_path / "a.svg").read_bytes().startswith(b"<?xml")


def test_tables_of_heads(transformer, hostile, tmp_path):
    found = head_importance(transformer, hostile)
    makers = heads_makers(found)
    rows = list(csv.reader(io.StringIO(makers["csv"]().decode())))
    assert rows[0][:4] == ["layer", "head", "importance", "exact"]
    assert rows[0][4:] == [f"signed {label}" for label in found.labels]
    assert len(rows) == 1 + found.importance.numel()
    values = [float(row[2]) for row in rows[1:]]
    assert values == sorted(values, reverse=True)
    (tmp_path / "heads.json").write_bytes(makers["json"]())
    assert read_heads(tmp_path / "heads.json") == found.strongest(100)
    page = Tags(makers["html"]())
    assert str(found.strongest(1)[0]) in page.text
    assert "<i>broken.png" in page.text
    assert not {"script", "i"} & {tag for tag, _ in page.tags}
    (picture,) = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert image_of(picture).width > 500


@pytest.mark.parametrize("content", ["", "[]", '{"heads": 3}', '{"heads": [{"layer": 1}]}', None])
def test_other_files_hold_no_heads(content, tmp_path):
    path = tmp_path / "heads.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InvalidOptionError, match=r"`perceptmetrics heads` writes"):
        read_heads(path)


def test_heads_are_named_by_layer_and_number():
    assert parse_heads("22.10, 3.4,22.10") == [Head(22, 10), Head(3, 4)]
    assert str(Head(22, 10)) == "22.10"
    for wrong in ("", "22", "a.b", "1.2;3.4", "-1.2"):
        with pytest.raises(InvalidOptionError, match=r"LAYER\.HEAD"):
            parse_heads(wrong)


def test_colours_say_sign_size_and_absence():
    pixels = np.full((1, 4, 3), 128, dtype=np.uint8)
    values = np.array([[-1.0, 0.0, 1.0, np.nan]])
    blue, neutral, red, nothing = paint(pixels, values, ColourScale(lower=-1, upper=1, diverging=True, unit=""))[0]
    assert blue[2] > blue[0] + 40
    assert red[0] > red[2] + 40
    assert neutral.max() == neutral.min() > nothing.max()
    less, _, more, _ = paint(
        pixels, np.abs(values) * [0.1, 1, 1, 1], ColourScale(lower=0, upper=1, diverging=False, unit="")
    )[0]
    assert more.sum() > less.sum() + 100
    flat = ColourScale(lower=0, upper=0, diverging=True, unit="")
    assert paint(pixels, np.zeros((1, 4)), flat).shape == (1, 4, 3)
