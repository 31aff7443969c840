"""Requests must carry the token of the service, if it has one."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from perceptmetrics.apps.service.problems import Refused, problem_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["TokenCheck"]

_OPEN = ("/health", "/ready")


class TokenCheck:
    """ASGI middleware that refuses requests without the token; `/health` and `/ready` need none.

    Args:
        app: The application.
        token: What `Authorization: Bearer TOKEN` must state.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "http" and scope["path"] not in _OPEN:
            stated = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(stated, self._expected):
                refused = Refused(
                    401,
                    expected="the header 'Authorization: Bearer TOKEN' with the token of this service",
                    got="another one" if stated else "none",
                    fix="Ask its operator for the token.",
                )
                refused.headers = {"WWW-Authenticate": "Bearer"}
                await problem_response(refused)(scope, receive, send)
                return
        await self._app(scope, receive, send)
