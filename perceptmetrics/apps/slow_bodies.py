"""A minimum rate for the bodies of requests: a client that sends a byte now and then must not hold a place."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Message, Receive

__all__ = ["SlowBodyError", "TimedBody"]


class SlowBodyError(Exception):
    """A body lags too far behind the minimum rate; the server answers with 408."""


class TimedBody:
    """Counts the bytes of a body and the time spent waiting for them.

    Args:
        receive: Receives its parts.
        min_rate: Minimum rate, in bytes per second.
        allowed_lag: How far the body may fall behind, in seconds.

    Attributes:
        size: Number of bytes that have arrived.
        complete: Whether that is all.
    """

    def __init__(self, receive: Receive, *, min_rate: float, allowed_lag: float) -> None:
        self._receive = receive
        self._min_rate = min_rate
        self._allowed_lag = allowed_lag
        self._waited = 0.0
        self.size = 0
        self.complete = False

    async def receive(self) -> Message:
        """The next part.

        Raises:
            SlowBodyError: It does not arrive in time.
        """
        if self.complete:
            return await self._receive()
        began = time.monotonic()
        left = self._allowed_lag + self.size / self._min_rate - self._waited
        try:
            message = await asyncio.wait_for(self.receive_untimed(), left)
        except asyncio.TimeoutError as error:
            raise SlowBodyError(f"{self.size} bytes that lag {self._allowed_lag:g} s behind") from error
        self._waited += time.monotonic() - began
        return message

    async def receive_untimed(self) -> Message:
        """The next part, however long it takes."""
        message = await self._receive()
        self.size += len(message.get("body", b""))
        self.complete = not message.get("more_body", False)
        return message
