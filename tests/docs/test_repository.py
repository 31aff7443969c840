"""Files beside the code: one version everywhere, actions pinned by commit, rights stated, no artefact in the tree."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import perceptmetrics

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TOP = {
    *("perceptmetrics", "tests", "docs", "examples"),
    *("pyproject.toml", "mkdocs.yml", "README.md", "LICENSE", "NOTICE", "CHANGELOG.md", "SECURITY.md", "CITATION.cff"),
}


def workflow(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return read


def test_the_citation_states_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == perceptmetrics.__version__
    assert (citation["cff-version"], citation["license"]) == ("1.2.0", "Apache-2.0")
    assert {"title", "message", "authors"} <= set(citation)


def test_the_top_of_the_repository_holds_what_it_should() -> None:
    assert {entry.name for entry in ROOT.iterdir()} >= TOP


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_and_rights_are_stated(path: Path) -> None:
    read = workflow(path)
    assert read["permissions"] == {"contents": "read"}
    for job in read["jobs"].values():
        assert "timeout-minutes" in job
        for step in job["steps"]:
            assert "uses" not in step or re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"]), step


def test_only_publishing_may_ask_for_a_token_of_the_index() -> None:
    jobs = workflow(ROOT / ".github" / "workflows" / "release.yml")["jobs"]
    publish = jobs["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["environment"]["name"] == "pypi"
    assert not any("run" in step for step in publish["steps"])
    assert "secrets." not in (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")


def test_hosted_tests_run_what_is_run_by_hand() -> None:
    steps = workflow(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["everything"]["steps"]
    assert steps[-1] == {"run": ".ci/run"}
