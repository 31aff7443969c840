"""Scores over HTTP are those of `metric.score`, to the last bit, whatever else is asked at the time."""

from __future__ import annotations

import asyncio
import io
import time

import httpx
import pytest
import torch

from perceptmetrics import create_metric
from perceptmetrics.apps.service.queue import ScoringQueue
from perceptmetrics.images.examples import sample_photographs
from tests.service.asking import Counting, Held, asked, named, png, post, posted
from tests.support.encoded_images import encode, noise, orientation_exif, sixteen_bit_png
from tests.support.mean_colour_metric import tiny_metric

KINDS = {
    "png": png(),
    "jpeg": encode(noise(), "JPEG"),
    "turned": encode(noise(), "JPEG", exif=orientation_exif(6)),
    "transparent": encode(noise(channels=4), "PNG"),
    "16 bits": sixteen_bit_png(noise(dtype="uint16")),
    "webp": encode(noise(), "WEBP"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_score_is_that_of_the_metric(kind: str) -> None:
    answer = posted(KINDS[kind])
    assert answer.status_code == 200
    assert answer.json()["images"][0]["scores"] == {"tiny": tiny_metric().score(KINDS[kind]).item()}


def test_concurrent_scores_of_lite_iqa_are_the_same_to_the_last_bit() -> None:
    metric = create_metric("lite_iqa")
    files = []
    for photograph in sample_photographs().values():
        for size in ((96, 64), (64, 96)):
            stream = io.BytesIO()
            photograph.resize(size).save(stream, "JPEG")
            files.append(stream.getvalue())

    async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
        return await asyncio.gather(*(post(client, file) for file in files * 3))

    answers = asked(ask, metric)
    scores = [answer.json()["images"][0]["scores"]["lite_iqa"] for answer in answers]
    assert scores == [metric.score(file).item() for file in files] * 3
    assert len(set(scores)) == len(files)


def test_several_images_are_answered_in_order_with_their_names() -> None:
    files = [png(seed, height=5 + seed % 3) for seed in range(8)]
    answer = posted(*files, name="a photo.png").json()["images"]
    assert [image["scores"]["tiny"] for image in answer] == [tiny_metric().score(file).item() for file in files]
    assert {image["name"] for image in answer} == {"a photo.png"}


def test_metrics_are_chosen_and_labels_are_named() -> None:
    metrics = [named("plain"), named("moods", tiny_metric(labels=("joy", "fear"))), named("other")]

    async def ask(client: httpx.AsyncClient) -> list[dict[str, object]]:
        chosen = [(), ("moods",), ("other", "plain", "plain")]
        answers = [await post(client, png(), metrics=names) for names in chosen]
        return [answer.json()["images"][0]["scores"] for answer in answers]

    default, moods, two = asked(ask, *metrics)
    joy, fear = metrics[1].score(png())[0].tolist()
    plain = metrics[0].score(png()).item()
    assert default == {"plain": plain}
    assert moods == {"moods": {"joy": joy, "fear": fear}}
    assert two == {"plain": plain, "other": plain}


@pytest.mark.parametrize("batch_size", [1, 4])
def test_what_waits_goes_through_the_encoder_together(batch_size: int) -> None:
    metric = Counting()

    async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
        metric.arm()
        first = asyncio.create_task(post(client, png(0)))
        await asyncio.to_thread(metric.reached.wait, 10)
        metric.sizes = ()
        rest = asyncio.gather(*(post(client, png(seed)) for seed in range(1, 9)))
        await asyncio.sleep(0.3)
        metric.gate.set()
        return [await first, *await rest]

    answers = asked(ask, metric, batch_size=batch_size)
    scores = [answer.json()["images"][0]["scores"]["tiny"] for answer in answers]
    assert scores == pytest.approx([tiny_metric().score(png(seed)).item() for seed in range(9)], abs=1e-6)
    assert metric.sizes == (batch_size,) * (8 // batch_size)


def started(metric: Held) -> ScoringQueue:
    """A queue that is warm."""
    scoring = ScoringQueue([metric])
    scoring.start()
    while not scoring.is_warm:
        time.sleep(0.005)
    return scoring


def test_closing_a_queue_scores_what_waits() -> None:
    metric = Held()
    scoring = started(metric)
    metric.arm()
    pixels = torch.rand(3, 4, 4)
    answers = [scoring.submit(pixels, ["tiny"]) for _ in range(3)]
    metric.gate.set()
    scoring.close()
    assert [answer.result(timeout=0) for answer in answers] == [{"tiny": metric.score(pixels).item()}] * 3
    assert not scoring.is_warm


def test_what_nobody_waits_for_is_not_scored() -> None:
    metric = Counting()
    scoring = started(metric)
    metric.arm()
    first = scoring.submit(torch.rand(3, 4, 4), ["tiny"])
    assert metric.reached.wait(10)
    metric.sizes = ()
    assert scoring.submit(torch.rand(3, 4, 4), ["tiny"]).cancel()
    metric.gate.set()
    scoring.close()
    assert first.done()
    assert metric.sizes == ()
