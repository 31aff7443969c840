"""Clients of Flow-GRPO's reward servers get their rewards, and no pickle of theirs runs anything."""

from __future__ import annotations

import asyncio
import io
import os
import pickle
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from perceptmetrics.apps.service import ServiceSettings, create_app
from perceptmetrics.errors import InvalidOptionError
from tests.service.asking import asked, named, png
from tests.support.encoded_images import encode, noise
from tests.support.mean_colour_metric import tiny_metric
from tests.support.registered_metrics import build

JPEGS = [encode(noise(20, 24, seed=seed), "JPEG") for seed in range(3)]
REQUEST = {"images": JPEGS, "prompts": ["a"] * 3, "metadata": [{"x": 1.5}] * 3}


def sent(content: bytes, *metrics: Any, path: str = "/", **limits: Any) -> httpx.Response:
    return asked(lambda client: client.post(path, content=content), *metrics, flow_grpo=True, **limits)


@pytest.mark.parametrize("protocol", range(3, pickle.HIGHEST_PROTOCOL + 1))
def test_a_client_gets_the_scores_of_its_images(protocol: int) -> None:
    answer = pickle.loads(sent(pickle.dumps(REQUEST, protocol)).content)
    expected = [tiny_metric().score(image).item() for image in JPEGS]
    assert answer == {"scores": expected, "outputs": expected, "metrics": {"tiny": expected}}


def test_a_client_that_compresses_arrays_as_they_do_is_understood() -> None:
    arrays = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    for batch in np.array_split(arrays, 2):
        images = []
        for array in batch:
            buffer = io.BytesIO()
            Image.fromarray(array).save(buffer, format="JPEG")
            images.append(buffer.getvalue())
        answer = pickle.loads(sent(pickle.dumps({"images": images})).content)
        assert answer["outputs"] == [tiny_metric().score(image).item() for image in images]


def test_prompts_are_passed_on_and_asked_for() -> None:
    metric = build("clip_score")
    images = [png(seed, height=64, width=64) for seed in range(2)]
    answer = sent(pickle.dumps({"images": images, "prompts": ("a cat", "a dog")}), metric)
    expected = [metric.score(image, text).item() for image, text in zip(images, ("a cat", "a dog"), strict=True)]
    assert pickle.loads(answer.content)["scores"] == pytest.approx(expected)
    without = sent(pickle.dumps({"images": images}), metric)
    assert without.status_code == 422
    assert "a prompt for each of 2 images" in pickle.loads(without.content)["error"]


def test_several_metrics_are_answered_by_name() -> None:
    answer = pickle.loads(sent(pickle.dumps(REQUEST), tiny_metric(), named("other")).content)
    assert set(answer["metrics"]) == {"tiny", "other"}
    assert answer["scores"] == answer["metrics"]["tiny"]


class Attack:
    """Runs a command in whoever unpickles it."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.file}",)


@pytest.mark.parametrize("place", ["alone", "images", "prompts", "metadata"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_no_pickle_runs_anything(tmp_path: Path, place: str, protocol: int) -> None:
    attack = Attack(tmp_path / "ran")
    content = attack if place == "alone" else REQUEST | {place: [attack]}
    answer = sent(pickle.dumps(content, protocol))
    assert answer.status_code == 422
    assert "it refers to" in pickle.loads(answer.content)["error"]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"\x80\x04", "cannot be read"),
        (b"images=a", "cannot be read"),
        (pickle.dumps([1]), "got list"),
        (pickle.dumps({"prompts": ["a"]}), "under 'images'"),
        (pickle.dumps({"images": []}), "under 'images'"),
        (pickle.dumps({"images": ["text"]}), "under 'images'"),
        (pickle.dumps({"images": JPEGS, "prompts": [1, 2, 3]}), "under 'prompts'"),
        (pickle.dumps({"images": JPEGS, "prompts": np.array(["a"] * 3)}), "it refers to numpy"),
        (pickle.dumps({"images": [b"no image"]}), "image 0, which is none"),
        (pickle.dumps({"images": JPEGS * 6}), "at most 16 images per request"),
        (b"\x80\x02]r\xff\xff\xff\x7f.", "before it has as many"),
        (b"\x80\x02" + b"]" * 200_000 + b".", "more than 100,000 instructions"),
    ],
)
def test_what_is_no_request_is_refused(content: bytes, message: str) -> None:
    answer = sent(content)
    assert answer.status_code in (413, 422)
    assert message in pickle.loads(answer.content)["error"]


def test_the_protocol_is_spoken_only_if_asked_for() -> None:
    answer = asked(lambda client: client.post("/", content=pickle.dumps(REQUEST)))
    assert answer.status_code == 405


def test_metrics_with_several_scores_give_no_reward() -> None:
    with pytest.raises(InvalidOptionError, match="A reward is one number, and perceptclip_emo gives several"):
        create_app([build("perceptclip_emo")], ServiceSettings(flow_grpo=True))


@pytest.mark.parametrize(
    ("stated", "status"), [("Bearer secret", 200), ("Bearer other", 401), ("secret", 401), (None, 401)]
)
@pytest.mark.parametrize("path", ["/", "/metrics"])
def test_a_service_with_a_token_answers_only_those_who_state_it(stated: str | None, status: int, path: str) -> None:
    async def ask(client: httpx.AsyncClient) -> tuple[httpx.Response, httpx.Response]:
        headers = {} if stated is None else {"Authorization": stated}
        return await client.get("/health"), await client.get(path, headers=headers)

    health, answer = asked(ask, token="secret")
    assert (health.status_code, answer.status_code) == (200, status)
    if status == 401:
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert "secret" not in answer.text


@pytest.mark.parametrize("token", ["", " ", "a\nb", "ü"])
def test_a_token_is_text_that_a_header_can_carry(token: str) -> None:
    with pytest.raises(InvalidOptionError, match="token must be printable ASCII"):
        ServiceSettings(token=token)
    assert "secret" not in repr(ServiceSettings(token="secret"))


@pytest.mark.parametrize("parts", [[], [b"\x80\x04"], [b"--x\r\n"]], ids=["nothing", "two bytes", "a boundary"])
@pytest.mark.parametrize("path", ["/", "/score"])
def test_a_client_that_leaves_in_the_middle_is_no_fault_of_the_service(path: str, parts: list[bytes]) -> None:
    app = create_app([tiny_metric()], ServiceSettings(flow_grpo=True, allowed_hosts=()))
    left, statuses = list(parts), []

    async def receive() -> dict[str, Any]:
        if left:
            return {"type": "http.request", "body": left.pop(0), "more_body": True}
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}

    async def ask() -> None:
        async with app.router.lifespan_context(app):
            await app(scope, receive, send)  # type: ignore[arg-type]

    asyncio.run(ask())
    assert statuses == [400]
