"""Run an ASGI application on an address until SIGTERM or SIGINT; `serve` and `demo` share it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from perceptmetrics.apps.connections import ConnectionLimits, Connections
from perceptmetrics.apps.log_limit import limited_logs
from perceptmetrics.errors import InvalidOptionError, MissingExtraError

try:
    import uvicorn
except ImportError as error:
    raise MissingExtraError("Serving over HTTP", "serve") from error

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

__all__ = ["configured", "run_server"]

_BACKLOG = 64  # also the number of connections that are accepted at once: these count against `ulimit -n` for a moment
_LOGGERS = (
    "asyncio",
    "multipart.multipart",
    "python_multipart.multipart",
    "uvicorn.error",
    "perceptmetrics.apps.connections",
    "perceptmetrics.apps.demo.studio",
    "perceptmetrics.apps.service.problems",
)


def run_server(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    stop_seconds: int,
    limits: ConnectionLimits | None = None,
    on_listening: Callable[[str], None] | None,
) -> None:
    """Serve an application; at the end, requests in progress are answered first.

    Args:
        app: The application.
        host: Address to listen on.
        port: Port to listen on; 0 for any free port.
        stop_seconds: How long requests in progress may take once the server is told to stop.
        limits: Limits of connections; None for the defaults.
        on_listening: Called with the URL of the server once it listens.

    Raises:
        InvalidOptionError: The address is not available.
    """
    config = configured(app, stop_seconds=stop_seconds, limits=limits)
    with _bind(host, port) as listening, limited_logs(_LOGGERS):
        if on_listening is not None:
            shown = f"[{host}]" if ":" in host else host
            on_listening(f"http://{shown}:{listening.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[listening])


def configured(app: ASGIApp, *, stop_seconds: int, limits: ConnectionLimits | None = None) -> uvicorn.Config:
    """The configuration of uvicorn for an application; see `run_server`."""
    return uvicorn.Config(
        app,
        http=Connections(limits or ConnectionLimits()),  # type: ignore[arg-type] # uvicorn only calls it
        ws="none",
        backlog=_BACKLOG,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=stop_seconds,
    )


def _bind(host: str, port: int) -> socket.socket:
    """Bind before uvicorn does, so that an address in use is an error of ours."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise InvalidOptionError(
            f"Cannot listen on {host}:{port}: {error.strerror}. Choose a free port, or 0 for any free port."
        ) from error
