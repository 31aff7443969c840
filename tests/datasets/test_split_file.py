"""`with_split_file`: lists of splits in the forms that people have, and each mistake with its line."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perceptmetrics.datasets import (
    LabelledImages,
    Scale,
    Split,
    load_dataset,
    make_splits,
    splits_note,
    with_split_file,
)
from perceptmetrics.errors import DatasetError
from tests.datasets.layouts import flive

NAMES = tuple(f"photos/{letter}.jpg" for letter in "abcdef")
ONE = {"train": ["photos/a.jpg", "b.jpg", "c"], "val": ["photos/d.jpg"], "test": ["photos/e.jpg", "f.jpg"]}
EXPECTED = [([0, 1, 2], [3], [4, 5]), ([3, 4, 5], [], [0, 1])]


@pytest.fixture
def dataset() -> LabelledImages:
    return LabelledImages(
        name="mine",
        task="quality",
        images=tuple(map(Path, NAMES)),
        names=NAMES,
        labels=("quality",),
        ratings=np.linspace(0, 1, len(NAMES))[:, None],
        scales=(Scale(lower=0, upper=1),),
    )


def parts(dataset: LabelledImages, content: str | bytes, path: Path) -> list[tuple[list[int], ...]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    splits = with_split_file(dataset, path).official_splits
    return [(split.train.tolist(), split.validation.tolist(), split.test.tolist()) for split in splits]


TWO = [ONE, {"training": ["d", "e", "f"], "test": ["a", "b"]}]
NUMBERED = {1: {"train": [0, 1, 2], "val": [3], "test": [4, 5]}, 2: {"train": [3, 4, 5], "val": [0, 1]}}
WIDE = "mos;image;run 1;run 2\n1;a;train;test\n1;b;train;test\n1;c;Training;\n1;d;val;train\n"
WIDE += "1;e;test;train\n1;f;test;train\n"
LONG = "image,split,part\nd,10,train\ne,10,train\nf,10,train\na,10,test\nb,10,test\n" + "".join(
    f"{name},9,{part}\n" for part, names in ONE.items() for name in names
)


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        (json.dumps(TWO), "json"),
        (json.dumps(dict(enumerate(TWO))), "json"),
        (json.dumps(NUMBERED), "json"),
        (pickle.dumps(NUMBERED), "pkl"),
        (pickle.dumps(TWO, protocol=0), "pickle"),
        (WIDE, "csv"),
        (LONG, "txt"),
    ],
    ids=["list", "object", "numbers", "pyiqa", "names", "columns", "rows"],
)
def test_every_form_gives_the_same_splits(
    dataset: LabelledImages, tmp_path: Path, content: str | bytes, suffix: str
) -> None:
    assert parts(dataset, content, tmp_path / f"lists.{suffix}") == EXPECTED


def test_folds_are_tested_in_turn(dataset: LabelledImages, tmp_path: Path) -> None:
    table = "name,fold\n" + "".join(f"{name},{index % 3 + 9}\n" for index, name in enumerate("abcdef"))
    found = parts(dataset, table, tmp_path / "folds.csv")
    assert [test for _, _, test in found] == [[0, 3], [1, 4], [2, 5]]
    assert found[0][0] == [1, 2, 4, 5]


def test_one_split_alone_is_read_and_lacking_validation_is_drawn(dataset: LabelledImages, tmp_path: Path) -> None:
    assert parts(dataset, json.dumps(ONE), tmp_path / "one.json") == EXPECTED[:1]
    (tmp_path / "two.json").write_text(json.dumps(TWO))
    first, second = make_splits(with_split_file(dataset, tmp_path / "two.json"), 10)
    assert first.validation.tolist() == [3]
    assert len(second.validation) == 1
    assert set(second.validation) < {3, 4, 5}


@pytest.mark.parametrize(
    ("content", "suffix", "message"),
    [
        (json.dumps([{"train": ["a"], "test": ["x.jpg"]}], indent=0), "json", r"line 7: 'x.jpg' is no image of mine"),
        (json.dumps([{"train": ["a", "b"], "test": ["b"]}]), "json", "split 1 lists 'b' twice, first for train"),
        ('[{"train": ["a"],\n "tset": ["b"]}]', "json", "line 2: split 1 has a part 'tset'"),
        ('[{"train": ["a"]\n "test": ["b"]}]', "json", "line 2: it is not valid JSON"),
        ('{"1": {"train": "a", "test": ["b"]}}', "json", "the part 'train' of split 1 is no list"),
        ('[{"train": ["a"]}]', "json", "split 1 has no images to test on"),
        ("[]", "json", "expected a list of splits"),
        (json.dumps([{"train": [0], "test": [6]}]), "json", "no image number 6 in mine, which has 6"),
        ("image,s1\na,train\nb,tset\nc,test\nd,train\n", "csv", "line 3: expected train, validation or test"),
        ("image,s1\na,train\n\nz,test\n", "csv", "line 4: 'z' is no image of mine"),
        ("image,s1\na,train\nb,test\na,train\n", "csv", "line 4: split s1 lists 'a' twice"),
        ("image,mos\na,1\nb,2\n", "csv", "no column of splits: .* got image, mos"),
        ("image,fold\na,1\nb,\n", "csv", "line 3: the column 'fold' is empty"),
        ("image,split,set\na,1,train\nb,,test\n", "csv", "line 3: the column 'split' of split numbers is empty"),
        (pickle.dumps({1: {"train": np.arange(3), "test": [4]}}), "pkl", "only plain lists, texts and numbers"),
        (pickle.dumps({1: {"train": (0, 1), "test": [4]}}), "pkl", "holds tuples"),
        (b"\x80\x04\x95", "pkl", "cannot be read as a pickle of splits"),
    ],
)
def test_mistakes_are_named_with_their_line(
    dataset: LabelledImages, tmp_path: Path, content: str | bytes, suffix: str, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        parts(dataset, content, tmp_path / f"lists.{suffix}")


def test_names_that_are_not_alone_and_images_that_are_missing(dataset: LabelledImages, tmp_path: Path) -> None:
    twice = replace(dataset, names=("x/a.jpg", "y/a.jpg", *NAMES[2:]))
    with pytest.raises(DatasetError, match=r"'a\.jpg' stands for several images"):
        parts(twice, "image,s\na.jpg,train\nc,test\n", tmp_path / "lists.csv")
    lacking = replace(dataset, missing=("photos/gone.jpg",))
    assert parts(lacking, "image,s\na,train\ngone.jpg,train\nb,test\n", tmp_path / "lists.csv") == [([0], [], [1])]
    with pytest.raises(DatasetError, match="numbers the images, but 1 of mine are missing"):
        parts(lacking, json.dumps(NUMBERED), tmp_path / "lists.json")


@pytest.mark.parametrize(
    "spelling", [("labels<=640_padded.csv", "labels>640.csv"), ("labels__640_padded.csv", "labels_640.csv")]
)
def test_flive_finds_its_split_under_the_authors_names_and_those_of_copies(
    tmp_path: Path, spelling: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    made = flive(tmp_path)
    for name, other in zip(("labels=640_padded.csv", "labels>640.csv"), spelling, strict=True):
        (tmp_path / name).rename(tmp_path / other)
    found = load_dataset("flive", made.root)
    assert len(found.official_splits) == 1
    assert not caplog.records
    (tmp_path / spelling[0]).unlink()
    assert load_dataset("flive", made.root).official_splits == ()
    assert f"{spelling[1]} is there without labels<=640_padded.csv" in caplog.text


def test_what_is_done_about_the_number_of_splits_is_said(dataset: LabelledImages) -> None:
    given = Split(train=np.arange(3), validation=np.arange(0), test=np.arange(3, 6))
    published = replace(dataset, official_splits=(given,) * 5)
    assert splits_note(dataset, 10) == splits_note(published, 5) == splits_note(dataset, 3, official=False) == ""
    assert splits_note(published, 10) == "mine: it has 5 given splits, so results are over 5, not over 10"
    assert splits_note(published, 1) == "mine: of its 5 given splits the first one is used"
    assert "5 given splits are not used" in splits_note(published, 5, official=False)
