"""A service that listens on loopback, in a thread of this process, as `serve` runs it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from perceptmetrics.apps.connections import ConnectionLimits
from perceptmetrics.apps.server import configured


@contextmanager
def listening(app: FastAPI, limits: ConnectionLimits | None = None) -> Iterator[str]:
    """Address of an application that listens until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as here:
        server = uvicorn.Server(configured(app, stop_seconds=5, limits=limits))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [here]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{here.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
