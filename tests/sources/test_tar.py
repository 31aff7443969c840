"""WebDataset tar files: every image once, in order, in bounded memory; damage is told and costs nothing before it."""

from __future__ import annotations

import bz2
import gc
import gzip
import io
import lzma
import tarfile
from pathlib import Path

import pytest

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.sources import NamedImage, find_sources
from tests.support.encoded_images import encode, noise

FILES = {
    f"{number:03d}.{suffix}": encode(noise(seed=number), kind)
    for number, (suffix, kind) in enumerate(
        [("jpg", "JPEG"), ("png", "PNG"), ("JPEG", "JPEG"), ("webp", "WEBP"), ("png", "PNG")]
    )
}


def write_tar(path: Path, files: dict[str, bytes], tar_format: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=tar_format) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def read(path: Path | str, **options: object) -> list[NamedImage]:
    return list(find_sources([path], **options))


def contents(images: list[NamedImage]) -> dict[str, object]:
    return {image.name: image.source for image in images}


def expected(path: Path | str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{path}/{name}": content for name, content in files.items()}


@pytest.mark.parametrize("tar_format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_images_come_as_they_lie_in_the_archive_and_nothing_else_does(tmp_path: Path, tar_format: int) -> None:
    folders = {f"class {'x' * 60}/{name}": content for name, content in FILES.items()}
    others = {"000.json": b"{}", "000.cls": b"1", "readme": b""}
    path = write_tar(tmp_path / "a.tar", {**others, **folders}, tar_format)
    images = read(path)
    assert contents(images) == expected(path, folders)
    assert [image.name for image in images] == [f"{path}/{name}" for name in folders]
    assert {image.container for image in images} == {str(path)}


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip), (".bz2", bz2), (".xz", lzma)])
def test_compressed_archives(tmp_path: Path, suffix: str, compress: object) -> None:
    plain = write_tar(tmp_path / "plain.tar", FILES).read_bytes()
    path = tmp_path / f"a.tar{suffix}"
    path.write_bytes(compress.compress(plain))
    assert contents(read(path)) == expected(path, FILES)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    last = read(path)[-1]
    assert last.name == str(path)
    assert "is truncated or corrupt" in str(last.source)


def test_archives_that_webdataset_wrote(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    with webdataset.ShardWriter(str(tmp_path / "shard-%04d.tar"), maxcount=2, verbose=0) as writer:
        for number in range(5):
            writer.write({"__key__": f"{number:05d}", "png": encode(noise(seed=number), "PNG"), "json": {"n": number}})
    images = read(f"{tmp_path}/shard-{{0000..0002}}.tar")
    assert [image.name for image in images] == [
        f"{tmp_path}/shard-{number // 2:04d}.tar/{number:05d}.png" for number in range(5)
    ]
    assert [image.source for image in images] == [encode(noise(seed=number), "PNG") for number in range(5)]
    assert [image.name for image in read(f"{tmp_path}/*.tar")] == [image.name for image in images]
    assert [image.name for image in read(tmp_path)] == [image.name for image in images]


def test_a_truncated_archive_loses_nothing_before_the_cut(tmp_path: Path) -> None:
    whole = write_tar(tmp_path / "whole.tar", FILES).read_bytes()
    end = 512 * (
        1 + max(number for number in range(len(whole) // 512) if whole[512 * number : 512 * (number + 1)].strip(b"\0"))
    )
    names, seen = list(FILES), set()
    path = tmp_path / "cut.tar"
    for length in range(0, end + 1, 256):
        path.write_bytes(whole[:length])
        *images, last = read(path)
        assert isinstance(last.source, InvalidImageError), length
        assert last.name == str(path)
        assert f"{path} is truncated or corrupt after {len(images)} images" in str(last.source)
        assert contents(images) == expected(path, {name: FILES[name] for name in names[: len(images)]})
        seen.add(len(images))
    assert seen == set(range(len(FILES) + 1))


def test_a_damaged_header_in_the_middle_is_not_taken_for_the_end(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", FILES)
    with tarfile.open(path) as archive:
        third = archive.getmembers()[2].offset
    content = bytearray(path.read_bytes())
    content[third + 150] ^= 1  # its checksum
    path.write_bytes(content)
    *images, last = read(path)
    assert len(images) == 2
    assert "after 2 images" in str(last.source)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is truncated or corrupt after 0 images"), (b"no archive" * 200, "is truncated or corrupt after 0 images")],
)
def test_what_is_no_archive_is_a_failure(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    (failure,) = read(path)
    assert message in str(failure.source)


def test_missing_and_empty_archives_are_failures(tmp_path: Path) -> None:
    (missing,) = read(tmp_path / "gone.tar")
    assert str(missing.source) == f"{tmp_path / 'gone.tar'} does not exist."
    (empty,) = read(write_tar(tmp_path / "texts.tar", {"a.txt": b"text"}))
    assert "holds no image" in str(empty.source)


def test_known_images_are_not_read(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", FILES)
    known = {f"{path}/001.png", f"{path}/004.png"}
    images = read(path, known=known)
    assert {image.name for image in images if image.source is None} == known
    assert len(images) == len(FILES)


def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "long.tar"
    with tarfile.open(path, "w") as archive:
        for number in range(6000):
            member = tarfile.TarInfo(f"{number}.png")
            member.size = 10
            archive.addfile(member, io.BytesIO(b"0123456789"))
    before = headers_in_memory()  # those of the archive that was written
    for number, _ in enumerate(find_sources([path])):
        if number % 2500 == 2000:
            assert headers_in_memory() < before + 10


def headers_in_memory() -> int:
    return sum(issubclass(type(thing), tarfile.TarInfo) for thing in gc.get_objects())
