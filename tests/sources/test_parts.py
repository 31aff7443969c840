"""What a user names becomes parts that together hold everything once, in order; addresses are read like paths."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from perceptmetrics.errors import InvalidImageError, InvalidOptionError, MissingExtraError
from perceptmetrics.images.sources import Part, find_parts, find_sources, is_container
from tests.sources.test_tar import FILES, write_tar
from tests.support.encoded_images import encode, noise

PICTURE = encode(noise(), "PNG")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.png", "b.JPG", "sub/c.png", "sub/d [1].png", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(PICTURE)
    write_tar(tmp_path / "x.tar", FILES)
    return tmp_path


def names(parts: list[Part], folder: Path) -> list[list[str]]:
    return [[Path(file).relative_to(folder).as_posix() for file in part.files or [part.container]] for part in parts]


def test_files_are_cut_into_parts_and_a_container_is_one_of_its_own(tree: Path) -> None:
    parts = list(find_parts([tree / "a.png", tree / "x.tar", tree / "sub", tree / "b.JPG"], part_size=2))
    assert names(parts, tree) == [["a.png"], ["x.tar"], ["sub/c.png", "sub/d [1].png"], ["b.JPG"]]
    assert [part.container is None for part in parts] == [True, False, True, True]


def test_a_folder_with_images_gives_those_and_else_its_containers(tree: Path) -> None:
    assert names(list(find_parts([tree])), tree) == [["a.png", "b.JPG", "sub/c.png", "sub/d [1].png"]]
    for file in [*tree.rglob("*.png"), *tree.rglob("*.JPG")]:
        file.unlink()
    assert names(list(find_parts([tree])), tree) == [["x.tar"]]
    (tree / "x.tar").unlink()
    with pytest.raises(InvalidImageError, match=r"holds no image \(.*\.tar"):
        list(find_parts([tree]))


def test_ranges_are_written_out_unless_a_file_has_that_name(tree: Path) -> None:
    wanted = [f"s-{number}.tar" for number in ("08", "09", "10")]
    assert names(list(find_parts([f"{tree}/s-{{08..10}}.tar"])), tree) == [[name] for name in wanted]
    assert len(list(find_parts([f"{tree}/{{1..3}}-{{0..1}}.tar"]))) == 6
    write_tar(tree / "s-{08..10}.tar", FILES)
    assert names(list(find_parts([f"{tree}/s-{{08..10}}.tar"])), tree) == [["s-{08..10}.tar"]]


def test_tables_need_pyarrow(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"perceptmetrics\[parquet\]"):
        list(find_sources([tree / "a.parquet"]))


@pytest.mark.parametrize(
    ("path", "expected"), [("a.TAR", True), ("s3://b/a.tgz", True), ("a.parquet", True), ("a.png", False)]
)
def test_containers_are_known_by_their_suffix(path: str, expected: bool) -> None:
    assert is_container(path) == expected


def test_a_part_holds_at_least_one_file() -> None:
    with pytest.raises(InvalidOptionError, match="at least 1, got 0"):
        list(find_parts(["a.png"], part_size=0))
