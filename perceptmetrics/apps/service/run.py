"""Running the service until it is told to stop."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from perceptmetrics.apps.service.app import create_app
from perceptmetrics.errors import InvalidOptionError, MissingExtraError

try:
    import uvicorn
except ImportError as error:
    raise MissingExtraError("The HTTP service", "serve") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perceptmetrics.apps.service.settings import ServiceSettings
    from perceptmetrics.models.metric import Metric

__all__ = ["serve"]

_STOP_SECONDS = 5


def serve(
    metrics: Sequence[Metric],
    settings: ServiceSettings,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    on_listening: Callable[[str], None] | None = None,
) -> None:
    """Serve metrics over HTTP until SIGTERM or SIGINT; requests that are being answered are then finished.

    Args:
        metrics: The metrics; the first is the default.
        settings: Limits.
        host: Address to listen on. The default is reachable from this machine only: there is no encryption and no
            password, so put a proxy that has them before anything else.
        port: Port to listen on; 0 for any that is free.
        on_listening: Called with the service's address when it listens.

    Raises:
        InvalidOptionError: The address cannot be listened on, or see `create_app`.
    """
    config = uvicorn.Config(
        create_app(metrics, settings),
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=int(settings.time_limit) + _STOP_SECONDS,
    )
    with _bind(host, port) as listening:
        if on_listening is not None:
            shown = f"[{host}]" if ":" in host else host
            on_listening(f"http://{shown}:{listening.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[listening])


def _bind(host: str, port: int) -> socket.socket:
    """Take the address before anything else, so that a taken one is an error of ours."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise InvalidOptionError(
            f"{host}:{port} cannot be listened on: {error.strerror}. Choose a port that is free, or 0 for any."
        ) from error
