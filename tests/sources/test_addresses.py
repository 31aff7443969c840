"""Addresses are read like paths, the same ones by everything that scores, whatever file system they lead to."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zipfile import ZipFile

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem

from perceptmetrics import score_dataset, score_frame
from perceptmetrics.errors import InvalidImageError, MissingExtraError
from perceptmetrics.images.given import is_single_image
from perceptmetrics.images.load import load_image, load_pixels
from perceptmetrics.images.sources import Part, find_parts, find_sources, read_part
from perceptmetrics.scoring.stream import score_images
from tests.cli.in_process import Command
from tests.sources.test_tar import FILES, write_tar
from tests.support.encoded_images import encode, noise
from tests.support.mean_colour_metric import tiny_metric

METRIC = tiny_metric()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.png", "b.JPG", "sub/c.png", "sub/d [1].png", ".hidden.png", "_part.png", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode(noise(seed=len(name)), "PNG"))
    write_tar(tmp_path / "x.tar", FILES)
    rows = [{"bytes": None, "path": "a.png"}, {"bytes": None, "path": "sub/d [1].png"}]
    pq.write_table(pa.table({"image": rows}), tmp_path / "x.parquet")
    with ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(tmp_path / "a.png", "inside/a.png")
    return tmp_path


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def served(request: pytest.FixtureRequest, tree: Path) -> Iterator[str]:
    """The tree at an address of the scheme that the test is parametrised with."""
    if request.param == "file":
        yield f"file://{tree}"
    elif request.param == "memory":
        with in_memory(tree):
            yield f"memory://{tree}"
    else:
        pytest.importorskip("aiohttp")
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(tree)))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def in_memory(tree: Path) -> Iterator[None]:
    memory = fsspec.filesystem("memory")
    memory.put(str(tree), str(tree), recursive=True)
    yield
    memory.rm(str(tree), recursive=True)


every_scheme = pytest.mark.parametrize("served", ["file", "memory", "http"], indirect=True)


@pytest.mark.parametrize("served", ["file", "memory"], indirect=True)
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", ["_part.png", "a.png", "b.JPG", "sub/c.png", "sub/d [1].png"]),
        ("/", ["_part.png", "a.png", "b.JPG", "sub/c.png", "sub/d [1].png"]),
        ("/sub", ["sub/c.png", "sub/d [1].png"]),
        ("/sub/c.png", ["sub/c.png"]),
        ("/sub/d [1].png", ["sub/d [1].png"]),
        ("/*.png", ["_part.png", "a.png"]),
        ("/*/*.png", ["sub/c.png", "sub/d [1].png"]),
        ("/**/*.png", ["_part.png", "a.png", "sub/c.png", "sub/d [1].png"]),
        ("/s[t-v]b/?.png", ["sub/c.png"]),
        ("/x.tar", [f"x.tar/{name}" for name in FILES]),
        ("/{x..x}.tar", None),
        ("/?.gif", None),
        ("/gone", None),
    ],
)
def test_addresses_are_read_like_paths(served: str, asked: str, found: list[str] | None) -> None:
    if found is None:
        with pytest.raises(InvalidImageError, match="nothing to score at"):
            list(find_sources([served + asked]))
        return
    images = list(find_sources([served + asked]))
    assert [image.name for image in images] == [f"{served}/{name}" for name in found]
    assert all(load_pixels(image.source).shape == (3, 12, 17) for image in images)


def test_folders_are_searched_as_deep_as_asked(tree: Path) -> None:
    (part,) = find_parts([f"file://{tree}"], recursive=False)
    assert part.files == (f"file://{tree}/_part.png", f"file://{tree}/a.png", f"file://{tree}/b.JPG")


def test_a_folder_without_images_gives_its_containers(tree: Path) -> None:
    for file in [*tree.rglob("*.png"), *tree.rglob("*.JPG")]:
        file.unlink()
    assert [part.container for part in find_parts([f"file://{tree}"])] == [
        f"file://{tree}/x.parquet",
        f"file://{tree}/x.tar",
    ]


def by_score(address: str) -> list[float]:
    return METRIC.score(address).tolist()


def by_score_of_a_list(address: str) -> list[float]:
    return METRIC.score([address]).tolist()


def by_call(address: str) -> list[float]:
    return METRIC(address).tolist()


def by_stream(address: str) -> list[float]:
    return [row.scores["tiny"] for row in score_images([METRIC], find_sources([address]))]


def by_frame(address: str) -> list[float]:
    folder, _, name = address.rpartition("/")
    frame = pd.DataFrame({"image": [address, name, {"path": name}]})
    one, same, again = score_frame(frame, METRIC, folder=folder)["tiny"]
    assert one == same == again
    return [one]


def by_dataset(address: str) -> list[float]:
    datasets = pytest.importorskip("datasets")
    return list(score_dataset(datasets.Dataset.from_dict({"image": [address]}), METRIC)["tiny"])


ROADS = (by_score, by_score_of_a_list, by_call, by_stream, by_frame, by_dataset)


@every_scheme
@pytest.mark.parametrize("score", ROADS)
def test_everything_that_scores_takes_the_same_addresses(
    tree: Path, served: str, score: Callable[[str], list[float]]
) -> None:
    assert score(f"{served}/a.png") == METRIC.score(tree / "a.png").tolist()


@every_scheme
def test_files_of_many_images_are_read_from_addresses(tree: Path, served: str) -> None:
    for name in ("x.tar", "x.parquet"):
        assert METRIC.score(f"{served}/{name}").tolist() == METRIC.score(tree / name).tolist()


@pytest.mark.parametrize("served", ["http"], indirect=True)
def test_a_query_is_no_pattern_and_an_index_is_a_folder(tree: Path, served: str) -> None:
    expected = load_image(tree / "a.png")
    assert torch.equal(load_image(f"{served}/a.png?size=1&key=x"), expected)
    assert METRIC.score(f"{served}/a.png?size=1").shape == (1,)
    assert is_single_image(f"{served}/a.png?size=1")
    assert [image.name for image in find_sources([f"{served}/sub/"])][0] == f"{served}/sub/c.png"  # noqa: RUF015


def test_a_file_in_an_archive_has_an_address_of_two_parts(tree: Path) -> None:
    address = f"zip://inside/a.png::file://{tree}/x.zip"
    assert METRIC.score(address).tolist() == METRIC.score([address]).tolist() == METRIC.score(tree / "a.png").tolist()


def test_the_command_takes_addresses(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (tree / "a.png", tree / "sub" / "c.png"):
        path.write_bytes(encode(noise(48, 40), "PNG"))
    run = Command(monkeypatch, capsys)
    result = run("score", f"file://{tree}/a.png", f"file://{tree}/*/c.png", "--format", "csv")
    assert result.returncode == 0
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [row["image"] for row in rows] == [f"file://{tree}/a.png", f"file://{tree}/sub/c.png"]
    assert rows[0]["lite_iqa"] == rows[1]["lite_iqa"] != ""


@pytest.mark.parametrize("address", ["nowhere://photo.jpg", "file:///nowhere/gone.png"])
def test_what_cannot_be_read_concerns_its_image_alone(tree: Path, address: str) -> None:
    with pytest.raises(InvalidImageError, match=f"{address} cannot be read: "):
        load_pixels(address)
    frame = score_frame(pd.DataFrame({"image": [address, str(tree / "a.png")]}), METRIC)
    assert frame["score_error"][0].startswith(f"{address} cannot be read: ")
    assert frame["score_error"][1] is None


def test_addresses_that_lead_nowhere(tree: Path) -> None:
    with pytest.raises(InvalidImageError, match=r"nowhere://photo\.jpg cannot be listed: Protocol not known: nowhere"):
        list(find_sources(["nowhere://photo.jpg"]))
    (image,) = read_part(Part(files=(f"file://{tree}/gone.png",)))
    with pytest.raises(InvalidImageError, match=r"gone\.png cannot be read: it does not exist"):
        load_pixels(image.source)
    for name in ("gone.tar", "gone.parquet"):
        (failure,) = read_part(Part(container=f"file://{tree}/{name}"))
        assert "does not exist" in str(failure.source)


@pytest.mark.parametrize("score", [*ROADS, lambda address: list(find_parts([address]))])
def test_a_missing_file_system_is_named_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, score: Callable[[str], object]
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    expected = r"Reading s3://bucket/a\.png needs an optional dependency that is not installed\. .*[Ii]nstall s3fs"
    with pytest.raises(MissingExtraError, match=expected):
        score("s3://bucket/a.png")


class Line(io.BytesIO):
    """A file that cannot be read to its end."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > tarfile.RECORDSIZE:
            raise LookupError("The line is down")
        return super().read(tarfile.RECORDSIZE)


class Unreliable(MemoryFileSystem):
    """A file system with an error of its own."""

    protocol = "unreliable"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("unreliable://")))

    def open(self, path: str, *_: object, **__: object) -> Line:
        if path.endswith(".png"):
            raise LookupError("The line is down")
        return Line(super().open(path, "rb").read())


def test_errors_of_a_file_system_are_told_and_cost_no_more_than_what_follows(tree: Path) -> None:
    fsspec.register_implementation("unreliable", Unreliable, clobber=True)
    with pytest.raises(InvalidImageError, match=r"a\.png cannot be read: The line is down"):
        load_pixels("unreliable:///a.png")
    files = {f"{number}.png": encode(noise(48, 52, seed=number), "PNG") for number in range(5)}
    write_tar(tree / "x.tar", files)
    pq.write_table(pa.table({"image": list(files.values())}), tree / "x.parquet")
    with in_memory(tree):
        *before, failure = read_part(Part(container=f"unreliable://{tree}/x.tar"))
        assert 0 < len(before) < 5
        assert f"after {len(before)} images: The line is down" in str(failure.source)
        (failure,) = read_part(Part(container=f"unreliable://{tree}/x.parquet"))
        assert "it is corrupt after 0 images: The line is down" in str(failure.source)


def test_without_addresses_fsspec_is_not_imported(tree: Path) -> None:
    code = (
        "import sys; from perceptmetrics.images.load import load_pixels; from perceptmetrics.images.sources import *;"
        f"load_pixels({str(tree / 'a.png')!r}); list(find_sources([{str(tree)!r}])); sys.exit('fsspec' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
