"""A cap on the uploads that the demo stores: Gradio keeps whatever is sent, for an hour."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from perceptmetrics.apps.slow_bodies import SlowBodyError, TimedBody
from perceptmetrics.errors import MissingExtraError

try:
    from anyio import to_thread
    from starlette.exceptions import HTTPException
    from starlette.responses import PlainTextResponse
except ImportError as error:
    raise MissingExtraError("The web demo", "demo") from error

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from perceptmetrics.apps.demo.studio import DemoLimits

__all__ = ["StoredUploads", "stored_files", "uploads_in"]

_MIN_RATE = 10_000  # bytes per second
_ALLOWED_LAG = 10.0  # seconds
_BEING_STORED = 8  # requests


class StoredUploads:
    """ASGI middleware that keeps the files in a folder below a number of bytes and of files.

    Before a request with a body is passed on, the oldest uploads are deleted until it has room, and afterwards until
    its files are within the limits.

    Args:
        app: The application.
        folder: Folder of the uploads, which belongs to this application alone. Finished uploads are in folders below
            it, those that are arriving in the folder itself.
        limits: Limits of uploads.
        kept: Files in the folder that are never deleted and do not count: the examples.
    """

    def __init__(self, app: ASGIApp, folder: Path, limits: DemoLimits, kept: Collection[Path] = ()) -> None:
        self._app = app
        self._folder = folder
        self._limits = limits
        self._kept = frozenset(kept)
        self._arriving = 0  # bytes
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        size = _announced(scope)
        refused = self._refused(size)
        if refused is not None:
            await refused(scope, receive, send)
            return
        self._arriving += size
        self._requests += 1
        try:
            await self._make_room()
            await self._app(scope, _timed(receive), send)
        finally:
            self._arriving -= size
            self._requests -= 1
            await self._make_room()

    def _refused(self, size: int) -> PlainTextResponse | None:
        limit = self._limits.max_stored_bytes
        if size < 0:
            return PlainTextResponse("Send the length of the upload (Content-Length).", 411)
        if size > limit:
            return PlainTextResponse(
                f"At most {limit / 1e6:g} MB are stored here. Upload fewer or smaller images.", 413
            )
        if self._arriving + size > limit or self._requests >= _BEING_STORED:
            return PlainTextResponse("Too many uploads are arriving. Try again shortly.", 503, {"Retry-After": "5"})
        return None

    async def _make_room(self) -> None:
        bytes_left = self._limits.max_stored_bytes - self._arriving
        await to_thread.run_sync(self._delete_oldest, bytes_left, self._requests == 0)

    def _delete_oldest(self, max_bytes: int, is_quiet: bool) -> None:
        """Delete uploads until at most so many bytes are left; those in the folder itself only if nothing arrives."""
        found = [
            (status.st_mtime_ns, status.st_size, path)
            for path, status in stored_files(self._folder).items()
            if path not in self._kept and (is_quiet or path.parent != self._folder)
        ]
        found.sort(key=lambda file: file[0])
        stored, count = sum(size for _, size, _ in found), len(found)
        for _, size, path in found:
            if stored <= max_bytes and count <= self._limits.max_stored_files:
                break
            path.unlink(missing_ok=True)
            stored, count = stored - size, count - 1


def _timed(receive: Receive) -> Receive:
    body = TimedBody(receive, min_rate=_MIN_RATE, allowed_lag=_ALLOWED_LAG)

    async def in_time() -> Message:
        try:
            return await body.receive()
        except SlowBodyError as error:
            raise HTTPException(408, "The upload arrives too slowly.") from error

    return in_time


def stored_files(folder: Path) -> dict[Path, os.stat_result]:
    """The files below a folder, with their sizes and ages; those that disappear meanwhile are left out."""
    found = {}
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                found[path] = path.stat()
        except FileNotFoundError:
            continue
    return found


def _announced(scope: Scope) -> int:
    """The length of a body; -1 if it is not announced."""
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"0").decode("latin-1")
    return -1 if b"transfer-encoding" in headers or not length.isdecimal() else int(length)


@contextmanager
def uploads_in(folder: Path) -> Iterator[None]:
    """Make Gradio store its uploads in a folder until the block ends; it asks the environment whenever it needs it."""
    name = "GRADIO_TEMP_DIR"
    before = os.environ.get(name)
    os.environ[name] = str(folder.resolve())
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
