"""Connections of the server: how many there may be, and how long a slow client may hold one.

Knows nothing of what is asked. uvicorn limits requests, but not connections whose request has not arrived, nor the time
that a client takes to send its headers or to read its answer.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from perceptmetrics.errors import MissingExtraError

try:
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ImportError as error:
    raise MissingExtraError("Serving over HTTP", "serve") from error

if sys.platform != "win32":
    import resource

if TYPE_CHECKING:
    from uvicorn import Config
    from uvicorn.server import ServerState

__all__ = ["ConnectionLimits", "Connections"]

_log = logging.getLogger(__name__)
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 40\r\n"
    b"Retry-After: 1\r\nConnection: close\r\n\r\nToo many connections. Try again shortly."
)


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """Limits of connections.

    Attributes:
        max_connections: Maximum number of open connections. Where half of the files that the process may open
            (`ulimit -n`) is less, that is the maximum: uploads need files, too.
        slow_client_limit: How long a client may take to send the headers of a request, counted from its connection or
            from the end of its last answer, and how long it may leave an answer unread, in seconds.
    """

    max_connections: int = 256
    slow_client_limit: float = 10.0


class Connections:
    """The open connections of a server. Pass it to uvicorn as `http`: it makes the protocol of each connection.

    A connection that waits for its client, to send headers or to read an answer, is closed after `slow_client_limit`.
    When there are `max_connections`, the one that has waited longest gives way to a new one, so that clients that hold
    connections open keep nobody out. Where every connection has a request in progress, a new one is answered with 503.

    Args:
        limits: The limits.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.slow_client_limit = limits.slow_client_limit
        self.limit = _possible(limits.max_connections)
        self._open: dict[_Connection, None] = {}  # in the order in which they began to wait

    def __call__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> asyncio.Protocol:
        """Make the protocol of a new connection."""
        return _Connection(self, config, server_state, app_state, _loop)

    def admit(self, connection: _Connection) -> bool:
        """Make room for a connection; whether there is any."""
        if len(self._open) >= self.limit:
            oldest = next((held for held in self._open if held.waits), None)
            if oldest is None:
                _log.warning("All %d connections have requests in progress; new ones are refused.", self.limit)
                return False
            _log.warning("All %d connections are in use; the ones that have waited longest are closed.", self.limit)
            del self._open[oldest]
            oldest.transport.abort()
        self._open[connection] = None
        return True

    def began_to_wait(self, connection: _Connection) -> None:
        """Put a connection at the end of those that give way."""
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None

    def remove(self, connection: _Connection) -> None:
        """Forget a connection that is closed."""
        self._open.pop(connection, None)


class _Connection(H11Protocol):
    """uvicorn's protocol of a connection, with a timer that runs while the connection waits for its client."""

    def __init__(
        self,
        connections: Connections,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._all = connections
        self._answer_unread = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waits(self) -> bool:
        """Whether it is the client's turn: there is no request in progress, or its answer is not being read."""
        return self._answer_unread or self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, if there is room."""
        transport = cast("asyncio.Transport", transport)
        if not self._all.admit(self):
            transport.set_protocol(asyncio.Protocol())
            transport.write(_FULL)
            transport.close()
            return
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up."""
        self._stop_waiting()
        self._all.remove(self)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._wait()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait until the client reads what was sent."""
        self._answer_unread = True
        self._wait()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Go on sending."""
        self._answer_unread = False
        super().resume_writing()

    def _wait(self) -> None:
        self._stop_waiting()
        self._all.began_to_wait(self)
        self._timer = self.loop.call_later(self._all.slow_client_limit, self._close_if_waiting)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _close_if_waiting(self) -> None:
        if self.waits:
            self.transport.abort()


def _possible(connections: int) -> int:
    """The number of connections, or half of the files that the process may open if that is less."""
    if sys.platform == "win32":  # where sockets do not count as open files
        return connections
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return connections if files == resource.RLIM_INFINITY else min(connections, max(1, files // 2))
