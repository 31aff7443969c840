"""Run an ASGI application on an address until SIGTERM or SIGINT; `serve` and `demo` share it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from perceptmetrics.errors import InvalidOptionError, MissingExtraError

try:
    import uvicorn
except ImportError as error:
    raise MissingExtraError("Serving over HTTP", "serve") from error

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

__all__ = ["run_server"]


def run_server(
    app: ASGIApp, *, host: str, port: int, stop_seconds: int, on_listening: Callable[[str], None] | None
) -> None:
    """Serve an application; at the end, requests in progress are answered first.

    Args:
        app: The application.
        host: Address to listen on.
        port: Port to listen on; 0 for any free port.
        stop_seconds: How long requests in progress may take once the server is told to stop.
        on_listening: Called with the URL of the server once it listens.

    Raises:
        InvalidOptionError: The address is not available.
    """
    config = uvicorn.Config(app, log_level="warning", server_header=False, timeout_graceful_shutdown=stop_seconds)
    with _bind(host, port) as listening:
        if on_listening is not None:
            shown = f"[{host}]" if ":" in host else host
            on_listening(f"http://{shown}:{listening.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[listening])


def _bind(host: str, port: int) -> socket.socket:
    """Bind before uvicorn does, so that an address in use is an error of ours."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise InvalidOptionError(
            f"Cannot listen on {host}:{port}: {error.strerror}. Choose a free port, or 0 for any free port."
        ) from error
