"""The command `serve` as a process: it starts, answers under load, and stops gracefully."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from huggingface_hub import constants

from perceptmetrics import create_metric
from perceptmetrics.apps.service import ServiceSettings, create_app, serve
from perceptmetrics.errors import InvalidOptionError
from tests.benchmarks.service_load import references, run
from tests.cli.in_process import Command
from tests.service.asking import named, png
from tests.service.server import listening
from tests.support.mean_colour_metric import tiny_metric

PROGRAM = [sys.executable, "-W", "error", "-m", "perceptmetrics", "serve", "--port", "0"]
BOUNDARY = b"--x\r\n"


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(PROGRAM, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        try:
            yield started
        finally:
            started.kill()


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    found = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
    assert found is not None
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{found[0]}/ready").status_code == 200:
                return found[0]
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("it is not ready after a minute")


def test_it_answers_what_it_has_begun_when_it_is_told_to_stop(process: subprocess.Popen[str]) -> None:
    address = address_of(process)
    score = create_metric("lite_iqa").score(png(height=64, width=64)).item()
    answer = httpx.post(f"{address}/score", files={"images": png(height=64, width=64)})
    assert answer.json()["images"][0]["scores"] == {"lite_iqa": score}

    part = BOUNDARY + b'Content-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
    body = part + png(height=64, width=64) + b"\r\n--x--\r\n"
    head = f"POST /score HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    head += "Content-Type: multipart/form-data; boundary=x\r\nConnection: close\r\n\r\n"
    port = urlsplit(address).port
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(head.encode() + body[:200])
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert process.poll() is None
        connection.sendall(body[200:])
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 200")
    assert repr(score).encode() in received
    _, errors = process.communicate(timeout=30)
    assert process.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in errors
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/health")


def test_no_answer_is_wrong_under_load() -> None:
    files, right, _ = references("lite_iqa", 6)
    with listening(create_app([create_metric("lite_iqa")])) as address:
        load = run(address, files, right, requests=24, clients=8)
    assert load.wrong == 0
    assert len(load.latencies) == 24


def test_the_load_test_sees_wrong_answers() -> None:
    files, right, _ = references("lite_iqa", 2)
    with listening(create_app([named("lite_iqa", tiny_metric())])) as address:
        assert run(address, files, right, requests=4, clients=2).wrong == 4


def test_missing_weights_are_an_error_before_it_listens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    result = Command(monkeypatch, capsys)("serve", "-m", "clipiqa", "--cache-dir", "/nowhere")
    assert result.returncode == 2
    assert "perceptmetrics fetch clipiqa" in result.stderr
    assert "Serving" not in result.stderr


def test_an_address_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidOptionError, match=f"Cannot listen on 127.0.0.1:{port}"):
            serve([tiny_metric()], ServiceSettings(), port=port)
