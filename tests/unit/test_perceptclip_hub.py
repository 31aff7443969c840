"""PerceptCLIP by name alone: its three files from the Hub (a stand-in), then from the cache without any network."""

from __future__ import annotations

import pytest
import torch
from huggingface_hub import constants

from perceptmetrics import create_metric, metric_info
from perceptmetrics.errors import WeightsError
from perceptmetrics.weights.cache import CACHE_VARIABLE
from tests.support import released_files
from tests.support.hub_server import HubStandIn
from tests.support.photographs import photographs
from tests.support.released_files import NAMES, hub_file, write_released

PUBLISHED = {
    "perceptclip_iqa": ("PerceptCLIP/PerceptCLIP_IQA", "perceptCLIP_IQA.pth"),
    "perceptclip_mem": ("PerceptCLIP/PerceptCLIP_Memorability", "perceptCLIP_Memorability.pth"),
    "perceptclip_emo": ("PerceptCLIP/PerceptCLIP_Emotions", "perceptCLIP_Emotions.pth"),
}


@pytest.fixture(scope="module", autouse=True)
def tiny_metrics(tmp_path_factory):
    with released_files.registered(tmp_path_factory.mktemp("configurations")):
        yield


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    folder = tmp_path_factory.mktemp("released")
    return {name: write_released(folder / f"{name}.pth", name) for name in NAMES}


@pytest.fixture
def hub(tmp_path, monkeypatch, released):
    """A Hub that has the three repositories, and nothing else."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "records"))
    with HubStandIn() as stand_in:
        stand_in.replace_hub(monkeypatch, tmp_path / "cache")
        for name, (repo, file) in PUBLISHED.items():
            stand_in.commit(repo, {file: released[name].read_bytes()})
        yield stand_in


@pytest.fixture(scope="module")
def images():
    return photographs(240, 300)[:2]


def test_the_published_names(released):
    assert {name: (hub_file(name).repo, hub_file(name).filename) for name in NAMES} == PUBLISHED


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_enough(hub, released, images, name):
    metric = create_metric(name)
    repo, file = PUBLISHED[name]
    asked = [request.path for request in hub.take_downloads() if "/resolve/" in request.path]
    assert set(asked) == {f"/{repo}/resolve/main/{file}"}  # no second file, such as the CLIP's own
    assert torch.equal(metric(images), create_metric(name, checkpoint=released[name])(images))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", ["local_files_only", "HF_HUB_OFFLINE"])
def test_offline_from_the_filled_cache(hub, images, monkeypatch, name, how):
    expected = create_metric(name)(images)
    hub.take_requests()
    if how == "HF_HUB_OFFLINE":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    metric = create_metric(name, local_files_only=how == "local_files_only")
    assert torch.equal(metric(images), expected)
    assert hub.take_requests() == []


@pytest.mark.parametrize("name", NAMES)
def test_offline_without_the_file(hub, name):
    with pytest.raises(WeightsError) as caught:
        create_metric(name, local_files_only=True)
    message = str(caught.value)
    repo, file = PUBLISHED[name]
    assert f"perceptmetrics fetch {name}\n" in message
    assert repo in message
    assert file in message
    assert "1227.4 MB" in message
    assert "checkpoint=PATH" in message
    assert hub.take_requests() == []


def test_a_file_that_was_replaced_is_refused(hub, released, images):
    create_metric("perceptclip_iqa")
    repo, file = PUBLISHED["perceptclip_iqa"]
    hub.commit(repo, {file: released["perceptclip_mem"].read_bytes()})
    with pytest.raises(WeightsError, match="not the file that was first downloaded"):
        create_metric("perceptclip_iqa")


def test_revision_takes_the_trained_file_from_there(hub, released, images):
    repo, file = PUBLISHED["perceptclip_mem"]
    commit = hub.commit(repo, {file: released["perceptclip_iqa"].read_bytes()}, branch="another")
    pinned = create_metric("perceptclip_mem", revision=commit)
    assert not torch.equal(pinned(images), create_metric("perceptclip_mem")(images))
    assert {request.revision for request in hub.take_downloads()} >= {commit, "main"}


def test_the_registered_size_is_the_published_one():
    assert {metric_info(name).head.weights.size for name in NAMES} == {1_227_400_000}
