"""Scores land as columns beside the images, in order, and an image that fails stops nothing."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys

import datasets
import fsspec
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import perceptmetrics
from perceptmetrics import DatasetError, InvalidOptionError, MissingExtraError, create_metric
from perceptmetrics.images.examples import sample_photographs
from tests.support.mean_colour_metric import tiny_metric

LABELS = ("joy", "fear")
TINY = tiny_metric()
SIZES = [(60, 40), (48, 48), (60, 40), (40, 60), (48, 48)]


@pytest.fixture(scope="module")
def pictures():
    """Photographs in mixed sizes."""
    return [photograph.resize(size) for photograph, size in zip(sample_photographs().values(), SIZES, strict=True)]


@pytest.fixture(scope="module")
def folder(pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for number, picture in enumerate(pictures):
        picture.save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes((folder / "0.png").read_bytes()[:300])
    return folder


@pytest.fixture(scope="module")
def lite():
    return create_metric("lite_iqa")


@pytest.fixture(scope="module")
def expected(lite, pictures):
    return lite.score(pictures).tolist()


def encoded(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


FORMS = {
    "paths": lambda folder, pictures: [str(folder / f"{number}.png") for number in range(len(pictures))],
    "bytes": lambda folder, pictures: [encoded(picture) for picture in pictures],
    "dictionaries of bytes": lambda folder, pictures: [{"bytes": encoded(p), "path": None} for p in pictures],
    "dictionaries of paths": lambda folder, pictures: [
        {"bytes": None, "path": str(folder / f"{number}.png")} for number in range(len(pictures))
    ],
}
OBJECTS = {
    "pictures": lambda folder, pictures: list(pictures),
    "arrays": lambda folder, pictures: [np.asarray(picture) for picture in pictures],
}


@pytest.mark.parametrize("form", {**FORMS, **OBJECTS})
def test_a_frame_may_hold_images_in_any_form(lite, form, folder, pictures, expected):
    frame = pd.DataFrame({"image": (FORMS | OBJECTS)[form](folder, pictures), "kept": range(5)}, index=[3, 1, 1, 0, 9])
    before = frame.copy()
    scored = perceptmetrics.score_frame(frame, lite)
    assert list(scored) == ["image", "kept", "lite_iqa", "score_error"]
    assert scored["lite_iqa"].tolist() == pytest.approx(expected, abs=1e-5)
    assert scored["lite_iqa"].dtype == np.float32
    assert list(scored.index) == [3, 1, 1, 0, 9]
    assert scored["score_error"].tolist() == [None] * 5
    assert list(frame) == ["image", "kept"]
    assert frame["kept"].equals(before["kept"])


@pytest.mark.parametrize("feature", [None, datasets.Image(), datasets.Image(decode=False)])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_data_set_may_hold_images_in_any_form(lite, form, feature, streamed, folder, pictures, expected):
    dataset = datasets.Dataset.from_dict({"image": FORMS[form](folder, pictures), "kept": list(range(5))})
    if feature is not None:
        dataset = dataset.cast_column("image", feature)
    given = dataset.to_iterable_dataset() if streamed else dataset
    scored = perceptmetrics.score_dataset(given, lite, batch_size=2)
    assert scored.features["lite_iqa"] == datasets.Value("float32")
    assert scored.features["score_error"] == datasets.Value("string")
    assert scored.features["image"] == dataset.features["image"]
    rows = list(scored)
    assert [row["lite_iqa"] for row in rows] == pytest.approx(expected, abs=1e-5)
    assert [row["score_error"] for row in rows] == [None] * 5
    assert [row["kept"] for row in rows] == list(range(5))
    first = next(iter(dataset))["image"]
    assert type(rows[0]["image"]) is type(first)
    assert isinstance(first, Image.Image) or rows[0]["image"] == first


def test_a_stream_without_features_may_hold_objects(lite, pictures, expected):
    stream = datasets.IterableDataset.from_generator(lambda: ({"image": picture} for picture in pictures))
    assert stream.features is None
    rows = list(perceptmetrics.score_dataset(stream, lite))
    assert [row["lite_iqa"] for row in rows] == pytest.approx(expected, abs=1e-5)


def test_a_stream_is_scored_while_it_is_read(lite, pictures):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield {"image": pictures[0]}

    stream = datasets.IterableDataset.from_generator(endless)
    scored = perceptmetrics.score_dataset(stream, lite, batch_size=1)
    assert not taken
    assert next(iter(scored.take(1)))["score_error"] is None
    assert len(taken) < 20


@pytest.mark.parametrize("streamed", [False, True])
def test_images_that_fail_are_rows_with_their_reason(lite, streamed, folder, expected):
    names = ["0.png", "missing.png", "broken.png", None, "1.png"]
    table = {"image": names}
    frame = perceptmetrics.score_frame(pd.DataFrame(table), lite, folder=folder)
    dataset = datasets.Dataset.from_dict(table)
    dataset = dataset.to_iterable_dataset() if streamed else dataset
    rows = list(perceptmetrics.score_dataset(dataset, lite, folder=folder))
    assert frame["lite_iqa"].isna().tolist() == [False, True, True, True, False]
    assert [row["lite_iqa"] is None for row in rows] == [False, True, True, True, False]
    assert [row["lite_iqa"] for row in rows if row["lite_iqa"]] == pytest.approx(expected[:2], abs=1e-5)
    for errors in (frame["score_error"].tolist(), [row["score_error"] for row in rows]):
        assert errors[0] is errors[4] is None
        assert "does not exist" in errors[1]
        assert "truncated or corrupt" in errors[2]
        assert "Expected an image, got nothing" in errors[3]


def test_all_failing_and_no_images_give_columns_of_the_same_types(lite, folder):
    for names in (["missing.png"], []):
        dataset = datasets.Dataset.from_dict({"image": names}, datasets.Features({"image": datasets.Value("string")}))
        scored = perceptmetrics.score_dataset(dataset, lite)
        assert scored.features["lite_iqa"] == datasets.Value("float32")
        assert scored.features["score_error"] == datasets.Value("string")
        assert len(scored) == len(names)
        frame = perceptmetrics.score_frame(pd.DataFrame({"image": names}), lite)
        assert frame["lite_iqa"].dtype == np.float32
        assert frame["score_error"].dtype == object


def test_several_metrics_and_labels_are_columns_of_their_own(lite, folder, pictures):
    metrics = [tiny_metric(labels=LABELS), lite]
    table = {"picture": [str(folder / "3.png"), str(folder / "4.png")]}
    frame = perceptmetrics.score_frame(pd.DataFrame(table), metrics, "picture")
    rows = perceptmetrics.score_dataset(datasets.Dataset.from_dict(table), metrics, "picture")
    names = ["picture", "tiny.joy", "tiny.fear", "lite_iqa", "score_error"]
    assert list(frame) == rows.column_names == names
    scores = metrics[0].score(pictures[3:])
    for place, label in enumerate(LABELS):
        assert frame[f"tiny.{label}"].tolist() == pytest.approx(scores[:, place].tolist(), abs=1e-5)
        assert list(rows[f"tiny.{label}"]) == pytest.approx(scores[:, place].tolist(), abs=1e-5)


def test_scores_follow_the_order_of_a_data_set_that_was_shuffled(lite, folder, pictures, expected):
    dataset = datasets.Dataset.from_dict({"image": FORMS["paths"](folder, pictures), "number": list(range(5))})
    scored = perceptmetrics.score_dataset(dataset.shuffle(seed=1), lite)
    assert list(scored["number"]) != list(range(5))
    assert list(scored["lite_iqa"]) == pytest.approx([expected[number] for number in scored["number"]], abs=1e-5)


@pytest.mark.parametrize("columns", [None, ["number"]])
def test_the_format_of_a_data_set_stays(columns, folder, pictures, expected):
    dataset = datasets.Dataset.from_dict({"image": FORMS["paths"](folder, pictures), "number": list(range(5))})
    scored = perceptmetrics.score_dataset(dataset.with_format("torch", columns=columns), "lite_iqa")
    assert isinstance(scored[0]["lite_iqa"], torch.Tensor)
    assert ("image" in scored[0]) is (columns is None)
    assert scored[0]["lite_iqa"].item() == pytest.approx(expected[0], abs=1e-5)


def test_sixteen_bits_are_not_lost(lite, tmp_path):
    """Pillow, by which `datasets` would read, has eight bits for a colour."""
    values = np.arange(48 * 48 * 3, dtype=np.uint16).reshape(48, 48, 3) * 9
    import cv2

    cv2.imwrite(str(tmp_path / "deep.png"), values[:, :, ::-1])
    dataset = datasets.Dataset.from_dict({"image": [str(tmp_path / "deep.png")]}).cast_column("image", datasets.Image())
    exact = lite.score(values).item()
    assert perceptmetrics.score_dataset(dataset, lite)[0]["lite_iqa"] == exact
    assert lite.score((values >> 8).astype(np.uint8)).item() != exact


def test_every_split_of_a_dictionary_is_scored(lite, folder, pictures, expected):
    paths = FORMS["paths"](folder, pictures)
    splits = datasets.DatasetDict(
        {
            "train": datasets.Dataset.from_dict({"image": paths[:3]}),
            "test": datasets.Dataset.from_dict({"image": paths[3:]}),
        }
    )
    scored = perceptmetrics.score_dataset(splits, lite)
    assert isinstance(scored, datasets.DatasetDict)
    assert [*scored["train"]["lite_iqa"], *scored["test"]["lite_iqa"]] == pytest.approx(expected, abs=1e-5)


def test_a_folder_of_images_is_a_data_set(folder, expected):
    dataset = datasets.load_dataset("imagefolder", data_dir=str(folder), split="train", streaming=True)
    rows = list(perceptmetrics.score_dataset(dataset.cast_column("image", datasets.Image(decode=False)), "lite_iqa"))
    assert [row["lite_iqa"] for row in rows if row["lite_iqa"]] == pytest.approx(expected, abs=1e-5)
    assert sum(row["score_error"] is not None for row in rows) == 1


def test_a_scored_stream_goes_to_other_processes(lite, folder, pictures):
    dataset = datasets.Dataset.from_dict({"image": FORMS["paths"](folder, pictures)}).to_iterable_dataset()
    scored = perceptmetrics.score_dataset(dataset, lite)
    assert [row["lite_iqa"] for row in pickle.loads(pickle.dumps(scored))] == [row["lite_iqa"] for row in scored]


def test_addresses_are_opened_by_fsspec(lite, folder, pictures, expected):
    fsspec.filesystem("memory").pipe("/pictures/0.png", encoded(pictures[0]))
    frame = pd.DataFrame({"image": ["memory://pictures/0.png", "memory://pictures/none.png", "nowhere://0.png"]})
    scored = perceptmetrics.score_frame(frame, lite, folder=folder)
    assert scored["lite_iqa"][0] == pytest.approx(expected[0], abs=1e-5)
    assert "memory://pictures/none.png cannot be read" in scored["score_error"][1]
    assert "nowhere://0.png cannot be read" in scored["score_error"][2]


def test_a_frame_has_an_accessor(folder, expected):
    frame = pd.DataFrame({"path": ["0.png", "1.png"]})
    scored = frame.perceptmetrics.score("lite_iqa", "path", folder=folder)
    assert scored["lite_iqa"].tolist() == pytest.approx(expected[:2], abs=1e-5)


TABLES = {
    "frame": (perceptmetrics.score_frame, pd.DataFrame),
    "data set": (perceptmetrics.score_dataset, datasets.Dataset.from_dict),
    "stream": (perceptmetrics.score_dataset, lambda table: datasets.Dataset.from_dict(table).to_iterable_dataset()),
}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize(
    ("table", "metrics", "error", "message"),
    [
        ({"picture": ["a.png"]}, TINY, DatasetError, "No column is named 'image'. Known: picture."),
        ({"images": ["a.png"]}, TINY, DatasetError, "Did you mean 'images'"),
        ({"image": ["a.png"], "tiny": [1.0]}, TINY, DatasetError, "tiny exist already"),
        ({"image": ["a.png"], "score_error": ["x"]}, TINY, DatasetError, "score_error exist already"),
        ({"image": ["a.png"]}, [], InvalidOptionError, "got none"),
        ({"image": ["a.png"]}, [torch.nn.Identity()], InvalidOptionError, "got Identity"),
        ({"image": ["a.png"]}, [TINY, TINY], InvalidOptionError, "given once"),
    ],
)
def test_what_cannot_be_scored_is_refused_at_once(kind, table, metrics, error, message):
    score, make = TABLES[kind]
    with pytest.raises(error, match=message):
        score(make(table), metrics)


@pytest.mark.parametrize("score", [perceptmetrics.score_frame, perceptmetrics.score_dataset])
def test_other_tables_are_refused(score):
    with pytest.raises(InvalidOptionError, match="got list"):
        score(["a.png"], "lite_iqa")


def test_a_column_that_is_there_twice_is_refused():
    frame = pd.DataFrame([["a.png", "b.png"]], columns=["image", "image"])
    with pytest.raises(DatasetError, match="Several columns are named 'image'"):
        perceptmetrics.score_frame(frame, "lite_iqa")


@pytest.mark.parametrize(("name", "extra"), [("score_frame", "pandas"), ("score_dataset", "datasets")])
def test_without_the_library_the_extra_is_named(name, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, extra, None)
    with pytest.raises(MissingExtraError, match=rf"perceptmetrics\[{extra}\]"):
        getattr(perceptmetrics, name)(None, "lite_iqa")


def test_names_of_the_package_can_be_imported_without_any_extra():
    code = (
        "import sys\n"
        "for name in ('pandas', 'datasets', 'pyiqa', 'torchmetrics'): sys.modules[name] = None\n"
        "from perceptmetrics import *\n"
        "import perceptmetrics.integrations.pyiqa, perceptmetrics.integrations.basicsr\n"
        "print(score_dataset, score_frame)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_importing_the_package_imports_none_of_the_libraries():
    names = "{'torch', 'pandas', 'datasets', 'pyiqa', 'torchmetrics', 'fsspec'}"
    code = f"import sys, perceptmetrics; sys.exit(str({names} & set(sys.modules) or 0))"
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ended.stderr.strip() in ("", "0")
