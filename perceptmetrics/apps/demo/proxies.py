"""Where the demo's page is, seen from a browser: behind a proxy it may lie below a path."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perceptmetrics.errors import InvalidOptionError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["BehindProxy", "RelativeManifest", "check_root_path"]

_PATH = r"(?:/[A-Za-z0-9._~-]+)*"
_ROOT = re.compile(rf"(?:https?://[A-Za-z0-9.-]+(?::[0-9]+)?)?{_PATH}/?")
_PREFIX = re.compile(rf"{_PATH}/?")


def check_root_path(root_path: str) -> str:
    """Check a root path.

    Args:
        root_path: A path such as /iqa, or an address such as https://example.org/iqa.

    Returns:
        The same without a slash at its end.

    Raises:
        InvalidOptionError: It is neither.
    """
    if not _ROOT.fullmatch(root_path) or ".." in root_path.split("/"):
        raise InvalidOptionError(
            f"Expected a path such as /iqa, or an address such as https://example.org/iqa, got {root_path!r}."
        )
    return root_path.rstrip("/")


class BehindProxy:
    """ASGI middleware that obeys `X-Forwarded-Prefix`: the path below which a proxy serves the page.

    Gradio reads the other forwarding headers itself, but not this one. A path that is configured takes precedence.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            prefix = headers.get(b"x-forwarded-prefix", b"").decode("latin-1").split(",")[0].strip().rstrip("/")
            if prefix and _PREFIX.fullmatch(prefix) and ".." not in prefix.split("/"):
                host = headers.get(b"x-forwarded-host", headers.get(b"host", b"")).split(b",")[0].strip()
                # Gradio builds all addresses from this header, some without regard to the root path.
                headers[b"x-forwarded-host"] = host + prefix.encode()
                scope = {**scope, "root_path": prefix, "headers": list(headers.items())}
        await self._app(scope, receive, send)


class RelativeManifest:
    """ASGI middleware that makes the link to the manifest relative, like all others of Gradio's page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        start: Message | None = None
        page = b""

        async def relative(message: Message) -> None:
            nonlocal start, page
            if message["type"] == "http.response.start" and _is_page(message):
                start = message
                return
            if start is None:
                await send(message)
                return
            page += message.get("body", b"")
            if not message.get("more_body", False):
                page = page.replace(b'href="/manifest.json"', b'href="./manifest.json"')
                headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
                await send({**start, "headers": [*headers, (b"content-length", str(len(page)).encode())]})
                await send({"type": "http.response.body", "body": page})

        await self._app(scope, receive, relative if scope["type"] == "http" else send)


def _is_page(start: Message) -> bool:
    headers = dict(start["headers"])
    return headers.get(b"content-type", b"").startswith(b"text/html") and b"content-encoding" not in headers
