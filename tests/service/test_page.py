"""What the service says about itself, and that its page needs nothing from elsewhere."""

from __future__ import annotations

import asyncio

import httpx

from perceptmetrics import metric_info
from perceptmetrics.apps.service import create_app
from tests.service.asking import Held, asked, named, running
from tests.support.html_pages import Tags
from tests.support.mean_colour_metric import tiny_metric

LINKS = {"href", "src", "srcset", "action", "data", "poster"}


def got(path: str) -> httpx.Response:
    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.get(path)

    return asked(ask, named("lite_iqa"), named("moods", tiny_metric(labels=("joy", "fear"))))


def test_the_page_fetches_nothing_and_its_links_lead_somewhere() -> None:
    page = Tags(got("/").content)
    links = [value for _, attributes in page.tags for name, value in attributes.items() if name in LINKS]
    assert set(links) == {"openapi.json", "metrics", "health", "ready"}
    assert all(got(f"/{link}").status_code == 200 for link in links)
    assert not {"script", "link", "iframe", "img"} & {tag for tag, _ in page.tags}
    assert "url(" not in got("/").text
    assert "moods" in page.text
    assert "joy, fear" in page.text


def test_cards_say_range_direction_and_labels() -> None:
    lite, moods = got("/metrics").json()
    spec = metric_info("lite_iqa")
    assert (lite["lower"], lite["upper"], lite["higher_is_better"]) == (0, 1, True)
    assert (lite["licence"], lite["limits"]) == (spec.card.licence, spec.card.limits)
    assert moods["labels"] == ["joy", "fear"]


def test_the_description_names_every_answer() -> None:
    paths = got("/openapi.json").json()["paths"]
    assert set(paths) == {"/score", "/metrics", "/health", "/ready"}
    assert {"200", "400", "401", "403", "408", "413", "422", "503"} == set(paths["/score"]["post"]["responses"])


def test_it_is_healthy_before_it_is_ready() -> None:
    metric = Held()
    metric.arm()

    async def ask() -> list[int]:
        async with running(create_app([metric])) as client:
            before = [(await client.get(path)).status_code for path in ("/health", "/ready")]
            metric.gate.set()
            while (await client.get("/ready")).status_code != 200:
                await asyncio.sleep(0.005)
            return before

    assert asyncio.run(asyncio.wait_for(ask(), 30)) == [200, 503]
