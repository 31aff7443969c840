"""The same files are left out of folders, patterns and addresses, and images that cannot be read are named."""

from __future__ import annotations

import tarfile
from pathlib import Path

import fsspec
import pytest
from PIL import Image

from perceptmetrics import create_metric
from perceptmetrics.datasets.ladders import _photographs
from perceptmetrics.errors import InvalidImageError
from perceptmetrics.experiments.scored import images_of_folder
from perceptmetrics.images.find import find_images
from perceptmetrics.images.selection import image_suffixes
from perceptmetrics.images.sources import find_sources
from tests.support.encoded_images import encode, noise

PNG = encode(noise(48, 48), "PNG")
WANTED = ("_DSC1.png", "a.png", "sub/b.png", "thumbnails/c.png")
HIDDEN = (
    *("._a.png", ".b.png", ".thumbnails/t.png", "@eaDir/a.png/SYNOPHOTO_THUMB_M.png", "sub/@EADIR/x.png"),
    *("__MACOSX/._a.png", "sub/.git/x.png", "#recycle/x.png", "$RECYCLE.BIN/x.png", "_delta_log/x.png"),
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / ".cache" / "card"  # what lies above the folder that is asked for does not matter
    for name in (*WANTED, *HIDDEN):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(PNG)
    return root


def found(path: str, root: str) -> list[str]:
    return [image.name.removeprefix(root).lstrip("/") for image in find_sources([path])]


def test_hidden_files_and_thumbnails_are_left_out_on_every_road(tree: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(tree), str(tree), recursive=True)
    for begin in (str(tree), f"file://{tree}", f"memory://{tree}"):
        assert sorted(found(begin, begin)) == sorted(WANTED)
        assert sorted(found(f"{begin}/**/*.png", begin)) == sorted(WANTED)
        assert found(f"{begin}/*.png", begin) == ["_DSC1.png", "a.png"]
        assert found(f"{begin}/*/*.png", begin) == ["sub/b.png", "thumbnails/c.png"]
    with tarfile.open(tree / "t.tar", "w") as archive:
        for name in (*WANTED, *HIDDEN):
            archive.add(tree / name, name)
    assert sorted(found(f"{tree}/t.tar", f"{tree}/t.tar")) == sorted(WANTED)
    for look in (images_of_folder, _photographs, lambda folder: list(find_images([folder]))):
        assert sorted(path.relative_to(tree).as_posix() for path in look(tree)) == sorted(WANTED)
    assert len(create_metric("lite_iqa").score(tree)) == len(WANTED)
    memory.rm(str(tree), recursive=True)


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (".thumbnails", [".thumbnails/t.png"]),
        (".thumbnails/*.png", [".thumbnails/t.png"]),
        ("@eaDir/**/*.png", ["@eaDir/a.png/SYNOPHOTO_THUMB_M.png"]),
        ("@*/*/*.png", ["@eaDir/a.png/SYNOPHOTO_THUMB_M.png"]),
        ("._*.png", ["._a.png"]),
        (".b.png", [".b.png"]),
        ("s*/@EADIR/*.png", ["sub/@EADIR/x.png"]),
    ],
)
def test_what_is_named_is_taken(tree: Path, asked: str, names: list[str]) -> None:
    for begin in (str(tree), f"file://{tree}"):
        assert found(f"{begin}/{asked}", begin) == names


def test_images_that_cannot_be_read_are_counted_and_named(tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(7):
        (tree / f"sub/IMG_{number}.HEIC").touch()
    (tree / "IMG.dng").touch()
    (tree / ".hidden.heic").touch()
    (tree / "notes.txt").touch()
    for begin in (str(tree), f"file://{tree}"):
        caplog.clear()
        assert sorted(found(begin, begin)) == sorted(WANTED)
        (record,) = caplog.records
        message = record.getMessage()
        assert message.startswith(
            f"{begin}: 8 images in formats that cannot be read here are left out (1 .dng, 7 .heic)"
        )
        assert "IMG.dng, sub/IMG_0.HEIC, sub/IMG_1.HEIC, sub/IMG_2.HEIC, sub/IMG_3.HEIC, ..." in message


def test_a_folder_of_nothing_else_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.heic").touch()
    for begin in (str(tmp_path), f"file://{tmp_path}"):
        with pytest.raises(InvalidImageError, match=r"1 images in formats .* \(1 \.heic\): a\.heic"):
            found(begin, begin)


def test_a_plug_in_of_pillow_counts_from_the_next_call_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.heic").write_bytes(PNG)
    (tmp_path / "b.png").write_bytes(PNG)
    assert ".heic" not in image_suffixes()
    assert found(str(tmp_path), str(tmp_path)) == ["b.png"]
    Image.init()
    monkeypatch.setitem(Image.EXTENSION, ".heic", "HEIF")
    monkeypatch.setitem(Image.OPEN, "HEIF", Image.OPEN["PNG"])
    caplog.clear()
    for begin in (str(tmp_path), f"file://{tmp_path}"):
        assert found(begin, begin) == ["a.heic", "b.png"]
    assert not caplog.records
