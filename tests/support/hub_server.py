"""A stand-in for the Hugging Face Hub on loopback.

It serves what `huggingface_hub` asks for when it downloads a file, from repositories in memory: HEAD and GET of
`/{repo}/resolve/{revision}/{file}` with the headers of the real Hub, a redirect to another host for large files,
and ranges. It can be told to fail in the ways the real one does, and it keeps a list of what it was asked. It takes
uploads too, see `hub_uploads`.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

import huggingface_hub
from huggingface_hub import constants, file_download

from tests.support.hub_uploads import LARGE, Uploads, answer

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

Failure = Literal[
    "gated",  # 403 to everybody
    "unauthorised",  # 401 without a reason, as for private repositories
    "server error",  # 500
    "no metadata",  # a page of a captive portal: 200, without any header of the Hub
    "hang up",  # the connection is closed instead of an answer
    "cut",  # the body ends half-way, every time
    "cut once",  # the body ends half-way the first time; the rest can be had by range
    "wrong bytes",  # right headers, another body of the same length
]

_RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")


def replace_endpoint(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Let `huggingface_hub` in this process ask another address than the Hub's."""
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    # Before version 1, the module that downloads has a copy of its own.
    monkeypatch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)


@dataclass
class Request:
    """A request that reached the stand-in."""

    method: str
    path: str
    range: str | None

    @property
    def revision(self) -> str | None:
        match = _RESOLVE.fullmatch(self.path)
        return match["revision"] if match else None


@dataclass
class Repository:
    """Files by commit, and the commits that branches and tags point at."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)


class HubStandIn:
    """The server: a context manager.

    Attributes:
        requests: What it was asked, in order.
        failure: How it fails from now on; None when it works.
        uploads: What was uploaded.
    """

    def __init__(self) -> None:
        self.uploads = Uploads()
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Request] = []
        self.failure: Failure | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.hub = self  # type: ignore[attr-defined]
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def endpoint(self) -> str:
        """Value for `HF_ENDPOINT`."""
        return f"http://127.0.0.1:{self.port}"

    def commit(self, repo: str, files: dict[str, bytes], branch: str = "main") -> str:
        """Add a commit to a repository and let a branch point at it; returns its hash."""
        repository = self.repositories.setdefault(repo, Repository())
        content = b"".join(name.encode() + b"\0" + data for name, data in sorted(files.items()))
        commit = hashlib.sha1(f"{len(repository.commits)}".encode() + content).hexdigest()
        repository.commits[commit] = dict(files)
        repository.branches[branch] = commit
        return commit

    def take_requests(self) -> list[Request]:
        """All requests since the last call."""
        taken, self.requests = self.requests, []
        return taken

    def take_downloads(self) -> list[Request]:
        """The requests since the last call, without `huggingface_hub`'s own questions to `/api/`."""
        return [request for request in self.take_requests() if not request.path.startswith("/api/")]

    def replace_hub(self, monkeypatch: pytest.MonkeyPatch, cache_dir: Path) -> None:
        """Let `huggingface_hub` in this process ask the stand-in, without waiting between attempts."""
        replace_endpoint(monkeypatch, self.endpoint)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache_dir))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        monkeypatch.setattr("time.sleep", lambda _: None)

    def environment(self, home: Path) -> dict[str, str]:
        """What another process needs in its environment to ask the stand-in."""
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home / "hub"),
            "PERCEPTMETRICS_CACHE": str(home / "perceptmetrics"),
            "PERCEPTMETRICS_STATE": str(home / "state"),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_OFFLINE": "0",  # whatever the tests themselves run under
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def find(self, repo: str, revision: str, file: str) -> tuple[str, bytes] | str:
        """Commit and content of a file, or the Hub's code for what is missing."""
        repository = self.repositories.get(repo)
        if repository is None:
            return "RepoNotFound"
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            return "RevisionNotFound"
        files = repository.commits[commit]
        return (commit, files[file]) if file in files else "EntryNotFound"

    def find_large(self, etag: str) -> bytes | None:
        """Content of a large file by its hash."""
        files = (
            data for repo in self.repositories.values() for commit in repo.commits.values() for data in commit.values()
        )
        return next((data for data in files if _etag(data) == etag), None)

    def __enter__(self) -> HubStandIn:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        close_session = getattr(huggingface_hub, "close_session", None)  # from huggingface_hub 1.0 on
        if close_session is not None:
            close_session()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # one request a connection: nothing stays open after a test

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._write()

    def do_PUT(self) -> None:
        self._write()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    @property
    def _hub(self) -> HubStandIn:
        return self.server.hub  # type: ignore[attr-defined,no-any-return]

    def _write(self) -> None:
        self._hub.requests.append(Request(self.command, unquote(self.path), None))
        body = self._body()
        if self._hub.failure is not None and self._fail(self._hub.failure):
            return
        status, document = answer(self._hub, self.command, self.path, body, self.headers.get("Authorization"))
        content = json.dumps(document).encode()
        self.send_response(status)
        self._end({"Content-Type": "application/json", "Content-Length": str(len(content))})
        self.wfile.write(content)

    def _body(self) -> bytes:
        """What was sent, in one piece or in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self) -> None:
        path = unquote(self.path)
        if path.startswith("/api/agent-harnesses"):  # asked once a day by the library for itself, not for a file
            self._error(404, "EntryNotFound")
            return
        self._hub.requests.append(Request(self.command, path, self.headers.get("Range")))
        if self._hub.failure is not None and self._fail(self._hub.failure):
            return
        if path.startswith("/large/"):
            data = self._hub.find_large(path.removeprefix("/large/"))
            self._error(404, "EntryNotFound") if data is None else self._send(data, {})
            return
        if path.startswith("/api/models/") and path.endswith("?expand=xetEnabled"):  # asked for before version 1
            self._send(b'{"id": "stand/in", "xetEnabled": false}', {"Content-Type": "application/json"})
            return
        match = _RESOLVE.fullmatch(path)
        found = self._hub.find(match["repo"], match["revision"], match["file"]) if match else "EntryNotFound"
        if match is None or isinstance(found, str):
            # The real Hub says 401 for a repository that is missing, since it might be a private one.
            self._error(401 if found == "RepoNotFound" else 404, str(found))
            return
        self._send_file(match["file"], *found)

    def _fail(self, failure: Failure) -> bool:
        """Fail at once; False for the failures that come with the body."""
        if failure == "gated":
            self._error(403, "GatedRepo")
        elif failure == "unauthorised":
            self._error(401, None)
        elif failure == "server error":
            self._error(500, None)
        elif failure == "no metadata":
            self._send(b"<html>Please log in to the network.</html>", {"Content-Type": "text/html"})
        elif failure == "hang up":
            self.close_connection = True
        else:
            return False
        return True

    def _send_file(self, name: str, commit: str, data: bytes) -> None:
        headers = {"X-Repo-Commit": commit, "ETag": f'"{_etag(data)}"', "Accept-Ranges": "bytes"}
        if not name.endswith(LARGE):
            self._send(data, headers)
            return
        headers |= {"X-Linked-ETag": f'"{_etag(data)}"', "X-Linked-Size": str(len(data))}
        # Another host name, as the real Hub's storage has one.
        headers["Location"] = f"http://localhost:{self._hub.port}/large/{_etag(data)}"
        self.send_response(302)
        self._end(headers | {"Content-Length": "0"})

    def _send(self, data: bytes, headers: dict[str, str]) -> None:
        if self._hub.failure == "wrong bytes":
            data = bytes(byte ^ 0xFF for byte in data)
        start = int(match[1]) if (match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")) else 0
        self.send_response(206 if start else 200)
        if start:
            headers |= {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        body = data[start:]
        self._end(headers | {"Content-Length": str(len(body))})
        if self.command == "HEAD":
            return
        if self._hub.failure in ("cut", "cut once"):
            self.wfile.write(body[: len(body) // 2])
            if self._hub.failure == "cut once":
                self._hub.failure = None
            return
        self.wfile.write(body)

    def _error(self, status: int, code: str | None) -> None:
        self.send_response(status)
        self._end(({"X-Error-Code": code} if code else {}) | {"Content-Length": "0"})

    def _end(self, headers: dict[str, str]) -> None:
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
