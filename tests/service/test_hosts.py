"""Which names the service answers to, and whose pages may make a browser send it work."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from perceptmetrics.apps.service import ServiceSettings, app, create_app, serve
from perceptmetrics.apps.service.hosts import is_loopback
from perceptmetrics.errors import InvalidOptionError
from tests.service.asking import asked, png
from tests.service.test_refusals import problem
from tests.support.mean_colour_metric import tiny_metric


def status(host: str, allowed: tuple[str, ...] | None, method: str = "GET", **headers: str) -> httpx.Response:
    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        files = {"images": png()} if method == "POST" else None
        path = "/score" if method == "POST" else "/health"
        return await client.request(method, path, headers={"host": host, **headers}, files=files)

    return asked(ask, allowed_hosts=allowed)


LOCAL = ["localhost", "LOCALHOST:8000", "a.localhost", "localhost.", "127.0.0.1:9", "[::1]:8000", "[::1]", "10.0.0.7"]
FOREIGN = ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "xlocalhost"]
ODD = ["a@localhost", "localhost@evil.example", "localhost/evil", "[::1", "::1", "localhost:80:80", " ", "[evil]"]


@pytest.mark.parametrize("host", [*LOCAL, *FOREIGN, *ODD])
def test_by_default_a_service_on_loopback_answers_to_local_names_only(host: str) -> None:
    answer = status(host, ())
    if host in LOCAL:
        assert answer.status_code == 200
    else:
        assert "--allowed-host" in problem(answer, 400)["fix"] if "/" not in host else answer.status_code == 400


def test_scores_are_refused_like_everything_else() -> None:
    assert status("evil.example", (), "POST").status_code == 400
    assert status("localhost", (), "POST").status_code == 200


@pytest.mark.parametrize(
    ("allowed", "host", "right"),
    [
        (("iqa.example.org",), "iqa.example.org", True),
        (("iqa.example.org",), "IQA.example.org:443", True),
        (("IQA.example.org",), "iqa.example.org", True),
        (("iqa.example.org",), "iqa.example.org.evil.example", False),
        (("iqa.example.org",), "other.example.org", False),
        (("iqa.example.org",), "127.0.0.1", True),
        (("*.example.org",), "iqa.example.org", True),
        (("*.example.org",), "example.org", False),
        (("*.example.org",), "evilexample.org", False),
        (("a.org", "*"), "anything", True),
        (None, "evil.example", True),
    ],
)
def test_names_that_are_allowed(allowed: tuple[str, ...] | None, host: str, right: bool) -> None:
    assert status(host, allowed).status_code == (200 if right else 400)


@pytest.mark.parametrize("name", ["", "http://iqa.example.org", "iqa.example.org:80", "a*.org", "*.", "a b", "**"])
def test_what_is_no_name_is_no_allowed_host(name: str) -> None:
    with pytest.raises(InvalidOptionError, match="Expected a host name"):
        ServiceSettings(allowed_hosts=(name,))


@pytest.mark.parametrize(
    ("host", "given", "effective"),
    [
        ("127.0.0.1", None, ()),
        ("localhost", None, ()),
        ("::1", None, ()),
        ("0.0.0.0", None, None),  # as in a container, behind any name
        ("10.1.2.3", None, None),
        ("127.0.0.1", ("*",), ("*",)),
        ("0.0.0.0", ("a.org",), ("a.org",)),
    ],
)
def test_the_default_depends_on_the_address(
    monkeypatch: pytest.MonkeyPatch, host: str, given: Any, effective: Any
) -> None:
    seen: list[ServiceSettings] = []
    monkeypatch.setattr(app, "create_app", lambda _, settings: seen.append(settings))
    monkeypatch.setattr(app, "run_server", lambda *_, **__: None)
    serve([tiny_metric()], ServiceSettings(allowed_hosts=given), host=host)
    assert seen[0].allowed_hosts == effective


def test_loopback_addresses() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "Localhost", "a.localhost"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.1", "example.org", "::ffff:10.0.0.1"]))


@pytest.mark.parametrize(
    ("method", "site", "right"),
    [
        ("POST", "cross-site", 403),
        ("POST", "same-site", 200),
        ("POST", "same-origin", 200),
        ("POST", "none", 200),
        ("GET", "cross-site", 200),
        ("HEAD", "cross-site", 200),
    ],
)
def test_pages_of_other_sites_cause_no_work(method: str, site: str, right: int) -> None:
    headers = {"sec-fetch-site": site, "origin": "https://evil.example"}
    answer = status("localhost", (), method, **headers)
    assert answer.status_code == right
    if right == 403:
        assert "https://evil.example" in answer.json()["error"]["got"]
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/metrics", "/openapi.json"])
def test_every_address_that_can_be_got_answers_head(path: str) -> None:
    async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [await client.request(method, path) for method in ("GET", "HEAD", "DELETE")]

    got, head, other = asked(ask)
    assert (got.status_code, head.status_code, other.status_code) == (200, 200, 405)
    assert head.headers["content-type"] == got.headers["content-type"]
    assert {"GET", "HEAD"} <= {method.strip() for method in other.headers["allow"].split(",")}


def test_head_has_no_operation_of_its_own_in_the_description() -> None:
    paths = create_app([tiny_metric()]).openapi()["paths"]
    assert {path: set(operations) for path, operations in paths.items()} == {
        "/health": {"get"},
        "/ready": {"get"},
        "/metrics": {"get"},
        "/score": {"post"},
    }


def test_head_has_no_body_on_the_wire(address: str) -> None:
    with httpx.Client(base_url=address) as client:
        for _ in range(2):
            answer = client.head("/health")
            assert (answer.status_code, answer.content) == (200, b"")
            assert client.get("/health").json() == {"status": "ok"}


@pytest.fixture
def address() -> Any:
    from tests.service.server import listening

    with listening(create_app([tiny_metric()])) as found:
        yield found


def test_a_service_that_cannot_store_an_upload_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many open files, or a full disk: no fault of the client."""
    import errno
    import tempfile

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    async def ask(client: httpx.AsyncClient) -> tuple[httpx.Response, httpx.Response]:
        content = png(height=700, width=700)  # more than is kept in memory
        with monkeypatch.context() as broken:
            broken.setattr(tempfile.SpooledTemporaryFile, "rollover", full)
            failed = await client.post("/score", files={"images": content})
        return failed, await client.post("/score", files={"images": content})

    failed, next_one = asyncio.run(_both(ask))
    assert problem(failed, 503)["got"] == "none at the moment"
    assert failed.headers["retry-after"] == "10"
    assert next_one.status_code == 200


async def _both(ask: Any) -> Any:
    from tests.service.asking import running

    async with running(create_app([tiny_metric()])) as client:
        return await ask(client)
