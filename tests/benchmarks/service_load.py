"""Latency and throughput of the HTTP service with concurrent clients; every answer is compared with `metric.score`.

    python -m tests.benchmarks.service_load [--requests 400] [--clients 8] [--metric lite_iqa]
        [--protocol flow-grpo] [--quick]

The service is a process of its own, on loopback. Clients are threads that send one image after another, of several
sizes; the same images are first scored one by one in this process, which gives the right answers and the rate without
any service. With batches of 1, an answer is wrong when a single bit differs; with larger ones, beyond 1e-6.
"""

from __future__ import annotations

import argparse
import itertools
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import httpx
import numpy as np

from perceptmetrics import create_metric
from tests.support.encoded_images import encode, noise

SIZES = ((240, 320), (320, 240), (384, 512))
ROUNDING = 1e-6


class Load(NamedTuple):
    """What came of one run."""

    seconds: float
    latencies: list[float]
    wrong: int


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--metric", default="lite_iqa")
    parser.add_argument("--protocol", choices=["json", "flow-grpo"], default="json")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    requests = 24 if arguments.quick else arguments.requests
    files, right, alone = references(arguments.metric, 6 if arguments.quick else 24)
    print(
        f"{arguments.metric}, {requests} requests with one image each by {arguments.clients} clients, "
        f"{arguments.protocol}"
    )
    print(f"without a service, one by one: {alone:.1f} images/s")
    print("batch    p50 ms   p99 ms   images/s   of without   wrong")
    for batch_size in (1, 8):
        with service(arguments.metric, batch_size, arguments.protocol) as address:
            tolerance = ROUNDING if batch_size > 1 else 0.0
            load = run(address, files, right, requests, arguments.clients, tolerance, arguments.protocol)
        p50, p99 = (1000 * np.percentile(load.latencies, share) for share in (50, 99))
        rate = requests / load.seconds
        print(f"{batch_size:5}  {p50:8.1f} {p99:8.1f}   {rate:8.1f}   {rate / alone:9.0%}    {load.wrong:4}")


def references(name: str, count: int) -> tuple[list[bytes], list[float], float]:
    """Files, their scores, and how many are scored in a second without a service."""
    files = [
        encode(noise(height // 16, width // 16, seed=seed).repeat(16, 0).repeat(16, 1), "JPEG")
        for seed, (height, width) in zip(range(count), itertools.cycle(SIZES), strict=False)
    ]
    metric = create_metric(name)
    metric.score(files[0])
    start = time.perf_counter()
    right = [float(metric.score(file)) for file in files]
    return files, right, count / (time.perf_counter() - start)


@contextmanager
def service(metric: str, batch_size: int, protocol: str = "json") -> Iterator[str]:
    """Address of a service in a process of its own, when it is ready."""
    command = ["-m", metric, "--port", "0", "--batch-size", str(batch_size), "--protocol", protocol]
    program = [sys.executable, "-c", "from perceptmetrics.apps.cli import main; main()", "serve", *command]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            address = next(word for word in process.stderr.readline().split() if word.startswith("http"))
            while not _is_ready(address):
                time.sleep(0.05)
            yield address
        finally:
            process.terminate()
            process.wait(30)


def run(
    address: str,
    files: list[bytes],
    right: list[float],
    requests: int,
    clients: int,
    tolerance: float = 0.0,
    protocol: str = "json",
) -> Load:
    """Send requests by several clients at a time."""
    turns = iter(range(requests))
    lock = threading.Lock()
    latencies: list[float] = []
    wrong: list[int] = []

    def send() -> None:
        with httpx.Client(base_url=address, timeout=120) as client:
            while True:
                with lock:
                    turn = next(turns, None)
                if turn is None:
                    return
                place = turn % len(files)
                start = time.perf_counter()
                if protocol == "json":
                    answer = client.post("/score", files={"images": (f"{place}.jpg", files[place])})
                else:
                    answer = client.post("/", content=pickle.dumps({"images": [files[place]], "prompts": [""]}))
                latencies.append(time.perf_counter() - start)
                if answer.status_code != 200 or not _agrees(answer, place, right[place], tolerance):
                    wrong.append(turn)

    threads = [threading.Thread(target=send) for _ in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Load(time.perf_counter() - start, latencies, len(wrong))


def _agrees(answer: httpx.Response, place: int, right: float, tolerance: float) -> bool:
    if answer.headers["content-type"] == "application/octet-stream":
        (score,) = pickle.loads(answer.content)["scores"]
        return bool(abs(score - right) <= tolerance)
    (image,) = answer.json()["images"]
    (score,) = image["scores"].values()
    return image["name"] == f"{place}.jpg" and abs(score - right) <= tolerance


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/ready").status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    main()
