"""Asking a service: in this process, without a network, or metrics that wait or fail to order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import httpx
from fastapi import FastAPI
from torch import Tensor

from perceptmetrics.apps.service import ServiceSettings, create_app
from perceptmetrics.models.metric import Metric
from tests.support.encoded_images import encode, noise
from tests.support.mean_colour_metric import tiny_metric

T = TypeVar("T")

Ask = Callable[[httpx.AsyncClient], Coroutine[Any, Any, T]]


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application whose queue runs."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as one,
    ):
        yield one


def asked(ask: Ask[T], *metrics: Metric, **limits: Any) -> T:
    """What a service with these metrics and limits answers; it is warm when it is asked."""
    app = create_app(metrics or [tiny_metric()], ServiceSettings(**limits))

    async def go() -> T:
        async with running(app) as client:
            while (await client.get("/ready")).status_code != 200:
                await asyncio.sleep(0.005)
            return await ask(client)

    return asyncio.run(asyncio.wait_for(go(), 60))


def posted(*contents: bytes, name: str = "image.png", metrics: tuple[str, ...] = (), **limits: Any) -> httpx.Response:
    """The answer to one request with files of these contents."""

    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await post(client, *contents, name=name, metrics=metrics)

    return asked(ask, **limits)


async def post(
    client: httpx.AsyncClient, *contents: bytes, name: str = "image.png", metrics: tuple[str, ...] = ()
) -> httpx.Response:
    """Send files."""
    files = [("images", (name, content)) for content in contents]
    return await client.post("/score", files=files, data={"metrics": list(metrics)})


def png(seed: int = 0, height: int = 12, width: int = 17) -> bytes:
    """A small picture."""
    return encode(noise(height, width, seed=seed), "PNG")


def named(name: str, metric: Metric | None = None) -> Metric:
    """A tiny metric under another name."""
    metric = metric or tiny_metric()
    metric.spec = replace(metric.spec, name=name)
    return metric


class Held(Metric):
    """A tiny metric that, once armed, scores when it is let go."""

    def __init__(self) -> None:
        tiny = tiny_metric()
        super().__init__(tiny.spec, tiny.views, tiny.encoder, tiny.head)
        self.gate = threading.Event()
        self.gate.set()
        self.reached = threading.Event()

    def encode(self, groups: Any) -> list[Tensor]:
        self.reached.set()
        assert self.gate.wait(30)
        return super().encode(groups)

    def arm(self) -> None:
        self.gate.clear()
        self.reached.clear()


class Counting(Held):
    """Remembers the sizes of its batches."""

    sizes: tuple[int, ...] = ()

    def encode(self, groups: list[Tensor]) -> list[Tensor]:
        self.sizes += (len(groups[0]),)
        return super().encode(groups)


class Failing(Held):
    """Raises what it is told to."""

    error: Exception | None = None

    def encode(self, groups: Any) -> list[Tensor]:
        if self.error is not None:
            raise self.error
        return super().encode(groups)
