"""Behind a proxy, at a path of another host, the page uses the addresses that its visitor sees."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from perceptmetrics.apps.demo import Studio
from perceptmetrics.apps.demo.app import create_demo
from perceptmetrics.apps.demo.proxies import check_root_path
from perceptmetrics.errors import InvalidOptionError

FORWARDED = {"x-forwarded-host": "iqa.example.org", "x-forwarded-proto": "https"}


def got(studio: Studio, folder: Path, root_path: str, path: str = "/", **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(create_demo(studio, folder, root_path=root_path))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(asyncio.wait_for(ask(), 60))


def root_of(page: httpx.Response) -> str:
    found = re.search(r'"root":\s*"([^"]*)"', page.text)
    assert found is not None
    return found[1].rstrip("/")


@pytest.mark.parametrize(
    ("root_path", "headers", "root"),
    [
        ("", {}, "http://127.0.0.1:7860"),
        ("", FORWARDED, "https://iqa.example.org"),
        ("/iqa", {}, "http://127.0.0.1:7860/iqa"),
        ("/iqa/", FORWARDED, "https://iqa.example.org/iqa"),
        ("/a/b", FORWARDED, "https://iqa.example.org/a/b"),
        ("https://other.example.org/iqa", FORWARDED, "https://other.example.org/iqa"),
        ("", {**FORWARDED, "x-forwarded-prefix": "/iqa"}, "https://iqa.example.org/iqa"),
        ("", {**FORWARDED, "x-forwarded-prefix": "/iqa/, /inner"}, "https://iqa.example.org/iqa"),
        ("", {"host": "iqa.example.org", "x-forwarded-prefix": "/a/b"}, "http://iqa.example.org/a/b"),
        ("/iqa", {**FORWARDED, "x-forwarded-prefix": "/iqa"}, "https://iqa.example.org/iqa"),
        ("/own", {**FORWARDED, "x-forwarded-prefix": "/theirs"}, "https://iqa.example.org/own"),
        ("", {**FORWARDED, "x-forwarded-prefix": "//evil.example"}, "https://iqa.example.org"),
        ("", {**FORWARDED, "x-forwarded-prefix": '/"><script>'}, "https://iqa.example.org"),
        ("", {**FORWARDED, "x-forwarded-prefix": "/../x"}, "https://iqa.example.org"),
        ("", {**FORWARDED, "x-forwarded-prefix": "@evil.example"}, "https://iqa.example.org"),
    ],
)
def test_the_page_uses_the_address_that_its_visitor_sees(
    tried: Studio, tmp_path: Path, root_path: str, headers: dict[str, str], root: str
) -> None:
    page = got(tried, tmp_path, root_path, **headers)
    assert page.status_code == 200
    assert root_of(page) == root
    assert int(page.headers["content-length"]) == len(page.content)
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert "./manifest.json" in links
    assert [link for link in links if re.match(r"/|https?:", link) and "manifest" in link] == []


def test_files_below_the_path_are_served_with_and_without_it(tried: Studio, tmp_path: Path) -> None:
    for headers, path in (({}, "/manifest.json"), ({"x-forwarded-prefix": "/iqa"}, "/iqa/manifest.json")):
        assert got(tried, tmp_path, "", path, **headers).status_code in (200, 404)
        assert got(tried, tmp_path, "", path.replace("manifest.json", "config"), **headers).status_code == 200


@pytest.mark.parametrize("root_path", ["iqa", "//evil", "/a/../b", "javascript:x", "/a b", "https://", '/"', "/a?b"])
def test_what_is_no_path_is_refused(root_path: str) -> None:
    with pytest.raises(InvalidOptionError, match="Expected a path such as /iqa"):
        check_root_path(root_path)
