"""Parquet tables: bytes, structs as Hugging Face writes them, or paths; what cannot be read is told."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from perceptmetrics import create_metric
from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.load import load_pixels
from perceptmetrics.images.sources import NamedImage, ReadOptions, find_sources, parquet
from tests.support.encoded_images import encode, noise

PICTURES = [encode(noise(seed=number), "PNG") for number in range(70)]


def write(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=20)
    return path


def read(
    path: Path | str, image_column: str | None = None, key_column: str | None = None, **more: Any
) -> list[NamedImage]:
    options = ReadOptions(image_column=image_column, key_column=key_column)
    return list(find_sources([path], options=options, **more))


@pytest.mark.parametrize("form", ["bytes", "large bytes", "struct", "struct without path"])
def test_rows_come_in_order_named_by_their_number(tmp_path: Path, form: str) -> None:
    column: Any = {
        "bytes": pa.array(PICTURES, pa.binary()),
        "large bytes": pa.array(PICTURES, pa.large_binary()),
        "struct": [{"bytes": picture, "path": "elsewhere.png"} for picture in PICTURES],
        "struct without path": [{"bytes": picture, "path": None} for picture in PICTURES],
    }[form]
    path = write(tmp_path / "a.parquet", label=list(range(70)), image=column)
    images = read(path)
    assert [image.name for image in images] == [f"{path}/{number}" for number in range(70)]
    assert [image.source for image in images] == PICTURES


def test_tables_that_hugging_face_wrote(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    files = []
    for number, picture in enumerate(PICTURES[:3]):
        files.append(tmp_path / f"{number}.png")
        files[-1].write_bytes(picture)
    table = datasets.Dataset.from_dict({"photo": list(map(str, files)), "id": ["a", "b", "c"]})
    path = tmp_path / "hf.parquet"
    table.cast_column("photo", datasets.Image()).to_parquet(path)
    images = read(path, "photo", "id")
    assert [image.name for image in images] == [f"{path}/{key}" for key in "abc"]
    assert all(
        (load_pixels(image.source) == load_pixels(file)).all() for image, file in zip(images, files, strict=True)
    )


def test_paths_stand_as_they_are_or_are_relative_to_the_table(tmp_path: Path) -> None:
    (tmp_path / "near.png").write_bytes(PICTURES[0])
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "b.png").write_bytes(PICTURES[1])
    path = write(tmp_path / "a.parquet", image=["near.png", str(tmp_path / "far" / "b.png"), "gone.png"])
    scores = [load_pixels(image.source).shape for image in read(path)[:2]]
    assert scores == [(3, 12, 17)] * 2
    with pytest.raises(InvalidImageError, match=r"gone\.png does not exist"):
        load_pixels(read(path)[2].source)


@pytest.mark.parametrize(
    ("columns", "named", "message"),
    [
        ({"image": [b""], "x": [1]}, "picture", "it has no column 'picture'; its columns are 'image', 'x'"),
        ({"a": [b""], "b": [b""]}, None, "which of its columns holds the images.*'a', 'b'"),
        ({"a": [1]}, None, "which of its columns"),
        ({"image": pa.array([], pa.binary())}, None, "it has no rows"),
    ],
)
def test_tables_without_the_column_are_failures(tmp_path: Path, columns: Any, named: str | None, message: str) -> None:
    path = write(tmp_path / "a.parquet", **columns)
    (failure,) = read(path, named)
    with pytest.raises(InvalidImageError, match=f"a.parquet cannot be read: {message}"):
        raise failure.source


@pytest.mark.parametrize("cell", [None, {"bytes": None, "path": None}])
def test_an_empty_cell_is_a_failure_of_that_row(tmp_path: Path, cell: Any) -> None:
    column = [{"bytes": PICTURES[0], "path": ""}, cell, {"bytes": PICTURES[1], "path": ""}]
    first, failed, last = read(write(tmp_path / "a.parquet", image=column))
    assert (first.source, last.source) == (PICTURES[0], PICTURES[1])
    assert "The cell holds nothing" in str(failed.source)


def test_damaged_tables_are_failures_after_what_came_before(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", image=pa.array(PICTURES, pa.binary()))
    content = bytearray(path.read_bytes())
    place = content.find(PICTURES[30][:40])
    assert place > 0
    middle = pq.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset
    content[middle : middle + 30] = b"\xff" * 30
    path.write_bytes(content)
    *images, failure = read(path)
    assert 0 < len(images) < len(PICTURES)
    assert [image.source for image in images] == PICTURES[: len(images)]
    assert f"corrupt after {len(images)} images" in str(failure.source)
    path.write_bytes(content[:500])
    (failure,) = read(path)
    assert "corrupt after 0 images" in str(failure.source)
    (missing,) = read(tmp_path / "gone.parquet")
    assert "it does not exist" in str(missing.source)


def test_known_rows_are_left_out_and_a_folder_of_tables_is_one_source(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write(tmp_path / f"{name}.parquet", image=pa.array(PICTURES[:3], pa.binary()))
    known = {f"{tmp_path}/a.parquet/1"}
    images = read(tmp_path, known=known)
    assert [image.name for image in images] == [f"{tmp_path}/{name}.parquet/{row}" for name in "ab" for row in range(3)]
    assert {image.name for image in images if image.source is None} == known


def test_a_metric_scores_a_table_by_its_path(tmp_path: Path) -> None:
    pictures = [encode(noise(40, 50, seed=number), "PNG") for number in range(3)]
    path = write(tmp_path / "a.parquet", image=pa.array(pictures, pa.binary()))
    metric = create_metric("lite_iqa")
    assert metric(path).tolist() == metric.score(pictures).tolist()


def test_a_corrupt_page_does_not_make_python_take_the_memory_that_it_claims(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`read(n)` of a file takes n bytes before it reads: of a page that claims 1.4 GB in a file of 2 kB, too."""
    asked: list[int] = []

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            asked.append(size if size is not None and size >= 0 else len(self.getvalue()))
            return super().read(size)

    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"image": [encode(noise(seed=seed), "PNG") for seed in range(2)]}), path)
    whole = path.read_bytes()
    for position, old in itertools.product(range(4, 20), (1, 2, 3)):
        damaged = whole[:position] + b"\xfe\xd6\xb5\xee\x0a" + whole[position + old :]  # a length of 1.4 GB
        monkeypatch.setattr(parquet, "open_location", lambda _, content=damaged: Watched(content))
        for image in find_sources([path]):
            assert image.name.startswith(str(path))
    assert max(asked) <= len(whole) + 4
