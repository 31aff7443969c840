"""Whatever becomes of a request, the room that its images took is given back: all of it, once."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest
import torch

from perceptmetrics.apps.service import ServiceSettings, create_app
from perceptmetrics.apps.service.problems import Refused
from perceptmetrics.apps.service.queue import ScoringQueue
from perceptmetrics.apps.service.uploads import Admission
from tests.service.asking import Failing, Held, asked, png, post, running

SIDE = 20  # pixels; an image takes 400
LIMITS = {"max_waiting_images": 3, "max_images": 3, "max_waiting_pixels": 2 * SIDE * SIDE, "time_limit": 30.0}

WayOut = Callable[[httpx.AsyncClient, Failing], Coroutine[Any, Any, int]]


def image(seed: int = 0) -> bytes:
    return png(seed, SIDE, SIDE)


async def success(client: httpx.AsyncClient, metric: Failing) -> int:
    return (await post(client, image())).status_code


async def corrupt(client: httpx.AsyncClient, metric: Failing) -> int:
    return (await post(client, png(height=200, width=200)[:60_000])).status_code


async def too_small(client: httpx.AsyncClient, metric: Failing) -> int:
    return (await post(client, image(), png(height=1, width=1))).status_code


async def fault(client: httpx.AsyncClient, metric: Failing) -> int:
    metric.error = RuntimeError("broken")
    try:
        return (await post(client, image())).status_code
    finally:
        metric.error = None


async def time_out(client: httpx.AsyncClient, metric: Failing) -> int:
    metric.arm()
    try:
        return (await post(client, image())).status_code
    finally:
        metric.gate.set()


async def disconnect(client: httpx.AsyncClient, metric: Failing) -> int:
    """The client goes away while its image is scored."""
    metric.arm()
    asking = asyncio.create_task(post(client, image()))
    await asyncio.to_thread(metric.reached.wait, 10)
    asking.cancel()
    metric.gate.set()
    await asyncio.gather(asking, return_exceptions=True)
    return 0


async def crowded_out(client: httpx.AsyncClient, metric: Failing) -> int:
    """Refused, because others are in progress."""
    metric.arm()
    others = [asyncio.create_task(post(client, image())) for _ in range(2)]
    await asyncio.to_thread(metric.reached.wait, 10)
    await asyncio.sleep(0.1)
    refused = await post(client, image())
    metric.gate.set()
    assert [answer.status_code for answer in await asyncio.gather(*others)] == [200, 200]
    return refused.status_code


async def room(client: httpx.AsyncClient, metric: Failing) -> list[int]:
    """The statuses of three requests that are in progress at the same time, in a service with room for two."""
    metric.arm()
    asking = []
    for _ in range(3):
        asking.append(asyncio.create_task(post(client, image())))
        await asyncio.sleep(0.1)
    metric.gate.set()
    return [answer.status_code for answer in await asyncio.gather(*asking)]


@pytest.mark.parametrize(
    ("way_out", "status"),
    [
        (success, 200),
        (corrupt, 422),
        (too_small, 422),
        (fault, 500),
        (time_out, 503),
        (disconnect, 0),
        (crowded_out, 503),
    ],
)
def test_there_is_as_much_room_after_a_request_as_before(way_out: WayOut, status: int) -> None:
    """It would admit others than two if it gave back nothing, only the images, only the pixels, or anything twice."""
    metric = Failing()

    async def ask(client: httpx.AsyncClient) -> list[int]:
        assert await room(client, metric) == [200, 200, 503]
        for _ in range(3):
            assert await way_out(client, metric) == status
        return await room(client, metric)

    limits = LIMITS | {"time_limit": 1.0} if way_out is time_out else LIMITS
    assert asked(ask, metric, **limits) == [200, 200, 503]


@pytest.mark.parametrize("error", [None, ValueError, asyncio.CancelledError, KeyboardInterrupt])
@pytest.mark.parametrize(
    ("limits", "areas"), [((5, 10**9), [1, 1, 1]), ((10**9, 5), [1, 2]), ((4, 4), [1, 1, 1, 1]), ((3, 3), [3])]
)
def test_room_is_given_back_however_a_block_ends(
    error: type[BaseException] | None, limits: tuple[int, int], areas: list[int]
) -> None:
    admission = Admission(*limits)
    for _ in range(5):
        with contextlib.suppress(error or ()), admission.admit(areas):
            with pytest.raises(Refused), admission.admit(areas):
                pass
            if error is not None:
                raise error
    with admission.admit([0]), pytest.raises(Refused), admission.admit(areas * 2):  # nor is less than nothing held
        pass


@pytest.mark.parametrize(("limits", "areas"), [((3, 10**9), ([1, 1], [1])), ((10**9, 5), ([3], [2]))])
def test_a_request_gives_back_its_own_room_only(limits: tuple[int, int], areas: tuple[list[int], list[int]]) -> None:
    admission = Admission(*limits)
    with admission.admit(areas[0]):
        for _ in range(3):
            with admission.admit(areas[1]), pytest.raises(Refused), admission.admit([1]):
                pass


def test_images_that_nobody_waits_for_hold_no_memory() -> None:
    metric = Held()
    scoring = ScoringQueue([metric])
    metric.arm()
    scoring.start()
    pixels = torch.zeros(3, SIDE, SIDE)
    held, answer = weakref.ref(pixels), scoring.submit(pixels, ["tiny"])
    del pixels
    gc.collect()
    assert held() is not None
    assert answer.cancel()
    gc.collect()
    assert held() is None
    metric.gate.set()
    scoring.close()


def test_requests_that_end_early_do_not_count_as_requests_in_progress() -> None:
    metric = Failing()

    async def ask() -> list[int]:
        async with running(
            create_app([metric], ServiceSettings(**LIMITS | {"max_requests": 2, "time_limit": 1.0}))
        ) as client:
            while (await client.get("/ready")).status_code != 200:
                await asyncio.sleep(0.005)
            for way_out in (corrupt, fault, time_out, disconnect):
                await way_out(client, metric)
            return await room(client, metric)

    assert asyncio.run(asyncio.wait_for(ask(), 60)) == [200, 200, 503]
