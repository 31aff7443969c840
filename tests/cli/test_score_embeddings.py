"""`perceptmetrics score --embeddings`: arrays, tables, and folders as clip-retrieval writes them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from perceptmetrics import create_metric
from perceptmetrics.scoring import embedding_files
from perceptmetrics.scoring.embedding_rows import score_embeddings
from perceptmetrics.scoring.embedding_tables import TableOptions
from tests.cli.in_process import Command
from tests.support.registered_metrics import build

METRIC = "laion_aes_v1"  # the package carries its head, and no encoder is needed
WIDTH = 768


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    drawn = np.random.default_rng(0).standard_normal((25, WIDTH)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def expected(rows: np.ndarray) -> list[float]:
    return create_metric(METRIC, embeddings_only=True).score_features(rows, normalized=True).tolist()


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_files, "CHUNK", 4)


def scored(path: Path) -> dict[str, str]:
    with path.open(newline="") as stream:
        return {row["image"]: row[METRIC] or row["error"] for row in csv.DictReader(stream)}


def close(found: list[str], expected: list[float]) -> bool:
    return np.allclose([float(score) for score in found], expected, atol=2e-6)


def clip_retrieval(folder: Path, rows: np.ndarray, counts: tuple[int, ...]) -> Path:
    """Shards that would be in another order by their letters; each with its table."""
    (folder / "img_emb").mkdir(parents=True)
    (folder / "metadata").mkdir()
    first = 0
    for count, number in zip(counts, (1, 2, 10), strict=True):
        np.save(folder / "img_emb" / f"img_emb_{number}.npy", rows[first : first + count].astype(np.float16))
        keys = [f"{index:03}.jpg" for index in range(first, first + count)]
        table = pa.table({"image_path": keys, "caption": [f"picture {key}" for key in keys]})
        pq.write_table(table, folder / "metadata" / f"metadata_{number}.parquet", row_group_size=3)
        first += count
    return folder


@pytest.mark.parametrize("kind", ["float16", "float32", ">f4", "float64"])
def test_an_array(perceptmetrics: Command, rows: np.ndarray, expected: list[float], tmp_path: Path, kind: str) -> None:
    np.save(tmp_path / "e.npy", rows.astype(kind))
    result = perceptmetrics("score", "--embeddings", tmp_path / "e.npy", "-m", METRIC, "-o", tmp_path / "s.csv")
    assert result.returncode == 0, result.stderr
    found = scored(tmp_path / "s.csv")
    assert list(found) == [f"{tmp_path / 'e.npy'}/{index}" for index in range(25)]
    assert np.allclose([float(score) for score in found.values()], expected, atol=5e-3 if kind == "float16" else 2e-6)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_each_form_holds_the_same(
    perceptmetrics: Command, rows: np.ndarray, expected: list[float], tmp_path: Path, form: str
) -> None:
    np.save(tmp_path / "e.npy", rows)
    output = tmp_path / f"s.{form}"
    assert perceptmetrics("score", "--embeddings", tmp_path / "e.npy", "-m", METRIC, "-o", output).returncode == 0
    if form == "parquet":
        found = pq.read_table(output)[METRIC].to_pylist()
    elif form == "jsonl":
        found = [json.loads(line)[METRIC] for line in output.read_text().splitlines()]
    else:
        found = list(scored(output).values())
    assert close(found, expected)


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), WIDTH), pa.large_list(pa.float64())])
def test_a_column_of_a_table(
    perceptmetrics: Command, rows: np.ndarray, expected: list[float], tmp_path: Path, kind: pa.DataType
) -> None:
    cells = [None if index == 7 else row.tolist() for index, row in enumerate(rows)]
    table = pa.table({"id": [f"k{index}" for index in range(25)], "emb": pa.array(cells, kind)})
    pq.write_table(table, tmp_path / "e.parquet", row_group_size=6)
    options = ("--key-column", "id", "-m", METRIC, "-o", tmp_path / "s.csv")
    assert perceptmetrics("score", "--embeddings", tmp_path / "e.parquet", *options).returncode == 1
    found = scored(tmp_path / "s.csv")
    assert list(found) == [f"{tmp_path / 'e.parquet'}/k{index}" for index in range(25)]
    assert found.pop(f"{tmp_path / 'e.parquet'}/k7") == "The cell is empty."
    assert close(list(found.values()), expected[:7] + expected[8:])


def test_a_folder_of_shards_in_order_of_their_numbers(
    perceptmetrics: Command, rows: np.ndarray, tmp_path: Path
) -> None:
    folder = clip_retrieval(tmp_path / "laion", rows, (9, 6, 10))
    options = ("-m", METRIC, "--key-column", "image_path", "-o", tmp_path / "s.csv")
    for location in (folder, folder / "img_emb"):
        assert perceptmetrics("score", "--embeddings", location, *options, "--resume").returncode == 0
    assert [Path(name).name for name in scored(tmp_path / "s.csv")] == [f"{index:03}.jpg" for index in range(25)]


def test_texts_come_from_the_tables_beside_them(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).standard_normal((25, 64))
    folder = clip_retrieval(tmp_path / "laion", drawn, (9, 6, 10))
    metric = build("clip_score")
    texts = [f"picture {index:03}.jpg" for index in range(25)]
    rows = metric.score_features(drawn.astype(np.float16), texts, normalized=False)
    assert rows.unique().numel() > 5
    options = TableOptions(with_prompts=True)
    shards = embedding_files.find_shards(str(folder), options)
    found = list(score_embeddings([metric], shards, options, normalized=False))
    assert np.allclose([row.scores["clip_score"] for row in found], rows.numpy(), atol=1e-4)


def test_bad_rows_are_reported_and_the_others_scored(
    perceptmetrics: Command, rows: np.ndarray, expected: list[float], tmp_path: Path
) -> None:
    broken = rows.copy()
    broken[3], broken[8, 5], broken[24, 0] = 0, np.nan, np.inf
    np.save(tmp_path / "e.npy", broken)
    result = perceptmetrics("score", "--embeddings", tmp_path / "e.npy", "-m", METRIC, "-o", tmp_path / "s.csv")
    assert result.returncode == 1
    assert "22 scored, 3 failed" in result.stderr
    found = list(scored(tmp_path / "s.csv").values())
    assert found[3] == "The embedding is zero, so it has no direction."
    assert found[8] == found[24] == "The embedding holds NaN, infinite or immense numbers."
    good = [index for index in range(25) if index not in (3, 8, 24)]
    assert close([found[index] for index in good], [expected[index] for index in good])


def test_an_interrupted_run_goes_on(perceptmetrics: Command, rows: np.ndarray, tmp_path: Path) -> None:
    """The array loses its end; once it is whole again, the file is as if nothing had happened."""
    first, second = rows.copy(), rows.copy()
    first[10] = np.nan
    output, options = tmp_path / "s.csv", ("-m", METRIC, "--fail-fast")
    np.save(tmp_path / "e.npy", first)
    assert perceptmetrics("score", "--embeddings", tmp_path / "e.npy", *options, "-o", output).returncode == 1
    assert not output.exists()
    np.save(tmp_path / "e.npy", second)
    arguments = ("--embeddings", tmp_path / "e.npy", *options)
    assert perceptmetrics("score", *arguments, "-o", output, "--resume").returncode == 0
    assert perceptmetrics("score", *arguments, "-o", tmp_path / "whole.csv").returncode == 0
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    np.save(tmp_path / "e.npy", second[::-1])
    result = perceptmetrics("score", *arguments, "-o", output, "--resume")
    assert result.returncode != 0
    assert "was made with other weights, settings or images" in result.stderr


def test_embeddings_that_are_not_normalised_are_told_once(
    perceptmetrics: Command, rows: np.ndarray, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    np.save(tmp_path / "e.npy", rows * 10)
    told = perceptmetrics("score", "--embeddings", tmp_path / "e.npy", "-m", METRIC)
    assert caplog.text.count("25 of 25 embeddings do not have unit length") == 1
    caplog.clear()
    silent = perceptmetrics("score", "--embeddings", tmp_path / "e.npy", "-m", METRIC, "--not-normalized")
    assert not caplog.records
    assert silent.stdout == told.stdout


def write_pickle(path: Path) -> None:
    np.save(path, np.array([[print, 1.0]], dtype=object), allow_pickle=True)


def write_truncated(path: Path) -> None:
    np.save(path, np.zeros((8, WIDTH), np.float32))
    path.write_bytes(path.read_bytes()[:-100])


def write_zip(path: Path) -> None:
    with path.open("wb") as stream:
        np.savez(stream, np.zeros((8, WIDTH), np.float32))


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (write_pickle, "holds Python objects, which are never read"),
        (write_truncated, "is no array of numbers that can be read"),
        (write_zip, "is no array of numbers that can be read"),
        (lambda path: path.write_bytes(b""), "is no array of numbers that can be read"),
        (lambda path: path.write_bytes(b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'shape': ("), "no array of numbers"),
        (lambda path: np.save(path, np.zeros((8, 64), np.float32)), "holds embeddings of 64 numbers"),
        (lambda path: np.save(path, np.zeros(WIDTH, np.float32)), r"of shape (images, width), got float32"),
        (lambda path: np.save(path, np.zeros((8, WIDTH), np.int8)), "floating-point numbers of shape"),
        (lambda path: path.mkdir(), "holds no embeddings"),
        (lambda path: None, "does not exist"),
    ],
)
def test_what_holds_no_embeddings_is_refused(perceptmetrics: Command, tmp_path: Path, write: object, said: str) -> None:
    assert callable(write)
    write(tmp_path / "e.npy")
    result = perceptmetrics("score", "--embeddings", tmp_path / "e.npy", "-m", METRIC)
    assert result.returncode not in (0, 1) or not result.stdout
    assert said in result.stderr


def test_tables_that_do_not_belong_to_their_arrays_are_refused(
    perceptmetrics: Command, rows: np.ndarray, tmp_path: Path
) -> None:
    folder = clip_retrieval(tmp_path / "laion", rows, (9, 6, 10))
    options = ("--embeddings", folder, "-m", METRIC, "--key-column", "image_path")
    table = folder / "metadata" / "metadata_2.parquet"
    for count in (5, 7, 12):
        pq.write_table(pa.table({"image_path": ["x"] * count}), table)
        assert "should have a row for each of the 6 rows" in perceptmetrics("score", *options).stderr, count
    pq.write_table(pa.table({"other": ["x"] * 6}), table)
    assert "has no column 'image_path'" in perceptmetrics("score", *options).stderr
    table.write_bytes(b"PAR1")
    assert "cannot be read" in perceptmetrics("score", *options).stderr
    table.unlink()
    assert "needs a table beside it" in perceptmetrics("score", *options).stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("photos/",), "Give either images"),
        (("--engine", "ray"), "--engine ray: of images"),
        (("--image-column", "x"), "--image-column: of images"),
        (("-m", "maclip"), "several views of each image"),
        (("--embedding-encoder", "ViT-B-32"), "come from ViT-B-32"),
    ],
)
def test_options_that_do_not_go_with_embeddings(
    perceptmetrics: Command, rows: np.ndarray, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    np.save(tmp_path / "e.npy", rows)
    metric = () if "-m" in options else ("-m", METRIC)
    result = perceptmetrics("score", "--embeddings", tmp_path / "e.npy", *metric, *options)
    assert result.returncode != 0
    assert said in result.stderr


def test_options_of_embeddings_need_some(perceptmetrics: Command) -> None:
    assert "go with --embeddings" in perceptmetrics("score", "photo.jpg", "--not-normalized").stderr
