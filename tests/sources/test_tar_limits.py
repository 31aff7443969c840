"""What an archive claims is compared with limits before memory is taken; the image that follows is scored."""

from __future__ import annotations

import bz2
import gzip
import lzma
import resource
import subprocess
import sys
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images import decode, limits
from perceptmetrics.images.sources import Part, find_sources, read_part
from tests.sources.test_tar import read, write_tar
from tests.support.encoded_images import encode, noise

GOOD = encode(noise(), "PNG")
HUGE = 200 << 30
MEMORY = 64 << 20


def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, **more: Any) -> bytes:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.size = size
    for key, value in more.items():
        setattr(member, key, value)
    return member.tobuf(tarfile.GNU_FORMAT)


def checksummed(block: bytearray) -> bytes:
    block[148:156] = b"        "
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


def gnu_sparse(*, extended: bool = False) -> bytes:
    block = bytearray(header("x.png", 0, tarfile.GNUTYPE_SPARSE))
    block[386:410] = b"00000000000\0" + b"00000000000\0"
    block[482] = int(extended)
    block[483:495] = b"\x80" + HUGE.to_bytes(11, "big")
    return checksummed(block)


def pax(records: dict[str, str], then: bytes) -> bytes:
    body = b"".join(record(key, value) for key, value in records.items())
    return header("pax", len(body), tarfile.XHDTYPE) + padded(body) + then


def record(key: str, value: str) -> bytes:
    rest = len(f" {key}={value}\n")
    length = next(n for n in range(rest, rest + 9) if n == rest + len(str(n)))
    return f"{length} {key}={value}\n".encode()


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def good() -> bytes:
    return header("good.png", len(GOOD)) + padded(GOOD) + bytes(1024)


SPARSE = {
    "old GNU": gnu_sparse(),
    "old GNU, extended": gnu_sparse(extended=True) + bytes(512),
    "PAX 0.0": pax(
        {"GNU.sparse.size": str(HUGE), "GNU.sparse.numblocks": "1", "GNU.sparse.offset": "0"}, header("x.png")
    ),
    "PAX 0.1": pax({"GNU.sparse.map": f"0,0,{HUGE},0", "GNU.sparse.size": str(HUGE)}, header("x.png")),
    "PAX 1.0": pax(
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(HUGE)},
        header("x.png", 512) + padded(f"1\n{HUGE}\n0\n".encode()),
    ),
}
"""A member of 200 GiB without content."""


def schemes(path: Path) -> list[str]:
    fsspec.filesystem("memory").pipe_file(f"/{path.name}", path.read_bytes())
    return [str(path), f"memory:///{path.name}"]


@pytest.mark.parametrize("kind", SPARSE)
def test_sparse_members_are_refused_and_the_next_is_read(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.tar").write_bytes(SPARSE[kind] + good())
    for location in schemes(tmp_path / "a.tar"):
        refused, image = read(location)
        assert refused.name == f"{location}/x.png"
        assert "is a sparse file" in str(refused.source)
        assert image.source == GOOD


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress], ids=["gz", "bz2", "xz"])
def test_members_too_large_are_skipped_in_little_memory(
    tmp_path: Path, compress: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, size = 8 << 20, 40 << 20
    monkeypatch.setattr(limits, "MAX_HELD_BYTES", limit)
    (tmp_path / "a.tar.x").write_bytes(compress(header("x.png", size) + bytes(size) + good()))
    path = (tmp_path / "a.tar.x").rename(tmp_path / "a.tar.gz")  # what it is decides, not its name
    for location in schemes(path):
        tracemalloc.start()
        refused, image = read(location)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert f"x.png has {size:,} bytes; at most {limit:,} are read here." in str(refused.source)
        assert image.source == GOOD
        assert peak < size / 2


LYING = {
    "a size that PAX replaces": pax({"size": str(HUGE)}, header("x.png")),
    "a size of eleven bytes": checksummed(
        bytearray(header("x.png"))[:124] + b"\x80" + (1 << 80).to_bytes(11, "big") + bytearray(header("x.png"))[136:]
    ),
    "a negative size": checksummed(
        bytearray(header("x.png"))[:124]
        + b"\xff"
        + (-4096 % 256**11).to_bytes(11, "big")
        + bytearray(header("x"))[136:]
    ),
    "a long name of 6 GiB": header("name", 6 << 30, tarfile.GNUTYPE_LONGNAME),
    "a PAX header of 6 GiB": header("pax", 6 << 30, tarfile.XHDTYPE),
    "a map without end": gnu_sparse(extended=True) + checksummed(bytearray(504) + b"\1" + bytearray(7)) * 3000,
    "a map of words": pax({"GNU.sparse.map": "a,b", "GNU.sparse.size": "1"}, header("x.png")),
    "a map that is not there": pax({"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}, header("x.png")),
    "headers of headers": header("name", 0, tarfile.GNUTYPE_LONGNAME) * 1500,
}


@pytest.mark.parametrize("what", LYING)
def test_headers_that_lie_end_the_archive_with_an_error(tmp_path: Path, what: str) -> None:
    content = header("first.png", len(GOOD)) + padded(GOOD) + LYING[what]
    (tmp_path / "a.tar").write_bytes(content)
    (tmp_path / "b.tar").write_bytes(gzip.compress(content + bytes(2 << 20)))
    for path in (tmp_path / "a.tar", tmp_path / "b.tar"):
        for location in schemes(path):
            tracemalloc.start()
            image, *others = read(location)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert image.source == GOOD
            assert others
            assert all(isinstance(other.source, InvalidImageError) for other in others)
            assert peak < MEMORY


def test_archives_are_read_in_a_bounded_address_space(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(SPARSE["old GNU"] + good())
    (tmp_path / "b.tar").write_bytes(header("x.png", 6 << 30) + bytes(1024))
    code = f"""
from perceptmetrics.images.sources import find_sources
print([isinstance(image.source, bytes) for image in find_sources([{str(tmp_path / "a.tar")!r}])])
print([str(image.source)[-40:] for image in find_sources([{str(tmp_path / "b.tar")!r}])])
"""
    limit = 6 << 30
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert ran.stdout.splitlines()[0] == "[False, True]"
    assert "unexpected end of data" in ran.stdout


def test_encoded_images_wait_within_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_HELD_BYTES", 3 * len(GOOD))
    path = write_tar(tmp_path / "a.tar", {f"{number}.png": GOOD for number in range(12)})
    read_so_far = 0

    def counted() -> Any:
        nonlocal read_so_far
        for image in find_sources([path]):
            read_so_far += 1
            yield image

    ahead = []
    for number, _ in enumerate(decode.decode_ahead(counted(), workers=2)):
        ahead.append(read_so_far - number)
    assert max(ahead) == 4
    assert read_so_far == 12


def test_members_are_read_to_their_end(tmp_path: Path) -> None:
    content = header("x.png", 4096) + bytes(1024)
    (tmp_path / "a.tar").write_bytes(content)
    for location in schemes(tmp_path / "a.tar"):
        (failure,) = read(location)
        assert "unexpected end of data" in str(failure.source)


def test_hidden_members_and_those_of_thumbnails_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hidden = ("0/._a.png", "__MACOSX/a.png", ".thumbnails/a.png", "x/@eaDir/a.png", ".a.png")
    path = write_tar(tmp_path / "a.tar", dict.fromkeys([*hidden, "./b.png", "_c.png", "d.HEIC", "e.txt"], GOOD))
    assert [image.name for image in read(path)] == [f"{path}/./b.png", f"{path}/_c.png"]
    assert "1 images in formats that cannot be read here are left out (1 .heic): d.HEIC." in caplog.text


def test_a_folder_in_disguise_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.tar").mkdir()
    (failure,) = read_part(Part(container=str(tmp_path / "x.tar")))
    assert str(failure.source) == f"{tmp_path / 'x.tar'} is a folder."
