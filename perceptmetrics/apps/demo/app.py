"""The demo as an application: its page, example images and headers, and `run_demo`, which runs it."""

from __future__ import annotations

import asyncio
import os
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perceptmetrics.apps.demo.page import build_page, theme
from perceptmetrics.apps.demo.proxies import BehindProxy, RelativeManifest, check_root_path
from perceptmetrics.apps.demo.uploads import StoredUploads, stored_files, uploads_in
from perceptmetrics.apps.server import run_server
from perceptmetrics.errors import MissingExtraError
from perceptmetrics.images.examples import blurred, compressed, noisy, sample_photographs

try:
    import gradio
    from fastapi import FastAPI
except ImportError as error:
    raise MissingExtraError("The web demo", "demo") from error

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from perceptmetrics.apps.demo.studio import Studio

__all__ = ["create_demo", "run_demo", "write_examples"]

_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; connect-src 'self'; worker-src 'self' blob:; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
_QUEUE_SIZE = 32
_STOP_SECONDS = 5
_EXAMPLE_SIDE = 512  # pixels


class _OwnSourcesOnly:
    """ASGI middleware that forbids browsers to fetch anything from elsewhere."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(b"content-security-policy", _POLICY.encode()), (b"referrer-policy", b"no-referrer")]
                message["headers"] = [*message["headers"], *own]
            await send(message)

        await self._app(scope, receive, with_policy if scope["type"] == "http" else send)


def create_demo(studio: Studio, folder: Path, *, uploads: Path | None = None, root_path: str = "") -> Any:
    """Create the application.

    Args:
        studio: Scores, explains and compares the uploads.
        folder: Existing folder for the example images.
        uploads: Folder in which Gradio stores uploads (`GRADIO_TEMP_DIR`), to be kept below `studio.limits`; None if it
            is shared with other applications, whose files must not be deleted.
        root_path: Path below which a proxy serves the page, or its whole address; see `proxies.check_root_path`.

    Returns:
        An ASGI application (FastAPI) with the page at `/`.

    Raises:
        InvalidOptionError: `root_path` is neither a path nor an address.
    """
    root_path = check_root_path(root_path)

    async def inside_a_loop() -> Any:
        return _assemble(studio, folder, uploads, root_path)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        # Where no event loop runs, Gradio opens one for each of its locks and closes none of them.
        return asyncio.run(inside_a_loop())
    return _assemble(studio, folder, uploads, root_path)


def _assemble(studio: Studio, folder: Path, uploads: Path | None, root_path: str) -> Any:
    page = build_page(studio, write_examples(folder))
    page.queue(max_size=_QUEUE_SIZE, default_concurrency_limit=1, api_open=False)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    if uploads is not None:
        app.add_middleware(StoredUploads, folder=uploads, limits=studio.limits, kept=stored_files(uploads))
    for middleware in (RelativeManifest, BehindProxy, _OwnSourcesOnly):
        app.add_middleware(middleware)
    return gradio.mount_gradio_app(
        app,
        page,
        path="/",
        root_path=root_path or None,
        footer_links=[],
        show_error=False,
        max_file_size=studio.limits.max_bytes,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        run_history=False,
        theme=theme(),
        css=(files("perceptmetrics.reports.pages") / "templates" / "demo.css").read_text(encoding="utf-8"),
    )


def run_demo(
    studio: Studio,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    root_path: str = "",
    on_listening: Callable[[str], None] | None = None,
) -> None:
    """Serve the page until SIGTERM or SIGINT.

    Args:
        studio: Scores, explains and compares the uploads.
        host: Address to listen on. The default accepts connections from this machine only.
        port: Port to listen on; 0 for any free port.
        root_path: Path below which a proxy serves the page, or its whole address.
        on_listening: Called with the URL of the page once it is served.

    Raises:
        InvalidOptionError: The address is not available, or `root_path` is neither a path nor an address.
    """
    elsewhere = os.environ.get("GRADIO_TEMP_DIR") or None
    with tempfile.TemporaryDirectory(prefix="perceptmetrics-demo-", dir=elsewhere) as folder:
        uploads = Path(folder).resolve() / "uploads"
        uploads.mkdir()
        with uploads_in(uploads):
            app = create_demo(studio, Path(folder), uploads=uploads, root_path=root_path)
            run_server(app, host=host, port=port, stop_seconds=_STOP_SECONDS, on_listening=on_listening)


def write_examples(folder: Path) -> list[tuple[Path, str]]:
    """Write example images into a folder: sample photographs and degraded copies.

    Args:
        folder: An existing folder.

    Returns:
        The files with their captions; none if scikit-image is not installed.
    """
    try:
        photographs = sample_photographs()
    except MissingExtraError:
        return []
    cat, coffee = photographs["chelsea"], photographs["coffee"]
    images = {
        "cat": cat,
        "cat, blurred": blurred(cat),
        "coffee": coffee,
        "coffee, noisy": noisy(coffee),
        "coffee, compressed": compressed(coffee),
    }
    written = []
    for caption, image in images.items():
        image.thumbnail((_EXAMPLE_SIDE, _EXAMPLE_SIDE))
        path = folder / f"{caption.replace(', ', '-')}.png"
        image.save(path)
        written.append((path, caption))
    return written
