"""`label_studio`: exports in three formats, addresses of images, several annotators, what is left out or refused."""

from __future__ import annotations

import base64
import csv
import json
from pathlib import Path
from typing import Any

import pytest

from perceptmetrics.datasets import load_dataset
from perceptmetrics.datasets.references import find_references, path_of
from perceptmetrics.errors import DatasetError, InvalidOptionError
from tests.datasets.layouts import picture

SCALE = {"lower": 1, "upper": 5}
UPLOADED = "/data/upload/3/0a1b2c3d-one%20two.jpg"
LOCAL = "/data/local-files/?d=photos/lake.jpg"
CLOUD = "s3://bucket/a/b/sea.jpg"


def result(name: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"from_name": name, "to_name": "image", "type": kind, "value": value, "id": "x"}


def rating(number: float) -> dict[str, Any]:
    return result("quality", "rating", {"rating": number})


def annotation(*results: dict[str, Any], who: object = 1, cancelled: bool = False) -> dict[str, Any]:
    return {"id": 7, "completed_by": who, "was_cancelled": cancelled, "result": list(results)}


def task(number: int, image: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    return {"id": number, "data": {"image": image, "caption": "Some."}, "annotations": list(annotations)}


TASKS = [
    task(1, UPLOADED, annotation(rating(5)), annotation(rating(3), who={"id": 2, "email": "b@c.org"})),
    task(2, LOCAL, annotation(rating(2)), annotation(rating(1), who=2, cancelled=True)),
    task(3, CLOUD, annotation(rating(4), who=2), {**annotation(), "result": []}),
    task(4, "https://host/dune.jpg?x=1"),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate(("up/one two.jpg", "photos/lake.jpg", "b/sea.jpg", "dune.jpg", "photos/sea.jpg")):
        picture(tmp_path / name, number)
    return tmp_path


def export(root: Path, content: object) -> Path:
    (root / "export.json").write_text(json.dumps(content), encoding="utf-8")
    return root


def flat(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records of JSON-MIN, as the tool's converter makes them."""
    return [
        {
            **one["data"],
            "id": one["id"],
            **{entry["from_name"]: shown(entry) for entry in answer["result"]},
            "annotator": answer["completed_by"] if not isinstance(answer["completed_by"], dict) else "b@c.org",
            "annotation_id": number,
            "created_at": "2024-01-01",
            "updated_at": "2024-01-01",
            "lead_time": 3.2,
        }
        for one in tasks
        for number, answer in enumerate(one["annotations"])
        if not answer["was_cancelled"]
    ]


def shown(entry: dict[str, Any]) -> object:
    value = entry["value"]
    return value["choices"][0] if len(value.get("choices", [])) == 1 else [value]


def write_csv(root: Path, records: list[dict[str, Any]]) -> Path:
    columns = list(dict.fromkeys(key for record in records for key in record))
    with (root / "export.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        cells = ({k: v if isinstance(v, str) else json.dumps(v) for k, v in one.items()} for one in records)
        writer.writerows(cells)
    return root


@pytest.mark.parametrize("form", ["json", "json-min", "csv"])
def test_ratings_of_several_annotators(root: Path, form: str) -> None:
    if form == "csv":
        write_csv(root, flat(TASKS))
    else:
        export(root, TASKS if form == "json" else flat(TASKS))
    dataset = load_dataset("label_studio", root, **SCALE)
    assert dataset.names == ("up/one two.jpg", "photos/lake.jpg", "b/sea.jpg")
    assert dataset.images == tuple(root / name for name in dataset.names)
    assert dataset.ratings is not None
    assert dataset.ratings[:, 0].tolist() == pytest.approx([0.75, 0.25, 0.75])
    assert (dataset.labels, dataset.pooled[0].counts.tolist()) == (("quality",), [2, 1, 1])
    if form == "json":
        assert "1 cancelled annotations left out; 1 tasks without an annotation" in dataset.pooled[0].sentence


def moods(*names: str, who: int = 1) -> dict[str, Any]:
    return annotation(result("mood", "choices", {"choices": list(names)}), who=who)


@pytest.mark.parametrize("form", ["json", "csv"])
def test_choices_are_classes(root: Path, form: str) -> None:
    tasks = [task(1, UPLOADED, moods("joy"), moods("joy", who=2), moods("fear", who=3)), task(2, LOCAL, moods("fear"))]
    if form == "csv":
        write_csv(root, flat(tasks))
        with pytest.raises(
            DatasetError, match=r"does not say which of image, caption, mood is the control.*class_column"
        ):
            load_dataset("label_studio", root)
    else:
        export(root, tasks)
    stated = {"class_column": "mood"} if form == "csv" else {}
    dataset = load_dataset("label_studio", root, positive_labels="joy", **stated)
    assert dataset.classes is not None
    assert [dataset.labels[index] for index in dataset.classes] == ["joy", "fear"]


def test_choices_of_numbers_are_ratings_where_stated(root: Path) -> None:
    tasks = [task(1, UPLOADED, moods("5"), moods("4", who=2)), task(2, LOCAL, moods("1"))]
    dataset = load_dataset("label_studio", export(root, tasks), columns="mood", **SCALE)
    assert dataset.ratings is not None
    assert dataset.ratings[:, 0].tolist() == [0.875, 0]
    export(root, [task(1, UPLOADED, moods("good"))])
    with pytest.raises(DatasetError, match="task 1, annotation 7: expected a number in 'mood', got 'good'"):
        load_dataset("label_studio", root, columns="mood", **SCALE)


def pair(number: int, left: str, right: str, *selected: str, names: tuple[str, str]) -> dict[str, Any]:
    chosen = [annotation(result("pw", "pairwise", {"selected": one}), who=who) for who, one in enumerate(selected)]
    return {"id": number, "data": dict(zip(names, (left, right), strict=True)), "annotations": chosen}


@pytest.mark.parametrize("form", ["json", "json-min", "csv"])
def test_pairwise_choices(root: Path, form: str) -> None:
    names = ("image2", "image1")  # what is left is said by the name, not by the order
    tasks = [
        pair(1, LOCAL, UPLOADED, "left", "left", names=names),
        pair(2, CLOUD, LOCAL, "left", names=names),
    ]
    if form == "csv":
        write_csv(root, flat(tasks))
    else:
        export(root, tasks if form == "json" else flat(tasks))
    dataset = load_dataset("label_studio", root)
    assert dataset.labels == ("pw",)
    assert dataset.ratings is not None
    scores = dict(zip(dataset.names, dataset.ratings[:, 0], strict=True))
    assert scores["up/one two.jpg"] > scores["photos/lake.jpg"] > scores["b/sea.jpg"]
    assert "left is 'image1', right is 'image2'" in dataset.pooled[0].sentence


def test_sides_without_an_order_are_asked_for(root: Path) -> None:
    export(root, [pair(1, LOCAL, UPLOADED, "left", names=("before", "after"))])
    with pytest.raises(DatasetError, match=r"which image is left, .*before, after.*--option left=NAME"):
        load_dataset("label_studio", root)
    dataset = load_dataset("label_studio", root, left="after", right="before")
    assert dataset.ratings is not None
    assert dict(zip(dataset.names, dataset.ratings[:, 0] > 0.5, strict=True))["up/one two.jpg"]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ({"a": 1}, {}, "is no export of annotations"),
        ([], {}, "is no export of annotations"),
        ([{"image": "a.jpg"}], {}, "objects with image"),
        ([task(1, LOCAL)], {}, "no annotations that were submitted"),
        ([task(1, LOCAL, annotation(rating(1), rating(2)))], {}, "'quality' is answered more than once"),
        ([task(1, LOCAL, moods("joy", "fear"))], {}, r"expected one choice in 'mood', got \('joy', 'fear'\)"),
        (
            [task(1, LOCAL, annotation(rating(1), *moods("joy")["result"]))],
            {},
            "answers to 2 controls.*columns=quality; --option class_column=mood",
        ),
        (TASKS, {"columns": "qualty"}, "no answers to 'qualty'. Did you mean 'quality'"),
        (TASKS, {"image": "img"}, "no task has 'img'"),
        (
            [task(1, "a", annotation(rating(1)))],
            {},
            "expected one image in the data of each task, got none.*image=NAME",
        ),
        ([task(1, "data:image/png;base64,AAAA", annotation(rating(1)))], {}, "holds an image itself"),
        ([*TASKS, task(9, UPLOADED, annotation(rating(1)))], {}, "'1' rates .* more than once.*repeats=mean"),
    ],
)
def test_what_cannot_be_read_is_refused(root: Path, content: object, options: dict[str, object], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        load_dataset("label_studio", export(root, content), **options)


def test_files_that_are_no_export(root: Path) -> None:
    with pytest.raises(DatasetError, match=r"Expected an export of Label Studio .* got none"):
        load_dataset("label_studio", root)
    for text in ("{", "[" * 100_000):
        (root / "export.json").write_text(text)
        with pytest.raises(DatasetError, match="cannot be read as JSON"):
            load_dataset("label_studio", root)
    (root / "other.json").write_text("[]")
    with pytest.raises(DatasetError, match=r"several files \(export.json, other.json\).*table=NAME"):
        load_dataset("label_studio", root)
    (root / "labels.csv").write_text("image,mos\na.jpg,3\n")
    with pytest.raises(DatasetError, match="a table with the columns image, mos"):
        load_dataset("label_studio", root, table="labels.csv")


def test_options_of_another_kind_of_label_are_refused(root: Path) -> None:
    export(root, [task(1, LOCAL, moods("joy"))])
    with pytest.raises(InvalidOptionError, match="are for ratings"):
        load_dataset("label_studio", root, lower=1)
    with pytest.raises(InvalidOptionError, match="State one of"):
        load_dataset("label_studio", root, columns="mood", class_column="mood")


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        (UPLOADED, "data/upload/3/0a1b2c3d-one two.jpg"),
        ("/data/local-files/?d=photos%2Fa%20b.jpg", "photos/a b.jpg"),
        ("https://host/x/a%20b.jpg?width=3#top", "x/a b.jpg"),
        (f"/tasks/1/resolve/?fileuri={base64.b64encode(b's3://bucket/x.jpg').decode()}", "x.jpg"),
        ("gs://bucket/deep/x.jpg", "deep/x.jpg"),
        (r"C:\photos\a.jpg", "C:/photos/a.jpg"),
        ("plain/100%25 sure.jpg", "plain/100%25 sure.jpg"),
    ],
)
def test_paths_in_references(reference: str, path: str) -> None:
    assert path_of(reference) == path


def test_the_longest_end_of_a_path_wins_and_doubt_is_an_error(root: Path) -> None:
    found = find_references(["s3://x/photos/sea.jpg", "s3://x/b/sea.jpg", "s3://x/../secret.jpg"], root)
    assert found == [root / "photos" / "sea.jpg", root / "b" / "sea.jpg", None]
    with pytest.raises(DatasetError, match="both stand for"):
        find_references(["/data/upload/1/00000000-dune.jpg", "/data/upload/1/11111111-dune.jpg"], root)
