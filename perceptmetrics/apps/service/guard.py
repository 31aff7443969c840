"""Limits that apply while a request is still being read: size, rate, time, and number of requests."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from perceptmetrics.apps.service.problems import Refused, problem_response
from perceptmetrics.apps.slow_bodies import SlowBodyError, TimedBody

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from perceptmetrics.apps.service.settings import ServiceSettings

__all__ = ["Guard"]

_SKIP_SECONDS = 5.0


class Guard:
    """ASGI middleware that limits requests with a body; others pass.

    Args:
        app: The application.
        settings: The limits.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self._app = app
        self._settings = settings
        self._requests = 0
        self._skipping = asyncio.Semaphore(settings.max_requests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        request = _Watched(receive, send, self._settings, self._skipping)
        self._requests += 1
        try:
            self._check_number()
            request.check_announced(scope)
            await asyncio.wait_for(self._app(scope, request.receive, request.send), self._settings.time_limit)
        except asyncio.TimeoutError:
            await self._refuse(self._too_slow(request), request, scope)
        except ClientDisconnect:  # nobody may be there to read the answer, and it is no fault of the service
            await self._refuse(self._cut_short(request), request, scope)
        except Refused as refused:
            await self._refuse(refused, request, scope)
        finally:
            self._requests -= 1

    async def _refuse(self, refused: Refused, request: _Watched, scope: Scope) -> None:
        if not request.answered:
            await problem_response(refused)(scope, request.receive, request.send)

    def _check_number(self) -> None:
        limit = self._settings.max_requests
        if self._requests > limit:
            raise Refused(
                503,
                expected=f"at most {limit} requests at a time",
                got="one more",
                fix="Send the request again shortly.",
                retry_after=1,
            )

    def _cut_short(self, request: _Watched) -> Refused:
        return Refused(
            400,
            expected="a whole request",
            got=f"{request.body.size} bytes of it, then the end of the connection",
            fix="Send it again.",
        )

    def _too_slow(self, request: _Watched) -> Refused:
        seconds = f"{self._settings.time_limit:g} s"
        if not request.body.complete:
            return Refused(
                408,
                expected=f"the whole request within {seconds}",
                got=f"{request.body.size} bytes of it",
                fix="Send fewer or smaller images.",
            )
        return Refused(
            503,
            expected=f"scores within {seconds}",
            got="no scores yet",
            fix="Send fewer or smaller images, or try again later.",
            retry_after=1,
        )


class _Watched:
    """A request whose bytes are counted as they arrive, and answered once its rest has been skipped.

    Args:
        receive: Receives its parts.
        send: Sends the answer.
        settings: The limits.
        skipping: Counts the requests of which the rest is skipped.
    """

    def __init__(self, receive: Receive, send: Send, settings: ServiceSettings, skipping: asyncio.Semaphore) -> None:
        self.body = TimedBody(receive, min_rate=settings.min_rate, allowed_lag=settings.slow_client_limit)
        self._send = send
        self._limit = settings.max_request_bytes
        self._min_rate = settings.min_rate
        self._skipping = skipping
        self.answered = False

    def check_announced(self, scope: Scope) -> None:
        """Refuse a body whose announced length is too large."""
        announced = dict(scope["headers"]).get(b"content-length", b"")
        if announced.isdigit() and int(announced) > self._limit:
            raise self._too_large(f"{int(announced)} bytes")

    async def receive(self) -> Message:
        """The next part of the request, unless it has become too large or comes too slowly."""
        try:
            message = await self.body.receive()
        except SlowBodyError as error:
            raise Refused(
                408,
                expected=f"a body that arrives at {self._min_rate} bytes per second or more",
                got=str(error),
                fix="Send fewer or smaller images, or use a faster connection.",
            ) from error
        if self.body.size > self._limit:
            raise self._too_large(f"more than {self._limit} bytes")
        return message

    async def send(self, message: Message) -> None:
        """Send an answer, after reading the rest: a client that sends first must get the answer, not a reset."""
        if not self.answered and not self.body.complete and not self._skipping.locked():
            async with self._skipping:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._skip_rest(), _SKIP_SECONDS)
        self.answered = True
        await self._send(message)

    async def _skip_rest(self) -> None:
        at_most = self.body.size + self._limit
        while not self.body.complete and self.body.size <= at_most:
            await self.body.receive_untimed()

    def _too_large(self, got: str) -> Refused:
        return Refused(
            413, expected=f"a request of at most {self._limit} bytes", got=got, fix="Send fewer or smaller images."
        )
