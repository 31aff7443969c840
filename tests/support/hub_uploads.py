"""The part of the stand-in for the Hub that takes uploads.

What `huggingface_hub` asks for when it makes a repository and commits to it: `POST /api/repos/create`,
`/api/validate-yaml`, `/api/models/{repo}/preupload/{revision}`, `.../branch/{name}`, `.../commit/{revision}` and, for
large files, the batch request of Git LFS with an upload and a verification for each.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

if TYPE_CHECKING:
    from tests.support.hub_server import HubStandIn

LARGE = (".safetensors", ".bin", ".pt", ".pth")  # stored outside git, hence behind a redirect
TOKEN = "hf_stand_in"

_MODEL = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/(?P<action>preupload|commit|branch)/(?P<revision>[^/]+)")
_BATCH = re.compile(r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch")


class Answer(NamedTuple):
    """Status and JSON of an answer."""

    status: int
    document: dict[str, Any]


@dataclass
class Uploads:
    """What was uploaded.

    Attributes:
        large: Large files by the hash of their content.
        private: The repositories that were made private.
        commits: For each commit: repository, message, and names of the files in it.
        read_only: Whether the token may not write.
    """

    large: dict[str, bytes] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    commits: list[tuple[str, str, set[str]]] = field(default_factory=list)
    read_only: bool = False


def answer(hub: HubStandIn, method: str, path: str, body: bytes, authorisation: str | None) -> Answer:
    """Answer a request that writes."""
    path = path.partition("?")[0]
    if method == "PUT":
        oid = path.removeprefix("/upload/")
        hub.uploads.large[oid] = body
        return Answer(200, {}) if hashlib.sha256(body).hexdigest() == oid else Answer(400, {"error": "wrong content"})
    if authorisation != f"Bearer {TOKEN}":
        return Answer(401, {"error": "Invalid username or password."})
    if hub.uploads.read_only:
        return Answer(403, {"error": "You don't have the rights to write."})
    if path == "/api/repos/create":
        return _create(hub, json.loads(body))
    if path == "/api/validate-yaml":
        content = json.loads(body)["content"]
        return Answer(200, {}) if content.startswith("---\n") else Answer(400, {"errors": [{"message": "no metadata"}]})
    if path == "/verify":
        wanted = json.loads(body)
        held = hub.uploads.large.get(wanted["oid"], b"")
        return Answer(200 if len(held) == wanted["size"] else 400, {})
    if _BATCH.fullmatch(path):
        return _batch(hub, json.loads(body))
    match = _MODEL.fullmatch(path)
    if match is None or match["repo"] not in hub.repositories:
        return Answer(404, {"error": "Repository not found"})
    revision = unquote(match["revision"])
    return {"preupload": _preupload, "commit": _commit, "branch": _branch}[match["action"]](
        hub, match["repo"], revision, body
    )


def _create(hub: HubStandIn, wanted: dict[str, Any]) -> Answer:
    repo = f"{wanted['organization']}/{wanted['name']}"
    url = f"{hub.endpoint}/{repo}"
    if repo in hub.repositories:
        return Answer(409, {"error": "You already created this model repo", "url": url})
    hub.commit(repo, {})
    if wanted.get("private") or wanted.get("visibility") == "private":
        hub.uploads.private.add(repo)
    return Answer(200, {"url": url})


def _preupload(hub: HubStandIn, repo: str, revision: str, body: bytes) -> Answer:
    files = [
        {
            "path": file["path"],
            "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
            "shouldIgnore": False,
        }
        for file in json.loads(body)["files"]
    ]
    return Answer(200, {"files": files})


def _batch(hub: HubStandIn, wanted: dict[str, Any]) -> Answer:
    objects = [
        {
            "oid": item["oid"],
            "size": item["size"],
            "actions": {
                "upload": {"href": f"{hub.endpoint}/upload/{item['oid']}"},
                "verify": {"href": f"{hub.endpoint}/verify"},
            },
        }
        for item in wanted["objects"]
    ]
    return Answer(200, {"transfer": "basic", "objects": objects})


def _branch(hub: HubStandIn, repo: str, revision: str, body: bytes) -> Answer:
    branches = hub.repositories[repo].branches
    if revision in branches:
        return Answer(409, {"error": "Reference already exists"})
    branches[revision] = branches["main"]
    return Answer(201, {})


def _commit(hub: HubStandIn, repo: str, revision: str, body: bytes) -> Answer:
    repository = hub.repositories[repo]
    if revision not in repository.branches:
        return Answer(404, {"error": "Revision not found"})
    files, message, added = dict(repository.commits[repository.branches[revision]]), "", set()
    for line in body.splitlines():
        item = json.loads(line)
        value = item["value"]
        if item["key"] == "header":
            message = value["summary"]
            continue
        added.add(value["path"])
        large = item["key"] == "lfsFile"
        files[value["path"]] = hub.uploads.large[value["oid"]] if large else base64.b64decode(value["content"])
    commit = hub.commit(repo, files, revision)
    hub.uploads.commits.append((repo, message, added))
    url = f"{hub.endpoint}/{repo}/commit/{commit}"
    return Answer(200, {"commitUrl": url, "commitOid": commit, "pullRequestUrl": None})
