"""Everything that is refused says what was expected, what came, and what to do; nothing else is told."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator

import httpx
import pytest

from perceptmetrics.apps.service import ServiceSettings
from perceptmetrics.apps.service.queue import ScoringQueue
from perceptmetrics.errors import InvalidOptionError
from tests.service.asking import Counting, Failing, Held, asked, png, post, posted
from tests.support.encoded_images import png_file
from tests.support.html_pages import HOSTILE
from tests.support.mean_colour_metric import tiny_metric

LARGE, HUGE = (png_file(side, side, 8, 2, []) for side in (8_000, 60_000))  # headers that nothing follows
PLACES = ("multipart/form-data", "/score", "/metrics", "GET / ")


def problem(answer: httpx.Response, status: int) -> dict[str, str]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert "Traceback" not in answer.text
    assert "/" not in functools.reduce(lambda text, place: text.replace(place, ""), PLACES, answer.text)
    body: dict[str, dict[str, str]] = answer.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"expected", "got", "fix"}
    assert all(body["error"].values())
    return body["error"]


@pytest.mark.parametrize(
    ("content", "status", "got"),
    [
        pytest.param(b"no image", 422, "which is none", id="text"),
        pytest.param(b"", 422, "which is none", id="empty"),
        pytest.param(png(height=200, width=200)[:60_000], 422, "truncated or corrupt", id="truncated"),
        pytest.param(LARGE, 413, "8000 x 8000", id="too many pixels"),
        pytest.param(HUGE, 413, "has more than the 25000000 pixels", id="a decompression bomb"),
        pytest.param(png(height=1, width=1), 422, "1 x 1", id="too small for the encoder"),
    ],
)
@pytest.mark.parametrize("good", [0, 1])
def test_an_image_that_cannot_be_scored(content: bytes, status: int, got: str, good: int) -> None:
    answer = posted(*[png()] * good, content, name="it.png")
    assert got in problem(answer, status)["got"]
    assert "it.png" in problem(answer, status)["got"]


def test_an_unknown_metric() -> None:
    assert problem(posted(png(), metrics=("tiny", "clipiqua")), 422)["got"] == "clipiqua"


def test_too_many_images() -> None:
    assert problem(posted(*[png()] * 4, max_images=3), 413)["got"] == "4"
    assert posted(*[png()] * 3, max_images=3).status_code == 200


@pytest.mark.parametrize("name", HOSTILE[:4])
def test_names_of_files_cannot_break_anything(name: str) -> None:
    answer = posted(png(), name=name)
    assert answer.status_code == 200
    assert answer.json()["images"][0]["name"].isprintable()


async def chunks(sent: list[int], count: int) -> AsyncIterator[bytes]:
    yield b'--x\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
    for _ in range(count):
        sent.append(1000)
        yield bytes(1000)


FORM = {"content-type": "multipart/form-data; boundary=x"}


def test_a_body_that_is_too_large_is_refused_while_it_is_read() -> None:
    sent: list[int] = []

    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/score", content=chunks(sent, 1_000_000), headers=FORM)

    answer = asked(ask, max_request_bytes=50_000)
    assert "more than 50000 bytes" in problem(answer, 413)["got"]
    assert sum(sent) < 200_000


def test_a_body_that_announces_itself_as_too_large_is_not_parsed() -> None:
    got = problem(posted(bytes(60_000), max_request_bytes=50_000), 413)["got"]
    assert int(got.removesuffix(" bytes")) > 60_000
    assert posted(png(), max_request_bytes=50_000).status_code == 200


def test_a_body_that_comes_too_slowly() -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"--x\r\n"
        await asyncio.sleep(0.5)
        yield b"--x--"

    async def ask(client: httpx.AsyncClient) -> tuple[httpx.Response, httpx.Response]:
        return await client.post("/score", content=slow(), headers=FORM), await post(client, png())

    late, next_one = asked(ask, time_limit=0.2)
    assert problem(late, 408)["got"] == "5 bytes of it"
    assert next_one.status_code == 200


def test_scores_that_take_too_long() -> None:
    metric = Held()

    async def ask(client: httpx.AsyncClient) -> tuple[httpx.Response, httpx.Response]:
        metric.arm()
        late = await post(client, png())
        metric.gate.set()
        return late, await post(client, png())

    late, next_one = asked(ask, metric, time_limit=0.3)
    assert problem(late, 503)["got"] == "no scores yet"
    assert late.headers["retry-after"] == "1"
    assert next_one.status_code == 200


def test_images_of_a_request_that_was_given_up_are_not_scored() -> None:
    metric = Counting()

    async def ask(client: httpx.AsyncClient) -> tuple[httpx.Response, httpx.Response]:
        metric.arm()
        metric.sizes = ()
        late = await post(client, *(png(seed) for seed in range(4)))
        metric.gate.set()
        return late, await post(client, png())

    late, next_one = asked(ask, metric, time_limit=0.5)
    assert (late.status_code, next_one.status_code) == (503, 200)
    assert metric.sizes == (1, 1)


@pytest.mark.parametrize(
    "limits", [{"max_waiting_images": 2, "max_images": 2}, {"max_waiting_pixels": 500}, {"max_requests": 2}]
)
def test_a_full_service_says_when_to_come_back(limits: dict[str, int]) -> None:
    metric = Held()

    async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
        metric.arm()
        waiting = [asyncio.create_task(post(client, png(height=10, width=20))) for _ in range(2)]
        await asyncio.to_thread(metric.reached.wait, 10)
        await asyncio.sleep(0.2)
        refused = await post(client, png(height=10, width=20))
        healthy = await client.get("/health")
        metric.gate.set()
        return [refused, healthy, *await asyncio.gather(*waiting), await post(client, png())]

    refused, *others = asked(ask, metric, **limits)
    problem(refused, 503)
    assert refused.headers["retry-after"] == "1"
    assert [answer.status_code for answer in others] == [200] * 4


def test_a_large_request_is_taken_when_there_is_no_other() -> None:
    assert posted(png(height=40, width=40), max_waiting_pixels=100).status_code == 200


def test_a_fault_of_the_service_tells_nothing_and_ends_nothing() -> None:
    metric = Failing()

    async def ask(client: httpx.AsyncClient) -> tuple[httpx.Response, httpx.Response]:
        metric.error = RuntimeError("/home/secret is broken")
        failed = await post(client, png())
        metric.error = None
        return failed, await post(client, png())

    failed, next_one = asked(ask, metric)
    assert "secret" not in str(problem(failed, 500))
    assert next_one.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "nix", 404), ("GET", "score", 405), ("POST", "health", 405), ("GET", "docs", 404)],
)
def test_other_addresses(method: str, path: str, status: int) -> None:
    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.request(method, path)

    answer = asked(ask)
    assert answer.status_code == status
    assert answer.json()["error"]["got"] == f"{method} /{path}"


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 422),
        (b"{}", {"content-type": "application/json"}, 422),
        (b"images=photo.jpg", {"content-type": "application/x-www-form-urlencoded"}, 422),
        (b"broken", FORM, 400),
        (b"broken", {"content-type": "multipart/form-data"}, 400),
        (b'--x\r\nContent-Disposition: form-data; name="images"\r\n\r\nno file\r\n--x--\r\n', FORM, 422),
    ],
)
def test_bodies_that_are_no_form_with_images(body: bytes, headers: dict[str, str], status: int) -> None:
    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/score", content=body, headers=headers)

    problem(asked(ask), status)


@pytest.mark.parametrize(
    "limits",
    [{"max_images": 0}, {"batch_size": 0}, {"max_wait": -1}, {"max_pixels": 10**12}, {"max_images": 65}],
)
def test_limits_that_make_no_sense(limits: dict[str, int]) -> None:
    with pytest.raises(InvalidOptionError, match="must be"):
        ServiceSettings(**limits)


def test_a_queue_takes_only_its_metrics_and_nothing_after_its_end() -> None:
    scoring = ScoringQueue([tiny_metric()])
    for names in ([], ["other"]):
        with pytest.raises(InvalidOptionError, match="Expected some of the metrics tiny"):
            scoring.submit(None, names)
    scoring.close()
    with pytest.raises(InvalidOptionError, match="closed"):
        scoring.submit(None, ["tiny"])
