"""What is particular to one data set, and the names and options of all."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat, savemat

import perceptmetrics
from perceptmetrics.datasets import RenderedImage, dataset_info, list_datasets, load_dataset, make_splits
from perceptmetrics.datasets.emoset import MIKELS
from perceptmetrics.datasets.table import read_workbook
from perceptmetrics.errors import DatasetError, InvalidOptionError, MissingExtraError
from perceptmetrics.metrics import perceptclip
from tests.datasets import layouts


def test_an_unknown_data_set_is_told_with_what_is_near(tmp_path: Path) -> None:
    for call in (lambda: load_dataset("koniq", tmp_path), lambda: dataset_info("koniq")):
        with pytest.raises(DatasetError, match=r"There is no data set 'koniq'. Did you mean 'koniq10k'"):
            call()


def test_the_package_lends_its_names() -> None:
    assert perceptmetrics.list_datasets() == list_datasets()
    assert perceptmetrics.load_dataset is load_dataset


@pytest.mark.parametrize("name", list_datasets())
def test_every_card_is_complete(name: str) -> None:
    info = dataset_info(name)
    assert info.name == name
    assert all((info.title, info.paper, info.licence, info.obtain, info.scale, info.splits))
    assert (info.images is None) == (name in ("ladders", "livec_ladders", "csv", "choices", "label_studio"))
    assert 0 < info.test_fraction < 1
    assert 0 < info.validation_fraction < 1


@pytest.mark.parametrize("name", list_datasets())
def test_every_data_set_refuses_options_it_does_not_know(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match=f"{name} has no option 'imagesize'"):
        load_dataset(name, tmp_path, imagesize=3)


def test_listing_data_sets_does_not_import_torch() -> None:
    program = "import sys, perceptmetrics as pm; pm.list_datasets(); raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_koniq10k_offers_both_sizes(tmp_path: Path) -> None:
    made = layouts.koniq10k(tmp_path)
    for number, name in enumerate(made.shares):
        layouts.picture(tmp_path / "1024x768" / name, number)
    for options, folder in (({}, "1024x768"), ({"image_size": "512x384"}, "512x384")):
        dataset = load_dataset("koniq10k", tmp_path, **options)  # type: ignore[arg-type]
        assert {image.parent.name for image in dataset.images if isinstance(image, Path)} == {folder}
    with pytest.raises(
        InvalidOptionError, match=r"image_size must be 1024x768 or 512x384, got '1024x786'. Did you mean"
    ):
        load_dataset("koniq10k", tmp_path, image_size="1024x786")


def test_koniq10k_takes_the_authors_split_only_when_asked_and_from_the_table_that_has_it(tmp_path: Path) -> None:
    scores, sets = layouts.koniq10k(tmp_path), layouts.koniq10k_sets(tmp_path)
    assert load_dataset("koniq10k", tmp_path).official_splits == ()
    (split,) = load_dataset("koniq10k", tmp_path, official_split=True).official_splits
    names = list(scores.shares)
    assert {names[place] for place in split.test} == sets.splits[0][2]
    sets.labels.unlink()
    with pytest.raises(DatasetError, match=r"Expected the file 'koniq10k_distributions_sets.csv'"):
        load_dataset("koniq10k", tmp_path, official_split=True)


def test_koniq10k_reads_a_table_with_five_grades_alone_on_their_scale(tmp_path: Path) -> None:
    made = layouts.koniq10k(tmp_path)
    rows = [["image_name", "MOS"], *([name, 1 + 4 * float(share)] for name, share in made.shares.items())]
    layouts.table(made.labels, rows)
    dataset = load_dataset("koniq10k", tmp_path)
    assert (dataset.scales[0].lower, dataset.scales[0].upper) == (1, 5)
    assert dataset.ratings is not None
    assert dataset.ratings[:, 0] == pytest.approx(list(made.shares.values()))


def test_spaq_reads_attributes_when_asked(tmp_path: Path) -> None:
    layouts.spaq(tmp_path)
    dataset = load_dataset("spaq", tmp_path, columns=["MOS", "Sharpness"])
    assert (dataset.labels, dataset.task) == (("quality", "sharpness"), "attribute")
    assert dataset.ratings is not None
    assert set(dataset.ratings[:, 1]) == {0.105}
    with pytest.raises(DatasetError, match=r"no column 'Sharpnes'. Did you mean 'Sharpness'"):
        load_dataset("spaq", tmp_path, columns=["Sharpnes"])


def test_live_leaves_out_the_references_and_prefers_the_realigned_scores(tmp_path: Path) -> None:
    layouts.live(tmp_path)
    assert load_dataset("live", tmp_path).scales[0].upper == 100
    made = loadmat(str(tmp_path / "dmos.mat"))
    savemat(tmp_path / "dmos_realigned.mat", {"dmos_new": made["dmos"] * 1.1 - 3, "orgs": made["orgs"]})
    dataset = load_dataset("live", tmp_path)
    assert len(dataset) == 779
    assert (dataset.scales[0].lower, dataset.scales[0].upper) == pytest.approx((-3, 107))
    savemat(tmp_path / "refnames_all.mat", {"refnames_all": np.array([["a.bmp"] * 7], dtype=object)})
    with pytest.raises(DatasetError, match="expected 982 entries, got 982 scores, 982 marks of references and 7 names"):
        load_dataset("live", tmp_path)


def test_a_list_in_another_case_than_the_files_is_understood(tmp_path: Path) -> None:
    made = layouts.tid2013(tmp_path)
    text = made.labels.read_text()
    made.labels.write_text(text.replace("I01_01_1.bmp", "i01_01_1.BMP"))
    dataset = load_dataset("tid2013", tmp_path)
    assert dataset.groups is not None
    assert dataset.groups[:2] == ("I01", "I01")


@pytest.mark.parametrize("line", ["5.5 I01_01_1.bmp", "5.5", "word I03_01_1.bmp", "nan I03_01_1.bmp", "1 2 I03.bmp"])
def test_a_wrong_line_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    made = layouts.tid2013(tmp_path)
    with made.labels.open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(DatasetError, match=r"mos_with_names.txt, line 13: "):
        load_dataset("tid2013", tmp_path)


def test_lamem_takes_the_mean_where_lists_differ_and_as_many_lists_as_there_are(tmp_path: Path) -> None:
    made = layouts.lamem(tmp_path)
    for path in made.labels.parent.glob("*_[2-5].txt"):
        path.unlink()
    for part in ("train", "val", "test"):
        text = (made.labels.parent / f"{part}_1.txt").read_text().split()
        doubled = [f"{name} {0.5 + float(score) / 2}" for name, score in zip(text[::2], text[1::2], strict=True)]
        layouts.lines(made.labels.parent / f"{part}_2.txt", *doubled)
    dataset = load_dataset("lamem", tmp_path)
    assert len(dataset.official_splits) == 2
    expected = [0.25 + 0.75 * float(made.shares[name]) for name in dataset.names]
    assert dataset.ratings is not None
    assert dataset.ratings[:, 0] == pytest.approx(expected, abs=1e-5)


def test_the_images_of_sun_come_out_of_its_array(tmp_path: Path) -> None:
    layouts.sun(tmp_path)
    dataset = load_dataset("sun", tmp_path)
    array = loadmat(str(tmp_path / "Data" / "Image data" / "target_images.mat"))["img"]
    rendered = [image for image in dataset.images if isinstance(image, RenderedImage)]
    assert len(rendered) == layouts.COUNT
    for place, image in enumerate(rendered):
        pixels = image.render()
        assert pixels.dtype == torch.uint8
        assert np.array_equal(pixels.numpy(), array[..., place].transpose(2, 0, 1))
    assert len({image.identity for image in rendered}) == layouts.COUNT


def test_an_array_of_sun_with_too_few_images_lacks_the_others(tmp_path: Path) -> None:
    layouts.sun(tmp_path)
    path = tmp_path / "Data" / "Image data" / "target_images.mat"
    savemat(path, {"img": loadmat(str(path))["img"][..., :-2]})
    with pytest.raises(DatasetError, match=r"sun: 2 of 12 labelled images are missing: 0011 sun_11_crop.jpg, 0012"):
        load_dataset("sun", tmp_path)
    dataset = load_dataset("sun", tmp_path, missing="skip")
    assert len(dataset) == len(dataset.images) == 10
    assert max(part.max() for split in dataset.official_splits for part in (split.train, split.test)) == 9
    savemat(path, {"img": np.zeros((4, 4), dtype=np.uint8)})
    with pytest.raises(
        DatasetError, match=r"expected an array img of shape \(height, width, 3, images\), got \(4, 4\)"
    ):
        load_dataset("sun", tmp_path)


def test_sun_without_its_splits_is_split_by_draw(tmp_path: Path) -> None:
    layouts.sun(tmp_path)
    (tmp_path / "Data" / "Random splits" / "image_test_indices.mat").unlink()
    assert len(make_splits(load_dataset("sun", tmp_path))) == 10


def test_emotions_are_in_the_order_of_the_metric() -> None:
    emotional = next(spec for spec in vars(perceptclip).values() if getattr(spec, "task", None) == "emotion")
    assert emotional.score.labels == MIKELS


def test_an_emotion_that_does_not_exist_is_told(tmp_path: Path) -> None:
    made = layouts.emoset(tmp_path)
    made.labels.write_text('[["awee", "image/awe/awe_00000.jpg", "annotation/awe/awe_00000.json"]]')
    with pytest.raises(DatasetError, match=r"'awee' is not an emotion of EmoSet. Did you mean 'awe'"):
        load_dataset("emoset", tmp_path)


def test_spaq_reads_a_csv_saved_from_the_workbook_without_openpyxl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = layouts.spaq(tmp_path)
    whole = load_dataset("spaq", tmp_path)
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingExtraError, match=r"scores\.xlsx .* pip install \"perceptmetrics\[spaq\]\""):
        load_dataset("spaq", tmp_path)
    rows = [["Image name", "MOS"], *([name, 100 * fraction] for name, fraction in expected.shares.items())]
    layouts.table(expected.labels.with_suffix(".csv"), rows)
    expected.labels.unlink()
    assert load_dataset("spaq", tmp_path).names == whole.names
    np.testing.assert_allclose(load_dataset("spaq", tmp_path).ratings, whole.ratings, rtol=1e-12)


def test_a_workbook_with_gaps_is_read(tmp_path: Path) -> None:
    rows = [["Image name", None, "MOS", "Noise"], ["a.jpg", "?", 2.5], [], [" b.jpg ", None, None, 3], ["c.jpg"]]
    table = read_workbook(layouts.workbook(tmp_path / "w.xlsx", rows))
    assert table.header == ("Image name", "MOS", "Noise")
    assert [tuple(row.values()) for row in table.rows] == [("a.jpg", "2.5", ""), ("b.jpg", "", "3"), ("c.jpg", "", "")]


@pytest.mark.parametrize("rows", [[], [["Image name", "MOS"]], [[], []]])
def test_a_workbook_without_ratings_is_refused(tmp_path: Path, rows: list[list[str]]) -> None:
    with pytest.raises(DatasetError, match=r"w\.xlsx contains no ratings"):
        read_workbook(layouts.workbook(tmp_path / "w.xlsx", rows))


@pytest.mark.parametrize("part", ["xl/workbook.xml", "xl/worksheets/sheet1.xml", "[Content_Types].xml"])
@pytest.mark.parametrize("content", ["<worksheet", "<a/>", "", None])
def test_a_corrupt_workbook_is_refused(tmp_path: Path, part: str, content: str | None) -> None:
    whole = layouts.workbook(tmp_path / "whole.xlsx", [["Image name", "MOS"], ["a.jpg", 1]])
    with zipfile.ZipFile(whole) as read, zipfile.ZipFile(tmp_path / "w.xlsx", "w") as written:
        for name in read.namelist():
            if name != part:
                written.writestr(name, read.read(name))
            elif content is not None:
                written.writestr(name, content)
    with pytest.raises(DatasetError, match=r"w\.xlsx"):
        read_workbook(tmp_path / "w.xlsx")


def test_a_file_that_is_no_workbook_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.xlsx").write_text("Image name,MOS")
    with pytest.raises(DatasetError, match=r"w\.xlsx cannot be read as an .xlsx workbook"):
        read_workbook(tmp_path / "w.xlsx")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_workbook(tmp_path / "gone.xlsx")


def test_sun_has_scores_of_half_of_the_subjects_for_each_split(tmp_path: Path) -> None:
    made = layouts.sun(tmp_path)
    halves = np.random.default_rng(0).uniform(size=(2, 25, 30))
    for number, half in enumerate(halves, start=1):
        savemat(made.root / "Data" / "Random splits" / f"subject_hrs{number}.mat", {f"subject_hrs{number}": half})
    whole, third = load_dataset("sun", made.root), load_dataset("sun", made.root, half_subjects=3)
    assert whole.ratings is not None
    assert third.ratings is not None
    (split,) = third.official_splits
    assert split.train.tolist() == whole.official_splits[2].train.tolist()
    assert third.ratings[split.train, 0].tolist() == halves[0, 2][split.train].tolist()
    assert third.ratings[split.test, 0].tolist() == halves[1, 2][split.test].tolist()
    used = {*split.train.tolist(), *split.test.tolist()}
    assert np.isnan(third.ratings[[index for index in range(len(third)) if index not in used]]).all()
    for number in (0, 26, True, "3"):
        with pytest.raises(InvalidOptionError, match="a split from 1 to 25"):
            load_dataset("sun", made.root, half_subjects=number)
    (made.root / "Data" / "Random splits" / "subject_hrs2.mat").unlink()
    with pytest.raises(DatasetError, match="subject_hrs2"):
        load_dataset("sun", made.root, half_subjects=3)
