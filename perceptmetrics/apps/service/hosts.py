"""From where a request may come: the host names that the service answers to, and pages of other sites.

A page of another site can make a browser send requests to this machine. It can read an answer only if the service seems
to be its own site, because the page's name was made to point here (DNS rebinding): so names are checked. Otherwise it
can only cause work: so a request that a browser marks as sent by another site is refused.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from perceptmetrics._util.text import printable
from perceptmetrics.apps.service.problems import Refused, problem_response
from perceptmetrics.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["HostCheck", "check_host_pattern", "is_loopback"]

_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:@/?#\s]+)(?::[0-9]*)?")
_PATTERN = re.compile(r"\*|(?:\*\.)?[^\s:/*@\[\]]+")
_LENGTH = 200


class HostCheck:
    """ASGI middleware that refuses requests addressed to other hosts, and work for pages of other sites.

    Args:
        app: The application.
        allowed: Names, besides localhost and numerical addresses, which no rebinding can produce; None for any.
    """

    def __init__(self, app: ASGIApp, allowed: Sequence[str] | None) -> None:
        self._app = app
        self._allowed = None if allowed is None else [name.lower().rstrip(".") for name in allowed]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "http":
            headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
            refused = self._refused(headers.get(b"host", "")) or _from_another_site(scope["method"], headers)
            if refused is not None:
                await problem_response(refused)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refused(self, host: str) -> Refused | None:
        if self._allowed is None or not host:  # HTTP/1.0 has no hosts; browsers always send one
            return None
        found = _AUTHORITY.fullmatch(host.lower())
        name = found[1].rstrip(".") if found else ""
        if name and (_is_local(name) or any(_matches(name, pattern) for pattern in self._allowed)):
            return None
        shown = printable(host)[:_LENGTH]
        return Refused(
            400,
            expected=f"a request to {', '.join(['localhost', 'a numerical address', *self._allowed])}",
            got=f"the Host {shown}",
            fix="If it is a name of this service, start it with --allowed-host NAME.",
        )


def check_host_pattern(name: str) -> None:
    """Check the name of an allowed host.

    Raises:
        InvalidOptionError: It is not a name, `*.NAME` or `*`.
    """
    if not _PATTERN.fullmatch(name):
        raise InvalidOptionError(
            f"Expected a host name without a port, such as iqa.example.org, *.example.org or *, got {name!r}."
        )


def is_loopback(host: str) -> bool:
    """Whether a server that listens on this address is reachable from its machine only."""
    if _is_localhost(host.lower()):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _is_localhost(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost")


def _is_local(name: str) -> bool:
    """Whether no name server was asked for this name: localhost, or an address."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return _is_localhost(name)
    return True


def _matches(name: str, pattern: str) -> bool:
    return pattern == "*" or name == pattern or (pattern.startswith("*.") and name.endswith(pattern[1:]))


def _from_another_site(method: str, headers: dict[bytes, str]) -> Refused | None:
    if method in ("GET", "HEAD") or headers.get(b"sec-fetch-site") != "cross-site":
        return None
    return Refused(
        403,
        expected="a request by a program, or by a page of this site",
        got=f"one by a page of {printable(headers.get(b'origin', 'another site'))[:_LENGTH]}",
        fix="Let the server of that page send the request.",
    )
