"""A published metric is loaded from the Hub (a stand-in) as the same metric; what is not whole is not published."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from perceptmetrics import create_metric
from perceptmetrics.errors import InvalidOptionError, InvalidSpecError, PublishingError, WeightsError
from perceptmetrics.export.card import model_card
from perceptmetrics.export.collect import trained_weights_of
from perceptmetrics.export.publish import publish
from perceptmetrics.export.write import export_metric
from tests.cli.in_process import Command
from tests.support.every_encoder import VIT, assembled, timm_network, timm_spec, with_head, write
from tests.support.hub_server import HubStandIn
from tests.support.hub_uploads import TOKEN
from tests.support.photographs import photographs

pytestmark = [
    pytest.mark.usefixtures("cache"),
    # huggingface_hub's own call of its HTTP library, where it uploads without hf_xet.
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),
]

REPO = "me/livec-quality"
FILES = {"config.json", "spec.json", "model.safetensors", "golden.safetensors", "README.md"}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with HubStandIn() as stand_in:
        stand_in.replace_hub(monkeypatch, tmp_path / "hub-cache")
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield stand_in


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write(timm_network(VIT), tmp_path_factory.mktemp("encoder") / "encoder.safetensors")


@pytest.fixture(scope="module")
def metric(encoder):
    return assembled(with_head(timm_spec(VIT, "pooled"), name="livec", side=64), encoder)


@pytest.fixture(scope="module")
def exported(tmp_path_factory, metric, encoder):
    """An exported metric, with a card, a recipe, and a file that is nobody's business."""
    folder = tmp_path_factory.mktemp("exported") / "run"
    export_metric(
        metric,
        folder,
        spec=metric.spec,
        weights=trained_weights_of(metric),
        card=model_card(metric.spec, source="runs/livec", results={"livec": {"srcc": 0.8}}),
        extra_files={"recipe.yaml": "lr: 1\n"},
        encoder=encoder,
    )
    (folder / "checkpoint.pt").write_bytes(b"secret")
    return folder


@pytest.fixture
def folder(tmp_path, exported):
    """A copy of it that a test may spoil."""
    return Path(shutil.copytree(exported, tmp_path / "run"))


def files_of(hub, branch="main"):
    repository = hub.repositories[REPO]
    return repository.commits[repository.branches[branch]]


def test_a_published_metric_is_loaded_from_the_hub(hub, folder, metric, encoder):
    images = photographs(80, 96)[:2]
    published = publish(folder, REPO, encoder=encoder)
    commit = hub.repositories[REPO].branches["main"]
    assert published.url == f"{hub.endpoint}/{REPO}"
    assert published.loading_line == f'create_metric("hub:{REPO}@{commit}")'
    assert published.deviation == 0
    for name in (f"hub:{REPO}", f"hub:{REPO}@{commit}"):
        again = create_metric(name, backbone_checkpoint=encoder)
        assert again.spec == metric.spec
        assert torch.equal(again(images), metric(images))


def test_all_files_of_the_metric_are_in_one_commit_and_no_others(hub, folder, encoder):
    published = publish(folder, REPO, encoder=encoder)
    assert hub.uploads.commits == [(REPO, "Publish livec", FILES | {"recipe.yaml"})]
    assert published.files == {name: len(data) for name, data in files_of(hub).items()}
    for name, data in files_of(hub).items():
        if name != "README.md":
            assert data == (folder / name).read_bytes()


def test_the_card_loads_from_the_hub_and_keeps_its_figures(hub, folder, encoder):
    publish(folder, REPO, encoder=encoder)
    card = files_of(hub)["README.md"].decode()
    assert f'create_metric("hub:{REPO}")' in card
    assert "runs/livec" not in card
    assert "| livec | 0.8000 |" in card
    assert "runs/livec" in (folder / "README.md").read_text()


def test_a_missing_card_is_written(hub, folder, encoder):
    (folder / "README.md").unlink()
    publish(folder, REPO, encoder=encoder)
    assert f'create_metric("hub:{REPO}")' in files_of(hub)["README.md"].decode()


@pytest.mark.parametrize("private", [True, False])
def test_a_new_repository_is_private_when_asked(hub, folder, encoder, private):
    publish(folder, REPO, private=private, encoder=encoder)
    assert (REPO in hub.uploads.private) is private


def test_publishing_again_adds_a_commit(hub, folder, encoder):
    first = publish(folder, REPO, encoder=encoder)
    (folder / "recipe.yaml").write_text("lr: 2\n")
    second = publish(folder, REPO, encoder=encoder)
    assert len(hub.uploads.commits) == 2
    assert first.loading_line != second.loading_line
    assert files_of(hub)["recipe.yaml"] == b"lr: 2\n"


def test_a_revision_is_a_branch(hub, folder, encoder):
    hub.commit(REPO, {"README.md": b"---\n"})
    for _ in range(2):  # the second time it exists
        publish(folder, REPO, revision="v2", encoder=encoder)
        assert files_of(hub, "v2").keys() >= FILES
    assert files_of(hub).keys() == {"README.md"}
    assert f'create_metric("hub:{REPO}@v2")' in files_of(hub, "v2")["README.md"].decode()
    assert create_metric(f"hub:{REPO}@v2", backbone_checkpoint=encoder).metric_name == "livec"


def test_a_dry_run_asks_nothing_of_the_hub(hub, folder, encoder, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    published = publish(folder, REPO, dry_run=True, encoder=encoder)
    assert hub.take_requests() == []
    assert published.files.keys() == FILES | {"recipe.yaml"}
    assert published.loading_line == f'create_metric("hub:{REPO}")'


# What is not published


def assert_refused(hub, folder, encoder, error, said):
    with pytest.raises(error, match=said):
        publish(folder, REPO, encoder=encoder)
    assert hub.uploads.commits == []
    assert hub.take_requests() == []


def test_a_folder_that_is_not_whole_is_refused(hub, folder, encoder, tmp_path):
    (folder / "golden.safetensors").unlink()
    assert_refused(hub, folder, encoder, WeightsError, r"golden\.safetensors missing")
    (folder / "model.safetensors").unlink()
    assert_refused(hub, folder, encoder, WeightsError, r"model\.safetensors missing")
    assert_refused(hub, tmp_path / "nowhere", encoder, WeightsError, "is not a folder")


def test_a_specification_that_cannot_be_read_is_refused(hub, folder, encoder):
    document = json.loads((folder / "spec.json").read_text())
    (folder / "spec.json").write_text(json.dumps(document | {"task": "beauty"}))
    assert_refused(hub, folder, encoder, InvalidSpecError, "task must be one of")


def test_a_metric_that_does_not_give_its_golden_scores_is_refused(hub, folder, encoder):
    document = json.loads((folder / "spec.json").read_text())
    document["score"]["map"] = {"kind": "affine", "scale": 1.0, "shift": 0.5}
    (folder / "spec.json").write_text(json.dumps(document))
    assert_refused(hub, folder, encoder, WeightsError, "does not reproduce its golden scores")


@pytest.mark.parametrize("name", ["mine", "a/b/c", "hub:me/mine", "me/", "me/mi ne", "../x"])
def test_a_repository_has_an_owner_and_a_name(hub, folder, name):
    with pytest.raises(InvalidOptionError, match="Expected a repository 'organisation/name'"):
        publish(folder, name)


def test_weights_in_half_precision_may_differ_a_little(hub, folder, encoder):
    golden = load_file(folder / "golden.safetensors")
    save_file(golden | {"scores": golden["scores"] + 1e-3}, folder / "golden.safetensors")
    assert_refused(hub, folder, encoder, WeightsError, "does not reproduce its golden scores")
    tensors = load_file(folder / "model.safetensors")
    save_file({name: tensor.half() for name, tensor in tensors.items()}, folder / "model.safetensors")
    assert publish(folder, REPO, dry_run=True, encoder=encoder).deviation == pytest.approx(1e-3, abs=1e-4)


# A Hub that does not take it


def test_without_a_token_nothing_is_tried(hub, folder, encoder, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("perceptmetrics.export.publish.get_token", lambda: None)
    assert_refused(hub, folder, encoder, PublishingError, "set HF_TOKEN to a token with write access")


def test_offline_nothing_is_tried(hub, folder, encoder, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert_refused(hub, folder, encoder, PublishingError, "cannot be published offline, and HF_HUB_OFFLINE is set")


def test_a_token_that_is_not_accepted_is_named(hub, folder, encoder, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(PublishingError, match="the Hub rejected the token: check HF_TOKEN"):
        publish(folder, REPO, encoder=encoder)


def test_a_token_that_may_not_write_is_named(hub, folder, encoder):
    hub.uploads.read_only = True
    with pytest.raises(PublishingError, match="the token has no write access"):
        publish(folder, REPO, encoder=encoder)


@pytest.mark.parametrize("failure", ["server error", "hang up"])
def test_a_hub_that_fails_is_named(hub, folder, encoder, failure):
    hub.failure = failure
    with pytest.raises(
        PublishingError, match=rf"'{REPO}' was not published at {hub.endpoint}: the Hub refused or cannot"
    ):
        publish(folder, REPO, encoder=encoder)


# The command


@pytest.fixture
def run(monkeypatch, capsys):
    return Command(monkeypatch, capsys)


def test_the_command_prints_address_and_loading_line(hub, folder, encoder, run):
    result = run("publish", folder, REPO, "--private", "--backbone-checkpoint", encoder)
    assert result.returncode == 0
    commit = hub.repositories[REPO].branches["main"]
    assert f"Published at {hub.endpoint}/{REPO}" in result.stdout
    assert f'Load it with: create_metric("hub:{REPO}@{commit}")' in result.stdout
    assert "model.safetensors" in result.stdout
    assert REPO in hub.uploads.private


def test_the_command_tries_without_the_hub(hub, folder, encoder, run):
    result = run("publish", folder, REPO, "--dry-run", "--backbone-checkpoint", encoder)
    assert result.returncode == 0
    assert "Would be published at" in result.stdout
    assert hub.take_requests() == []


def test_the_command_says_what_is_wrong(hub, folder, run):
    result = run("publish", folder, "mine", "--dry-run")
    assert result.returncode == 2
    assert "Expected a repository 'organisation/name', got 'mine'" in result.stderr
