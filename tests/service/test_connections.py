"""Slow clients and many connections, with real sockets: they keep nobody out, and do not fill the log."""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx
import pytest

from perceptmetrics.apps import log_limit
from perceptmetrics.apps.connections import ConnectionLimits, Connections
from perceptmetrics.apps.log_limit import LogLimit, limited_logs
from perceptmetrics.apps.service import ServiceSettings, create_app
from tests.service.asking import Held, png
from tests.service.server import listening
from tests.support.mean_colour_metric import tiny_metric

LIMIT = 0.4  # seconds, for slow clients
BEGUN = b"GET /health HTTP/1.1\r\nHost: here\r\nX-Filler: "
WHOLE = b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n"
PART = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
FORM = b"Host: here\r\nContent-Type: multipart/form-data; boundary=x\r\n"
POST = b"POST /score HTTP/1.1\r\nContent-Length: 100000\r\n" + FORM + b"\r\n"


@pytest.fixture
def address() -> Iterator[str]:
    limits = ConnectionLimits(max_connections=20, slow_client_limit=LIMIT)
    settings = ServiceSettings(slow_client_limit=LIMIT, min_rate=1000, max_requests=5)
    with listening(create_app([tiny_metric()], settings), limits) as found:
        while httpx.get(f"{found}/ready").status_code != 200:
            time.sleep(0.01)
        yield found


def connected(address: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(address).port or 0), timeout=20)


def received(connection: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    parts: list[bytes] = []
    with contextlib.suppress(ConnectionResetError):
        parts.extend(iter(lambda: connection.recv(65536), b""))
    return b"".join(parts)


def drip(connection: socket.socket) -> float:
    """Send a byte from time to time; seconds until the server closes the connection."""
    began = time.monotonic()
    connection.settimeout(LIMIT / 8)
    while time.monotonic() - began < 20:
        try:
            connection.send(b"x")
            if not connection.recv(65536):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(BEGUN, id="headers that do not end"),
        pytest.param(WHOLE + BEGUN, id="a second request whose headers do not end"),
        pytest.param(b"GET /health HTTP/1.1\r\nContent-Length: 9999999\r\n" + FORM + b"\r\n", id="a body of a GET"),
        pytest.param(b"POST /nix HTTP/1.1\r\nContent-Length: 9999999\r\n" + FORM + b"\r\n", id="a body for nobody"),
    ],
)
def test_a_client_has_little_time_for_its_headers_and_gains_none_by_dripping(address: str, sent: bytes) -> None:
    with connected(address) as connection:
        connection.sendall(sent)
        assert drip(connection) < 3 * LIMIT + 6  # the service skips a body for at most 5 seconds


def test_a_client_that_asks_in_time_keeps_its_connection(address: str) -> None:
    with contextlib.closing(HTTPConnection("127.0.0.1", urlsplit(address).port, timeout=20)) as connection:
        for _ in range(4):
            connection.request("GET", "/health")
            assert connection.getresponse().read() == b'{"status":"ok"}'
            assert connection.sock is not None
            time.sleep(LIMIT / 2)


def test_a_client_that_does_not_read_its_answers_is_dropped(address: str) -> None:
    with connected(address) as connection:
        connection.settimeout(LIMIT)
        with contextlib.suppress(OSError):
            for _ in range(200):
                connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: here\r\n\r\n" * 100)
        time.sleep(2 * LIMIT)
        connection.settimeout(20)
        received(connection)  # ends, with what was in the buffers


def test_open_headers_keep_nobody_out(address: str, caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as stack, limited_logs(["perceptmetrics.apps.connections"]):
        held = [stack.enter_context(connected(address)) for _ in range(150)]
        for connection in held:
            with contextlib.suppress(OSError):
                connection.sendall(BEGUN)
        began = time.monotonic()
        assert httpx.get(f"{address}/health").status_code == 200
        assert time.monotonic() - began < LIMIT
        time.sleep(2 * LIMIT)
        assert [received(connection) for connection in held] == [b""] * len(held)
    assert 1 <= len(caplog.records) <= 10
    assert "the ones that have waited longest are closed" in caplog.text


def test_a_body_below_the_minimum_rate_is_cut_off(address: str) -> None:
    with connected(address) as connection:
        connection.sendall(POST + PART)
        connection.settimeout(LIMIT / 10)
        answer = b""
        while not answer:
            connection.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(65536)
        connection.settimeout(20)
        answer += received(connection)  # the body may come after the headers
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"1000 bytes per second" in answer


def test_slow_bodies_keep_nobody_out(address: str) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(connected(address)) for _ in range(30)]
        for connection in held:
            with contextlib.suppress(OSError):
                connection.sendall(POST + PART)
        assert httpx.get(f"{address}/health").status_code == 200


def test_a_body_may_take_longer_than_a_slow_client_if_its_rate_suffices(address: str) -> None:
    file = png(height=30, width=40)  # takes 2.5 s at the minimum rate
    body = PART + file + b"\r\n--x--\r\n"
    with connected(address) as connection:
        connection.sendall(b"POST /score HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n" % len(body) + FORM)
        connection.sendall(b"\r\n")
        for start in range(0, len(body), 500):
            connection.sendall(body[start : start + 500])
            time.sleep(LIMIT / 4)
        assert received(connection).startswith(b"HTTP/1.1 200")


def test_where_all_connections_have_requests_a_new_one_is_told_to_come_back() -> None:
    metric = Held()
    with listening(create_app([metric]), ConnectionLimits(max_connections=2)) as address, ExitStack() as stack:
        while httpx.get(f"{address}/ready").status_code != 200:
            time.sleep(0.01)
        metric.arm()
        threads = [
            threading.Thread(target=httpx.post, args=(f"{address}/score",), kwargs={"files": {"images": png()}})
            for _ in range(2)
        ]
        try:
            for thread in threads:
                thread.start()
            assert metric.reached.wait(10)
            time.sleep(0.3)
            refused = received(stack.enter_context(connected(address)))
        finally:
            metric.gate.set()
            for thread in threads:
                thread.join(30)
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: 1" in refused
        head, _, text = refused.partition(b"\r\n\r\n")
        assert b"Content-Length: %d\r\n" % len(text) in head + b"\r\n"
        assert httpx.get(f"{address}/health").status_code == 200


def test_connections_leave_half_of_the_open_files_to_uploads() -> None:
    resource = pytest.importorskip("resource")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert Connections(ConnectionLimits(max_connections=7)).limit == 7
    assert Connections(ConnectionLimits(max_connections=10 * files)).limit == files // 2


def test_a_log_says_how_much_was_left_out(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    now = itertools.chain([0.0] * 500, [61.0] * 2)
    monkeypatch.setattr(log_limit.time, "monotonic", lambda: next(now))
    logger = logging.getLogger("tests.log_limit")
    limit = LogLimit(records=10, period=60)
    logger.addFilter(limit)
    try:
        for number in range(502):
            logger.warning("It is full: %d", number)
        monkeypatch.undo()
        logger.warning("Something else")
    finally:
        logger.removeFilter(limit)
    texts = [record.getMessage() for record in caplog.records]
    assert texts[:10] == [f"It is full: {number}" for number in range(10)]
    assert texts[10:] == [
        "It is full: 500 (490 similar messages were left out)",
        "It is full: 501",
        "Something else",
    ]


def test_logs_are_as_before_when_the_server_ends() -> None:
    logger = logging.getLogger("asyncio")
    before = list(logger.filters)
    with limited_logs(["asyncio"]):
        assert len(logger.filters) == len(before) + 1
    assert logger.filters == before
