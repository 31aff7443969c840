"""What visitors upload is stored up to a limit: however they send it, the oldest files go."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import gradio
import httpx
import pytest
from gradio import processing_utils

from perceptmetrics.apps.demo import DemoLimits, Studio, app, uploads
from perceptmetrics.apps.demo.app import create_demo
from perceptmetrics.apps.demo.page import build_page
from perceptmetrics.apps.demo.uploads import uploads_in
from perceptmetrics.errors import InvalidOptionError

LIMITS = DemoLimits(max_bytes=10_000, max_images=2, max_stored_bytes=40_000, max_stored_files=12)
UPLOAD = "/gradio_api/upload"


@pytest.fixture
def stored(tried: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Path]]:
    """A demo with these limits, and the folder of its uploads."""
    tried.limits = LIMITS
    monkeypatch.setattr(app, "write_examples", lambda _: [])
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "example").mkdir()
    (folder / "example" / "kept.png").write_bytes(bytes(5_000))
    os.utime(folder / "example" / "kept.png", (0, 0))
    with uploads_in(folder):
        yield create_demo(tried, tmp_path, uploads=folder), folder


def sizes(folder: Path) -> list[int]:
    return [path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != "kept.png"]


def asked(demo: Any, ask: Any) -> Any:
    async def go() -> Any:
        transport = httpx.ASGITransport(demo, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await ask(client)

    return asyncio.run(asyncio.wait_for(go(), 60))


def files(*contents: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", ("a.png", content)) for content in contents]


def test_the_size_of_all_uploads_is_limited_and_the_newest_are_kept(stored: tuple[Any, Path]) -> None:
    demo, folder = stored

    async def ask(client: httpx.AsyncClient) -> list[str]:
        paths = []
        for number in range(12):
            answer = await client.post(UPLOAD, files=files(bytes([number]) * 9_000))
            assert answer.status_code == 200
            paths += answer.json()
            assert sum(sizes(folder)) <= LIMITS.max_stored_bytes
        return paths

    paths = asked(demo, ask)
    assert [Path(path).exists() for path in paths] == [False] * 8 + [True] * 4
    assert (folder / "example" / "kept.png").exists()


def test_the_number_of_uploads_is_limited_also_within_one_request(stored: tuple[Any, Path]) -> None:
    demo, folder = stored

    async def ask(client: httpx.AsyncClient) -> None:
        for number in range(15):
            await client.post(UPLOAD, files=files(bytes([number])))
        assert len(sizes(folder)) == LIMITS.max_stored_files
        await client.post(UPLOAD, files=files(*[bytes([1, number]) for number in range(100)]))
        assert len(sizes(folder)) == LIMITS.max_stored_files

    asked(demo, ask)


def test_uploads_at_the_same_time_share_the_limit(stored: tuple[Any, Path]) -> None:
    demo, folder = stored

    async def ask(client: httpx.AsyncClient) -> set[int]:
        asking = [client.post(UPLOAD, files=files(bytes([number]) * 9_000)) for number in range(20)]
        return {answer.status_code for answer in await asyncio.gather(*asking)}

    assert asked(demo, ask) == {200, 503}
    assert 9_000 <= sum(sizes(folder)) <= LIMITS.max_stored_bytes


async def nothing() -> AsyncIterator[bytes]:
    yield b"x"


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        pytest.param(bytes(50_000), {}, 413, id="more than is stored at all"),
        pytest.param(nothing(), {}, 411, id="of unknown size"),
        pytest.param(b"x", {"content-length": "-5"}, 411, id="of a size that is no number"),
    ],
)
def test_uploads_that_cannot_be_stored(stored: tuple[Any, Path], content: Any, headers: Any, status: int) -> None:
    demo, folder = stored

    async def ask(client: httpx.AsyncClient) -> int:
        form = {"content-type": "multipart/form-data; boundary=x", **headers}
        return (await client.post(UPLOAD, content=content, headers=form)).status_code

    assert asked(demo, ask) == status
    assert sizes(folder) == []


def test_what_is_left_of_uploads_that_broke_off_counts(stored: tuple[Any, Path]) -> None:
    demo, folder = stored
    for number in range(30):
        (folder / f"tmp{number}").write_bytes(bytes(3_000))
    asked(demo, lambda client: client.post(UPLOAD, files=files(b"new")))
    assert sum(sizes(folder)) <= LIMITS.max_stored_bytes
    assert len(sizes(folder)) <= LIMITS.max_stored_files


def test_an_upload_that_arrives_too_slowly_is_cut_off(
    stored: tuple[Any, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_ALLOWED_LAG", 0.2)
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'

    async def slow() -> AsyncIterator[bytes]:
        yield part
        for _ in range(100):
            await asyncio.sleep(0.05)
            yield b"x"

    async def ask(client: httpx.AsyncClient) -> list[int]:
        form = {"content-type": "multipart/form-data; boundary=x", "content-length": "30000"}
        late = await client.post(UPLOAD, content=slow(), headers=form)
        return [late.status_code, (await client.post(UPLOAD, files=files(bytes(9_000)))).status_code]

    assert asked(stored[0], ask) == [408, 200]


def test_an_image_that_was_deleted_is_to_be_uploaded_again(tried: Studio, tmp_path: Path) -> None:
    page = tried.scores([tmp_path / "gone.png"], ["one"])
    assert "not stored here any more" in page
    assert str(tmp_path) not in page


@pytest.mark.parametrize("stored", [{"max_stored_bytes": 100}, {"max_stored_files": 7}])
def test_there_must_be_room_for_one_visitor(stored: dict[str, int]) -> None:
    with pytest.raises(InvalidOptionError, match="--max-stored-mb"):
        DemoLimits(**stored)


def test_addresses_in_requests_are_not_downloaded(tried: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []

    async def fetch(address: str, **_: object) -> str:
        fetched.append(address)
        return "/nowhere"

    monkeypatch.setattr(processing_utils, "async_ssrf_protected_download", fetch)

    async def ask() -> None:
        inputs = [block for block in build_page(tried).blocks.values() if isinstance(block, gradio.File)]
        assert len(inputs) == 4
        for block in inputs:
            data = {"path": "https://example.org/a.png", "meta": {"_type": "gradio.FileData"}}
            with pytest.raises(gradio.Error, match="downloads nothing"):
                await processing_utils.async_move_files_to_cache(data, block, check_in_upload_folder=True)

    asyncio.run(ask())
    assert fetched == []


def test_the_environment_is_as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for before in ("/somewhere", None):
        if before is None:
            monkeypatch.delenv("GRADIO_TEMP_DIR")
        else:
            monkeypatch.setenv("GRADIO_TEMP_DIR", before)
        with uploads_in(tmp_path):
            assert os.environ["GRADIO_TEMP_DIR"] == str(tmp_path.resolve())
        assert os.environ.get("GRADIO_TEMP_DIR") == before
