"""Running the page until it is told to stop."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perceptmetrics.apps.demo.examples import write_examples
from perceptmetrics.apps.demo.page import build_page, theme
from perceptmetrics.errors import InvalidOptionError, MissingExtraError

try:
    import gradio
    import uvicorn
    from fastapi import FastAPI
except ImportError as error:
    raise MissingExtraError("The web demo", "demo") from error

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from perceptmetrics.apps.demo.studio import Studio

__all__ = ["create_demo", "run_demo"]

_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; connect-src 'self'; worker-src 'self' blob:; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
_WAITING = 32
_STOP_SECONDS = 5


class _OwnSourcesOnly:
    """Tells browsers to fetch nothing from elsewhere."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(b"content-security-policy", _POLICY.encode()), (b"referrer-policy", b"no-referrer")]
                message["headers"] = [*message["headers"], *own]
            await send(message)

        await self._app(scope, receive, with_policy if scope["type"] == "http" else send)


def create_demo(studio: Studio, folder: Path) -> Any:
    """Make the application.

    Args:
        studio: What answers.
        folder: An existing folder for the examples.

    Returns:
        An ASGI application (FastAPI) with the page at `/`.
    """

    async def inside_a_loop() -> Any:
        return _assemble(studio, folder)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        # Where no event loop runs, Gradio opens one for each of its locks and closes none of them.
        return asyncio.run(inside_a_loop())
    return _assemble(studio, folder)


def _assemble(studio: Studio, folder: Path) -> Any:
    page = build_page(studio, write_examples(folder))
    page.queue(max_size=_WAITING, default_concurrency_limit=1, api_open=False)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(_OwnSourcesOnly)
    return gradio.mount_gradio_app(
        app,
        page,
        path="/",
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
    on_listening: Callable[[str], None] | None = None,
) -> None:
    """Show the page until SIGTERM or SIGINT.

    Args:
        studio: What answers.
        host: Address to listen on. The default is reachable from this machine only.
        port: Port to listen on; 0 for any that is free.
        on_listening: Called with the page's address when it listens.

    Raises:
        InvalidOptionError: The address cannot be listened on.
    """
    with tempfile.TemporaryDirectory(prefix="perceptmetrics-demo-") as folder:
        app = create_demo(studio, Path(folder))
        try:
            listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        except OSError as error:
            raise InvalidOptionError(
                f"{host}:{port} cannot be listened on: {error.strerror}. Choose a port that is free, or 0 for any."
            ) from error
        with listening:
            if on_listening is not None:
                shown = f"[{host}]" if ":" in host else host
                on_listening(f"http://{shown}:{listening.getsockname()[1]}")
            config = uvicorn.Config(
                app, log_level="warning", server_header=False, timeout_graceful_shutdown=_STOP_SECONDS
            )
            uvicorn.Server(config).run(sockets=[listening])
