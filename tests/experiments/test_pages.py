"""Pages: self-contained, escaped, with the images as they are."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys

import jinja2
import numpy as np
import pytest
from PIL import Image

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.experiments import rank_images
from perceptmetrics.experiments.study import Study, StudyPair
from perceptmetrics.reports import check_output, rank_makers, study_page, write_report, write_study
from perceptmetrics.reports.pages import faithful_uri, render_page, thumbnail
from tests.experiments.stand_in import known_scores, metric
from tests.support.encoded_images import orientation_exif
from tests.support.html_pages import HOSTILE, Tags, image_of


@pytest.fixture
def hostile_page(tmp_path):
    for number, name in enumerate(HOSTILE):
        Image.new("RGB", (500, 300), (40 * number, 90, 90)).save(tmp_path / name)
    scores = {name: number / 10 for number, name in enumerate(HOSTILE)}
    paths = [str(tmp_path / name) for name in HOSTILE] + ["<b>gone"]
    ranking = rank_images(metric(), paths, scorer=known_scores(scores, failed=("<b>gone",)))
    return rank_makers(ranking, top=2, title="<i>Title</i>\udcff")["html"]()


def test_hostile_names_are_text(hostile_page):
    page = Tags(hostile_page)
    assert [tag for tag, _ in page.tags].count("img") == 4
    assert not {"script", "i", "b"} & {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    for shown in ("<script>alert(2)<.png", '"><img src=x onerror=alert(1)>.png', "\\udcff.png", "\\u202egnp.png"):
        assert shown in page.text
    assert "<i>Title</i>\\udcff" in page.text
    assert "<b>gone is broken." in page.text


def test_pages_need_nothing_from_elsewhere(hostile_page):
    page = Tags(hostile_page)
    links = [attributes[key] for _, attributes in page.tags for key in ("src", "href", "srcset") if key in attributes]
    assert len(links) == 4
    assert all(link.startswith("data:image/jpeg;base64,") for link in links)
    assert b"url(" not in hostile_page
    assert b"@import" not in hostile_page
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags
    assert any("default-src 'none'" in str(attributes.get("content")) for _, attributes in page.tags)
    assert b"prefers-color-scheme: dark" in hostile_page


def test_images_of_the_page_are_small_and_described(hostile_page):
    for tag, attributes in Tags(hostile_page).tags:
        if tag == "img":
            assert attributes["alt"]
            assert image_of(attributes["src"]).size == (320, 192)


def test_a_name_that_a_template_uses_must_be_given():
    with pytest.raises(jinja2.UndefinedError, match="title"):
        render_page("base.html")


def test_thumbnails_are_upright_and_over_white(tmp_path):
    turned = Image.new("RGB", (40, 20), "red")
    turned.save(tmp_path / "turned.jpg", exif=orientation_exif(6))
    assert thumbnail(tmp_path / "turned.jpg", 100).size == (20, 40)
    Image.new("RGBA", (30, 30), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert np.asarray(thumbnail(tmp_path / "clear.png", 10)).min() == 255


def test_participants_see_the_file_itself_where_a_browser_can_show_it(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    for name in ("a.jpg", "a.png", "a.webp"):
        picture.save(tmp_path / name)
        uri = faithful_uri(tmp_path / name, 80)
        assert base64.b64decode(uri.partition(",")[2]) == (tmp_path / name).read_bytes()
        assert uri.startswith(f"data:image/{'jpeg' if name == 'a.jpg' else name[2:]};")
    picture.save(tmp_path / "a.bmp")
    assert np.array_equal(np.asarray(image_of(faithful_uri(tmp_path / "a.bmp", 80))), noise)
    assert image_of(faithful_uri(tmp_path / "a.bmp", 40)).size == (40, 30)
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert np.asarray(image_of(faithful_uri(tmp_path / "clear.png", 80)).convert("RGB")).min() == 255


@pytest.fixture
def study(tmp_path):
    for number in range(3):
        Image.new("RGB", (40, 30), (80 * number, 0, 0)).save(tmp_path / f"secret{number}.png")
    paths = [str(tmp_path / f"secret{number}.png") for number in range(3)]
    pairs = [(paths[0], paths[1], 0.12345, 0.6), (paths[2], paths[0], 0.7, 0.12345)]
    return Study(
        column="tiny",
        pairs=tuple(
            StudyPair(pair=number, left=left, right=right, left_score=low, right_score=high, metric_choice="right")
            for number, (left, right, low, high) in enumerate(pairs, start=1)
        ),
    )


def test_the_page_of_a_study_gives_nothing_away(study):
    page = study_page(study, question="Which </script> is <b>best</b>?", max_side=64)
    assert b"secret" not in page
    assert b"0.12345" not in page
    assert b"metric_choice" not in page
    content = json.loads(re.search(rb'<script type="application/json" id="study">(.*?)</script>', page).group(1))
    assert content["identity"] == study.identity
    assert content["pairs"] == [{"pair": 1, "left": 0, "right": 1}, {"pair": 2, "left": 2, "right": 0}]
    assert [image_of(uri).getpixel((0, 0)) for uri in content["images"]] == [(0, 0, 0), (80, 0, 0), (160, 0, 0)]
    assert "Which </script> is <b>best</b>?" in Tags(page).text
    assert [tag for tag, _ in Tags(page).tags].count("b") == 0


def test_a_study_is_never_overwritten(study, tmp_path):
    page, pairs = write_study(tmp_path / "new" / "study", study, question="?", max_side=64)
    assert (page.name, pairs.name) == ("study.html", "pairs.csv")
    with pytest.raises(InvalidOptionError, match="people may have answered"):
        write_study(tmp_path / "new" / "study", study, question="?", max_side=64)


def test_a_report_goes_to_a_folder_or_to_one_file(tmp_path):
    makers = {"csv": lambda: b"c", "json": lambda: b"j", "pdf": lambda: b"p"}
    assert [path.name for path in write_report(tmp_path / "x" / "folder", "name", makers)] == ["name.csv", "name.json"]
    assert write_report(tmp_path / "one.PDF", "name", makers) == [tmp_path / "one.PDF"]
    assert (tmp_path / "one.PDF").read_bytes() == b"p"
    (tmp_path / "v1.2").mkdir()
    assert write_report(tmp_path / "v1.2", "name", makers)[0] == tmp_path / "v1.2" / "name.csv"
    for refused in ("one.xlsx", "v1.3"):
        with pytest.raises(InvalidOptionError, match=r"ends in \.csv, \.json, \.pdf"):
            check_output(tmp_path / refused, makers)
    (tmp_path / "file").touch()
    with pytest.raises(InvalidOptionError, match="Expected a folder or a file"):
        check_output(tmp_path / "file", makers)


def test_who_reads_the_old_file_goes_on_reading_it(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"old")
    with (tmp_path / "a.csv").open("rb") as reader:
        write_report(tmp_path / "a.csv", "a", {"csv": lambda: b"new"})
        assert reader.read() == b"old"
    assert (tmp_path / "a.csv").read_bytes() == b"new"


def test_a_report_that_fails_leaves_the_old_file(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"old")

    def fail():
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        write_report(tmp_path / "a.csv", "a", {"csv": fail})
    assert (tmp_path / "a.csv").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_images_that_vanish_after_scoring_do_not_stop_the_page(tmp_path):
    ranking = rank_images(metric(), [str(tmp_path / "gone.png")], scorer=known_scores({"gone.png": 0.5}))
    assert b"gone.png" in rank_makers(ranking, top=1, title="")["html"]()


WITHOUT = """
import sys
from perceptmetrics.apps.cli import main
for module in ("matplotlib", "jinja2"):
    for name in [name for name in sys.modules if name.startswith("perceptmetrics.reports")]:
        del sys.modules[name]
    sys.modules[module] = None
    try:
        main()
    except SystemExit as ended:
        print(module, ended.code)
    del sys.modules[module]
"""


def test_a_missing_extra_names_the_command_that_installs_it():
    result = subprocess.run([sys.executable, "-c", WITHOUT, "rank", "x"], capture_output=True, text=True, check=False)
    assert result.stdout.split() == ["matplotlib", "2", "jinja2", "2"]
    assert result.stderr.count('pip install "perceptmetrics[plots]"') == 2
    assert "Traceback" not in result.stderr
