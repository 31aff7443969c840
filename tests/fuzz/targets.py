"""Everything that reads what strangers may have made, with inputs for it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import io
import json
import pickle
import struct
import tarfile
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from PIL import Image, features
from safetensors.torch import save

from perceptmetrics.apps.service import ServiceSettings, create_app
from perceptmetrics.datasets.table import read_table
from perceptmetrics.errors import InvalidImageError, PerceptMetricsError
from perceptmetrics.images.load import load_image
from perceptmetrics.images.sources import find_sources
from perceptmetrics.images.uploads import upload_area
from perceptmetrics.metrics import BUILTIN_SPECS
from perceptmetrics.scoring.results import ScoredImage
from perceptmetrics.scoring.results_file import ResultsFile
from perceptmetrics.spec.json import spec_from_json, spec_to_json
from perceptmetrics.weights.tensor_files import check_archive, read_metadata, read_tensors
from tests.fuzz.damage import damaged, damaged_json
from tests.fuzz.law import Target
from tests.support.encoded_images import encode, noise, orientation_exif, sixteen_bit_png
from tests.support.mean_colour_metric import tiny_metric

__all__ = ["TARGETS"]

_MAX_PIXELS = 1_000_000  # the largest image allowed, so that memory says what was read
_ANSWERS = {200, 400, 403, 404, 405, 408, 411, 413, 422, 503}


@contextlib.contextmanager
def _small_images() -> Iterator[None]:
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = _MAX_PIXELS
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _image_files() -> list[bytes]:
    colour, grey = noise(9, 11), noise(9, 11, 1)[:, :, 0]
    deep = noise(9, 11, 3, np.uint16)
    files = [
        encode(colour, "PNG"),
        encode(noise(9, 11, 4), "PNG"),
        encode(grey, "PNG", optimize=True),
        sixteen_bit_png(deep),
        sixteen_bit_png(noise(9, 11, 2, np.uint16)),
        sixteen_bit_png(deep, interlaced=True),
        encode(colour, "JPEG", exif=orientation_exif(8)),
        encode(colour, "JPEG", progressive=True),
        encode(grey, "JPEG"),
        encode(colour, "GIF"),
        encode(colour, "BMP"),
        encode(colour, "PPM"),
        encode(colour, "TIFF"),
        encode(colour, "TIFF", compression="tiff_lzw"),
        encode(colour, "TIFF", compression="tiff_deflate"),
        encode(noise(9, 11, 1, np.uint16)[:, :, 0], "TIFF"),
        encode(noise(9, 11, 1, np.float32)[:, :, 0], "TIFF"),
    ]
    kinds = {"WEBP": "webp", "JPEG2000": "jpg_2000", "AVIF": "avif"}
    return files + [encode(colour, kind) for kind, feature in kinds.items() if features.check(feature)]


def _mended_png(content: bytes) -> bytes:
    """Right checksums for the chunks of a PNG file."""
    png, start = bytearray(content), 8
    while content.startswith(b"\x89PNG") and start + 12 <= len(png):
        end = start + 8 + struct.unpack(">I", png[start : start + 4])[0]
        if end + 4 > len(png):
            break
        png[end : end + 4] = struct.pack(">I", zlib.crc32(bytes(png[start + 4 : end])))
        start = end + 4
    return bytes(png)


def _images() -> Target:
    def read(content: bytes) -> None:
        with contextlib.suppress(InvalidImageError):
            upload_area(io.BytesIO(content), "upload", _MAX_PIXELS)
        image = load_image(content)
        assert image.shape[0] == 3
        assert image.dtype == torch.float32
        assert 0 <= image.min() <= image.max() <= 1

    return Target(inputs=damaged(_image_files(), _mended_png), read=read, running=_small_images)


def _in_file(suffix: str, content: bytes, read: Callable[[Path], Any]) -> Any:
    with tempfile.TemporaryDirectory(prefix="perceptmetrics-fuzz-") as folder:
        path = Path(folder) / f"file{suffix}"
        path.write_bytes(content)
        return read(path)


def _archives() -> Target:
    image = encode(noise(9, 11), "PNG")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in ("a.png", "b/c.png", "x" * 120 + ".png"):
            member = tarfile.TarInfo(name)
            member.size = len(image)
            archive.addfile(member, io.BytesIO(image))
    tables = [b"image,prompt\na.png,hello\nb.png,you\n", b"path;key\n/etc/passwd;x\n"]
    files = [(".tar", packed.getvalue())] + [(".csv", table) for table in tables]
    if importlib.util.find_spec("pyarrow"):
        files.append((".parquet", _parquet(image)))

    def read(case: tuple[str, bytes]) -> str:
        def read_all(path: Path) -> str:
            good = 0
            for found in find_sources([str(path)]):
                if found.source is not None and not isinstance(found.source, InvalidImageError):
                    with contextlib.suppress(InvalidImageError):
                        load_image(found.source)
                        good += 1
            return "read" if good else "no image in it"

        answer: str = _in_file(*case, read_all)
        return answer

    inputs = st.one_of([st.tuples(st.just(suffix), damaged([content])) for suffix, content in files])
    return Target(inputs=inputs, read=read, running=_small_images)


def _parquet(image: bytes) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    stream = io.BytesIO()
    parquet.write_table(pa.table({"image": [image, image], "key": ["a", "b"]}), stream)
    return stream.getvalue()


def _tensors() -> Target:
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b.weight": torch.ones(4, dtype=torch.float16)}
    new, old = io.BytesIO(), io.BytesIO()
    torch.save({"state_dict": tensors}, new)
    torch.save(tensors, old, _use_new_zipfile_serialization=False)
    files = [(".safetensors", save(tensors, {"note": "x"})), (".pt", new.getvalue()), (".pth", old.getvalue())]
    members = _members(new.getvalue())

    def read(case: tuple[str, bytes]) -> None:
        def read_all(path: Path) -> None:
            if path.suffix == ".safetensors":
                read_metadata(path)
            check_archive(path)
            for tensor in read_tensors(path).values():
                tensor.double().sum()

        _in_file(*case, read_all)

    inputs = st.one_of([st.tuples(st.just(suffix), damaged([content])) for suffix, content in files])
    rewritten = st.tuples(st.just(".pt"), _archive(members))
    return Target(inputs=inputs | rewritten, read=read)


def _members(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


@st.composite
def _archive(draw: Any, members: dict[str, bytes]) -> bytes:
    """An archive whose members are damaged, and not its directory."""
    stream = io.BytesIO()
    compression = draw(st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, draw(damaged([content])) if draw(st.booleans()) else content)
    return stream.getvalue()


def _specs() -> Target:
    texts = [spec_to_json(spec) for spec in BUILTIN_SPECS]
    documents = [json.loads(text) for text in texts]

    def read(text: str) -> None:
        spec = spec_from_json(text)
        assert spec_from_json(spec_to_json(spec)) == spec

    raw = damaged([text.encode() for text in texts]).map(lambda content: content.decode("utf-8", "surrogateescape"))
    return Target(inputs=damaged_json(documents) | raw, read=read)


def _results() -> Target:
    columns = ["tiny"]
    rows = [
        ScoredImage("a.png", {"tiny": 0.5}),
        ScoredImage('b,"c".png', {"tiny": 0.1025}),
        ScoredImage("=d.png", error="It is corrupt."),
    ]
    suffixes = {"csv": ".csv", "jsonl": ".jsonl"}
    if importlib.util.find_spec("pyarrow"):
        suffixes["parquet"] = ".parquet"

    def write(path: Path, kind: Any, *, finish: bool) -> bytes:
        results = ResultsFile(path, kind, columns, resume=False)
        for row in rows:
            results.add(row)
        if not finish:
            results.close()
            return results.journal.read_bytes()
        results.finish()
        return path.read_bytes()

    cases = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, suffix in suffixes.items():
            cases.append((kind, "", write(Path(folder) / f"whole{suffix}", kind, finish=True)))
            cases.append((kind, ".partial", write(Path(folder) / f"part{suffix}", kind, finish=False)))

    def read(case: tuple[Any, str, bytes]) -> None:
        kind, ending, content = case
        with tempfile.TemporaryDirectory(prefix="perceptmetrics-fuzz-") as folder:
            path = Path(folder) / f"scores{suffixes[kind]}"
            path.with_name(path.name + ending).write_bytes(content)
            results = ResultsFile(path, kind, columns, resume=True)
            try:
                for row in results.done.values():
                    assert row.scores.keys() == {"tiny"}
                    assert all(isinstance(score, (int, float)) for score in row.scores.values())
            finally:
                results.close()

    inputs = [st.tuples(st.just(kind), st.just(end), damaged([content])) for kind, end, content in cases]
    return Target(inputs=st.one_of(inputs), read=read)


def _tables() -> Target:
    text = "image;mos;std\n\xe4.png;3,5;0,1\nb.png;4;\n"
    files = [text.encode(), text.encode("utf-16"), text.encode("latin-1"), b"sep=;\n" + text.encode()]
    files += [b'image,mos\n"a\nb.png",1\n', b"image\tmos\n\\x\\a.png\t1e3\n"]

    def read(content: bytes) -> None:
        def read_all(path: Path) -> None:
            table = read_table(path)
            for column in table.header:
                with contextlib.suppress(PerceptMetricsError):
                    table.numbers(column)

        _in_file(".csv", content, read_all)

    return Target(inputs=damaged(files), read=read)


class _Service:
    """A service in a thread, whose requests are handed to it without a network."""

    def __init__(self) -> None:
        limits: dict[str, Any] = {"max_pixels": _MAX_PIXELS, "time_limit": 5, "slow_client_limit": 2}
        settings = ServiceSettings(**limits, allowed_hosts=(), flow_grpo=True)
        self._app: Any = create_app([tiny_metric()], settings)
        self._loop = asyncio.new_event_loop()
        self._stack = contextlib.AsyncExitStack()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        self._wait(self._stack.enter_async_context(self._app.router.lifespan_context(self._app)))
        try:
            with _small_images():
                yield
        finally:
            self._wait(self._stack.aclose())
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def _wait(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def ask(self, case: tuple[str, str, list[tuple[bytes, bytes]], list[bytes]]) -> str:
        status = self._wait(self._answer(*case))
        assert status in _ANSWERS, status
        return str(status)

    async def _answer(self, method: str, path: str, headers: list[tuple[bytes, bytes]], parts: list[bytes]) -> int:
        statuses: list[int] = []
        left = list(parts)

        async def receive() -> dict[str, Any]:
            if left:
                return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode("utf-8", "replace"),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        await self._app(scope, receive, send)
        (status,) = statuses
        return status


def _requests() -> Target:
    service = _Service()
    image = encode(noise(9, 11), "PNG")
    file = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    field = b'--x\r\nContent-Disposition: form-data; name="metrics"\r\n\r\ntiny\r\n'
    bodies = [
        file + image + b"\r\n--x--\r\n",
        file + image + b"\r\n" + field + b"--x--\r\n",
        b"images=a&metrics=tiny",
        b'{"images": []}',
    ]
    types = [b"multipart/form-data; boundary=x", b"application/x-www-form-urlencoded", b"application/json"]
    content_type = damaged(types) | st.sampled_from(types[:1])
    header = st.tuples(
        st.sampled_from([b"host", b"content-length", b"origin", b"sec-fetch-site", b"x-y", b"accept", b"expect"]),
        st.sampled_from([b"localhost", b"10", b"-1", b"cross-site", b"\xff", b"", b"9" * 30]) | st.binary(max_size=12),
    )
    headers = st.builds(
        lambda kind, more: [(b"host", b"localhost"), (b"content-type", kind), *more],
        content_type,
        st.just([]) | st.lists(header, max_size=3),
    )
    usual = st.just(("POST", "/score"))
    odd = st.tuples(
        st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS", "\x00"]),
        st.sampled_from(["/", "/score", "/health", "/openapi.json", "/\x00", "/../x", "//", "/\ud800"]),
    )
    body = damaged(bodies) | damaged([image, *_image_files()]).map(lambda content: file + content + b"\r\n--x--\r\n")
    parts = st.builds(lambda content, at: [content[:at], content[at:]], body, st.integers(0, 2000)) | st.just([])
    inputs = st.builds(lambda way, heads, pieces: (*way, heads, pieces), usual | usual | odd, headers, parts)
    return Target(inputs=inputs, read=service.ask, running=service.running)


def _pickles() -> Target:
    """Requests of Flow-GRPO's clients, damaged, or with instructions that call what they name."""
    service = _Service()
    image = encode(noise(9, 11), "JPEG")
    asked = [{"images": [image], "prompts": ["a photo"], "metadata": {}}, {"images": [image] * 3, "meta_datas": [1.5]}]
    bodies = [pickle.dumps(one, protocol) for one in asked for protocol in (3, 4, 5)]
    calls = [b"cos\nsystem\n(S'exit 9'\ntR.", b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x06exit 9\x85R.", b"Pid\n."]
    inserted = st.builds(
        lambda body, call, at: body[:at] + call[:-1] + body[at:],
        st.sampled_from(bodies),
        st.sampled_from(calls),
        st.integers(0, 60),
    )
    body = damaged(bodies) | damaged(calls) | inserted
    headers = [(b"host", b"localhost"), (b"content-type", b"application/octet-stream")]
    inputs = body.map(lambda content: ("POST", "/", headers, [content]))
    return Target(inputs=inputs, read=service.ask, running=service.running)


TARGETS: dict[str, Callable[[], Target]] = {
    "images": _images,
    "archives": _archives,
    "tensors": _tensors,
    "specs": _specs,
    "results": _results,
    "tables": _tables,
    "requests": _requests,
    "pickles": _pickles,
}
"""What is fuzzed, by name; each is made in the process that fuzzes it."""
