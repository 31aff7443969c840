"""Metrics that compare images with prompts, over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from perceptmetrics.models.metric import Metric
from tests.service.asking import asked, png
from tests.support.registered_metrics import build

FILES = [png(seed, height=64, width=64) for seed in range(3)]


@pytest.fixture(scope="module")
def metric() -> Metric:
    return build("clip_score")


async def post(client: httpx.AsyncClient, files: list[bytes], prompts: list[str]) -> httpx.Response:
    form: Any = [("images", ("a.png", file, "image/png")) for file in files]
    return await client.post("/score", files=form, data={"prompts": prompts})


def scores(answer: httpx.Response) -> list[float]:
    return [image["scores"]["clip_score"] for image in answer.json()["images"]]


def test_each_image_is_compared_with_its_prompt(metric: Metric) -> None:
    prompts = ["a cat", "a dog", "noise"]
    answer = asked(lambda client: post(client, FILES, prompts), metric)
    assert scores(answer) == [metric.score(file, prompt).item() for file, prompt in zip(FILES, prompts, strict=True)]
    one = asked(lambda client: post(client, FILES, ["a cat"]), metric)
    assert scores(one) == [metric.score(file, "a cat").item() for file in FILES]


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([], "a prompt for each of 3 images, or one for all"),
        (["a", "b"], "a prompt for each of 3 images, or one for all"),
        (["word " * 100], "has 100 tokens; CLIP reads 75"),
        (["x" * 3000], "at most 2000 characters"),
    ],
)
def test_prompts_that_cannot_be_read_are_refused(metric: Metric, prompts: list[str], message: str) -> None:
    answer = asked(lambda client: post(client, FILES, prompts), metric)
    assert answer.status_code == 422
    assert message in str(answer.json()["error"])


def test_a_bad_prompt_does_not_fail_other_requests_of_its_batch(metric: Metric) -> None:
    async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
        return await asyncio.gather(*(post(client, [FILES[0]], [prompt]) for prompt in ("a", "word " * 100, "b")))

    good, bad, other = asked(ask, metric, batch_size=3, max_wait=1.0)
    assert bad.status_code == 422
    assert scores(good) + scores(other) == pytest.approx([metric.score(FILES[0], text).item() for text in ("a", "b")])
