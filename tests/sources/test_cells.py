"""Cells of tables: images in any form that is one; paths below the table's folder, others when they are allowed."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images import limits
from perceptmetrics.images.load import load_pixels
from perceptmetrics.images.sources import NamedImage, ReadOptions, find_sources, parquet
from tests.cli.in_process import Command
from tests.support.encoded_images import encode, noise

PNG, JPEG = encode(noise(), "PNG"), encode(noise(seed=1), "JPEG")
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def read(path: Path | str, **options: Any) -> list[NamedImage]:
    return list(find_sources([path], options=ReadOptions(**options)))


def table(path: Path, cells: list[str]) -> Path:
    if path.suffix == ".csv":
        path.write_text("image\n" + "".join(f"{cell}\n" for cell in cells))
    else:
        pq.write_table(pa.table({"image": cells}), path)
    return path


def is_scored(image: NamedImage) -> bool:
    return not isinstance(image.source, Exception) and load_pixels(image.source).shape == (3, 12, 17)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("outside.png", "table/in.png", "table/sub/in.png", "table-2/in.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PNG)
    (tmp_path / "table/link_out.png").symlink_to("../outside.png")
    (tmp_path / "table/link_in.png").symlink_to("sub/in.png")
    (tmp_path / "table/folder_out").symlink_to("../table-2")
    return tmp_path


INSIDE = ("in.png", "sub/in.png", "sub/../in.png", "link_in.png", "{tree}/table/in.png", "file://{tree}/table/in.png")
OUTSIDE = (
    *("../outside.png", "sub/../../outside.png", "{tree}/outside.png", "{tree}/table-2/in.png", "/etc/passwd"),
    *("link_out.png", "folder_out/in.png", "file://{tree}/outside.png", "local://{tree}/outside.png"),
    *("memory:///x.png", "s3://127.0.0.1/x", "gs://x/y", "https://127.0.0.1/x.png", "zip://a::file:///b", "/dev/zero"),
)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("begin", ["{tree}", "file://{tree}"])
def test_paths_are_followed_below_the_folder_of_the_table(tree: Path, suffix: str, begin: str) -> None:
    cells = [cell.format(tree=tree) for cell in (*INSIDE, *OUTSIDE)]
    table(tree / f"table/t{suffix}", cells)
    images = read(f"{begin.format(tree=tree)}/table/t{suffix}")
    for cell, image in zip(cells[: len(INSIDE)], images, strict=False):
        assert is_scored(image), cell
    for cell, image in zip(cells[len(INSIDE) :], images[len(INSIDE) :], strict=True):
        assert isinstance(image.source, InvalidImageError), cell
        assert "outside_paths=True" in str(image.source)
        assert "--outside-paths" in str(image.source)


def test_a_table_named_by_a_link_or_from_its_own_folder(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table(tree / "table/t.csv", ["in.png", "../outside.png"])
    (tree / "here").symlink_to("table")
    for path in (tree / "here/t.csv", "t.csv", "./t.csv"):
        monkeypatch.chdir(tree / "table")
        first, second = read(path)
        assert is_scored(first)
        assert not is_scored(second)


def test_tables_at_an_address_stay_below_its_folder(tree: Path) -> None:
    cells = ["in.png", "memory:///t/in.png", "memory:///u/in.png", "../u/in.png", "%2e%2e/u/in.png", str(tree)]
    memory = fsspec.filesystem("memory")
    for path in ("/t/in.png", "/u/in.png"):
        memory.pipe_file(path, PNG)
    memory.pipe_file("/t/t.csv", table(tree / "t.csv", cells).read_bytes())
    assert [is_scored(image) for image in read("memory:///t/t.csv")] == [True, True, False, False, False, False]
    allowed = read("memory:///t/t.csv", outside_paths=True)
    assert load_pixels(allowed[2].source).shape == (3, 12, 17)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_others_are_followed_when_they_are_allowed(tree: Path, suffix: str) -> None:
    cells = [str(tree / "outside.png"), "../outside.png", "link_out.png", f"file://{tree}/outside.png"]
    path = table(tree / f"table/t{suffix}", cells)
    assert not any(is_scored(image) for image in read(path))
    assert all(is_scored(image) for image in read(path, outside_paths=True))


def test_the_command_has_an_option_for_it(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "outside.png").write_bytes(encode(noise(64, 64), "PNG"))
    path = table(tree / "table/t.csv", ["../outside.png"])
    run = Command(monkeypatch, capsys)
    assert run("score", str(path)).returncode == 1
    assert run("score", str(path), "--outside-paths").returncode == 0


TEXTS = {
    "base64": base64.b64encode(PNG).decode(),
    "base64 of a JPEG, which begins like a path": base64.b64encode(JPEG).decode(),
    "base64 for addresses": base64.urlsafe_b64encode(PNG).decode(),
    "base64 without its end": base64.b64encode(PNG).decode().rstrip("="),
    "base64 in lines": base64.encodebytes(PNG).decode(),
    "data URL": f"data:image/png;base64,{base64.b64encode(PNG).decode()}",
    "data URL with more": f"data:image/png;charset=x;base64,{base64.b64encode(PNG).decode()}",
    "data URL in percents": "data:image/png," + "".join(f"%{byte:02x}" for byte in PNG),
}


@pytest.mark.parametrize("form", TEXTS)
def test_text_that_is_an_image_is_read_as_one(tmp_path: Path, form: str) -> None:
    pq.write_table(pa.table({"image": [TEXTS[form]]}), tmp_path / "t.parquet")
    (image,) = read(tmp_path / "t.parquet")
    assert is_scored(image)


def test_text_that_is_almost_an_image_is_told_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = ["data:image/png;base64,!!!!", "data:text/html,<p>", "data:image/png;base64," + "A" * 30_000]
    monkeypatch.setattr(limits, "MAX_HELD_BYTES", 20_000)
    pq.write_table(pa.table({"image": cells}), tmp_path / "t.parquet")
    damaged, text, large = read(tmp_path / "t.parquet")
    assert "base64 that is damaged" in str(damaged.source)
    assert text.source == b"<p>"
    assert "at most 20,000" in str(large.source)


def test_lists_give_each_of_their_images(tmp_path: Path) -> None:
    struct = {"bytes": PNG, "path": None}
    columns = {
        "structs": pa.array([[struct, {"bytes": None, "path": "in.png"}], [], None, [None]], pa.list_(STRUCT)),
        "bytes": pa.array([[PNG, JPEG], [], None, [None]], pa.large_list(pa.binary())),
        "numbers": pa.array([[list(PNG), list(JPEG)], [], None, [None]], pa.list_(pa.list_(pa.uint8()))),
    }
    (tmp_path / "in.png").write_bytes(PNG)
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({**columns, "id": list("abcd"), "prompt": list("wxyz")}), path)
    for column in columns:
        images = read(path, image_column=column, key_column="id")
        assert [image.name for image in images] == [f"{path}/{name}" for name in ("a/0", "a/1", "b", "c", "d/0")]
        assert [is_scored(image) for image in images] == [True, True, False, False, False]
        assert "an empty list" in str(images[2].source)
        assert [image.prompt for image in images] == list("wwxyz")
    known = {f"{path}/a/1"}
    again = list(find_sources([path], options=ReadOptions(image_column="bytes", key_column="id"), known=known))
    assert [image.name for image in again if image.source is None] == sorted(known)


@pytest.mark.parametrize("kind", [pa.list_(pa.uint8()), pa.large_list(pa.uint8()), pa.list_(pa.uint8(), len(PNG))])
def test_numbers_of_8_bits_are_the_bytes_of_an_image(tmp_path: Path, kind: Any) -> None:
    fixed = pa.types.is_fixed_size_list(kind)  # older versions of PyArrow cannot read such columns with empty cells
    pq.write_table(
        pa.table({"image": pa.array([list(PNG), list(PNG) if fixed else None], kind)}), tmp_path / "t.parquet"
    )
    image, other = read(tmp_path / "t.parquet")
    assert image.source == PNG
    assert other.source == PNG if fixed else "holds nothing" in str(other.source)


IMAGE, VALUE = {"_type": "Image"}, {"_type": "Value", "dtype": "binary"}
DECLARED = {
    "declared beside other bytes": ({"photo": IMAGE, "thumb": VALUE}, "photo"),
    "declared where another has a usual name": ({"photo": IMAGE, "image": VALUE}, "photo"),
    "two declared, one of a usual name": ({"image": IMAGE, "mask": IMAGE}, "image"),
    "a list, as older versions write it": ({"photo": [IMAGE], "thumb": VALUE}, "photo"),
    "a list": ({"photo": {"_type": "List", "feature": IMAGE}, "thumb": VALUE}, "photo"),
    "a sequence": ({"photo": {"_type": "Sequence", "feature": IMAGE}, "thumb": VALUE}, "photo"),
    "two declared": ({"a": IMAGE, "b": IMAGE}, None),
    "declared, but not there": ({"gone": IMAGE}, "photo"),
    "notes that are none": ([1], "photo"),
}


@pytest.mark.parametrize("case", DECLARED)
def test_the_notes_of_datasets_name_the_column(tmp_path: Path, case: str) -> None:
    features, wanted = DECLARED[case]
    names = [name for name in features if name != "gone"] if isinstance(features, dict) else []
    columns = {name: pa.array([{"bytes": PNG if name == wanted else b"", "path": ""}], STRUCT) for name in names}
    columns = columns or {"photo": pa.array([{"bytes": PNG, "path": ""}], STRUCT)}
    notes = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(pa.table(columns).replace_schema_metadata(notes), tmp_path / "t.parquet")
    (image,) = read(tmp_path / "t.parquet")
    if wanted is None:
        assert "which of its columns holds the images?" in str(image.source)
    else:
        assert image.source == PNG


@pytest.mark.parametrize("notes", [b"", b"{", b"[" * 100_000, b"{}", b'{"info": 1}', b'{"info": {"features": [1]}}'])
def test_notes_of_another_form_are_not_used(tmp_path: Path, notes: bytes) -> None:
    content = pa.table({"photo": [PNG]}).replace_schema_metadata({b"huggingface": notes})
    pq.write_table(content, tmp_path / "t.parquet")
    assert [image.source for image in read(tmp_path / "t.parquet")] == [PNG]


def test_cells_that_are_too_large_are_refused_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_HELD_BYTES", 4000)
    large, small = bytes(4001), PNG
    assert len(small) < 4000
    columns = {
        "bytes": pa.array([large, small]),
        "structs": pa.array([{"bytes": large, "path": ""}, {"bytes": small, "path": ""}], STRUCT),
        "numbers": pa.array([list(large), list(small)], pa.list_(pa.uint8())),
        "texts": ["A" * 5400, TEXTS["base64"]],
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    for column in columns:
        refused, image = read(tmp_path / "t.parquet", image_column=column)
        assert isinstance(refused.source, InvalidImageError)
        assert "4,001 bytes" in str(refused.source) or column == "texts"
        assert is_scored(image)


def test_a_value_that_many_rows_repeat_is_not_held_many_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "MAX_HELD_BYTES", 64 << 20)
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 64, pa.int32()), pa.array([bytes(24 << 20)], pa.binary()))
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"image": repeated}), path, store_schema=False, compression="zstd")
    assert path.stat().st_size < 100_000
    before = pa.total_allocated_bytes()
    most = 0
    for image in find_sources([path]):
        assert isinstance(image.source, bytes)
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < 256 << 20


def test_rows_that_need_too_much_memory_cost_only_their_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"image": [PNG] * 6}), path, row_group_size=2)
    original = pq.ParquetFile.iter_batches

    def scarce(self: Any, *arguments: Any, row_groups: list[int], **keywords: Any) -> Any:
        if row_groups == [1]:
            raise pa.ArrowMemoryError("malloc of size 2147483648 failed")
        return original(self, *arguments, row_groups=row_groups, **keywords)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", scarce)
    images = read(path)
    assert [image.name for image in images] == [f"{path}/{row}" for row in (0, 1, 2, 4, 5)]
    assert "rows 2 to 3 need more memory than there is" in str(images[2].source)
