"""`from_pretrained`, `save_pretrained` and `push_to_hub` give the same metric again, with all that belongs to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import ModelCard, constants

from perceptmetrics import Metric, create_metric
from perceptmetrics.errors import InvalidOptionError, UnknownMetricError, WeightsError
from perceptmetrics.export.card import model_card
from perceptmetrics.export.collect import trained_weights_of
from perceptmetrics.export.write import export_metric
from tests.support.every_encoder import VIT, assembled, timm_network, timm_spec, with_head, write
from tests.support.hub_server import HubStandIn
from tests.support.hub_uploads import TOKEN
from tests.support.photographs import photographs

pytestmark = [
    pytest.mark.usefixtures("cache"),
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),  # huggingface_hub's own call
]

REPO = "me/livec-quality"
IMAGES = photographs(80, 96)[:2]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with HubStandIn() as stand_in:
        stand_in.replace_hub(monkeypatch, tmp_path / "hub-cache")
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield stand_in


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write(timm_network(VIT), tmp_path_factory.mktemp("encoder") / "encoder.safetensors")


@pytest.fixture(scope="module")
def run(tmp_path_factory, encoder):
    """The folder of a finished training: figures on the card, recipe, a plot, and a checkpoint."""
    metric = assembled(with_head(timm_spec(VIT, "pooled"), name="livec", side=64), encoder)
    folder = tmp_path_factory.mktemp("exported") / "run"
    card = model_card(metric.spec, source="x", results={"livec": {"srcc": 0.8, "rmse": float("nan")}}, headline="Good.")
    weights, recipe = trained_weights_of(metric), {"recipe.yaml": "lr: 1\n"}
    export_metric(metric, folder, spec=metric.spec, weights=weights, card=card, extra_files=recipe, encoder=encoder)
    (folder / "plots").mkdir()
    (folder / "plots" / "scatter_livec.png").write_bytes(b"png")
    (folder / "checkpoint.pt").write_bytes(b"secret")
    return folder


@pytest.fixture
def metric(run, encoder):
    return create_metric(run, backbone_checkpoint=encoder)


def files_of(hub, branch="main"):
    repository = hub.repositories[REPO]
    return repository.commits[repository.branches[branch]]


def test_a_trained_metric_goes_to_the_hub_and_back_with_its_figures(hub, metric, encoder):
    url = metric.push_to_hub(REPO, token=TOKEN, private=True, commit_message="First", backbone_checkpoint=encoder)
    assert url == f"{hub.endpoint}/{REPO}"
    names = {"spec.json", "config.json", "model.safetensors", "golden.safetensors", "README.md", "recipe.yaml"}
    assert hub.uploads.commits == [(REPO, "First", names | {"plots/scatter_livec.png"})]
    assert REPO in hub.uploads.private
    again = Metric.from_pretrained(REPO, token=TOKEN, backbone_checkpoint=encoder)
    assert again.spec == metric.spec
    assert torch.equal(again(IMAGES), metric(IMAGES))
    card = ModelCard(files_of(hub)["README.md"].decode())
    [entry] = card.data.eval_results
    assert (card.data.library_name, entry.dataset_name, entry.metric_type, entry.metric_value) == (
        "perceptmetrics",
        "livec",
        "srcc",
        0.8,
    )
    assert "Good." in card.text
    assert card.text.count("](plots/scatter_livec.png)") == 1
    assert f'create_metric("hub:{REPO}")' in card.text


def test_the_hub_is_asked_for_the_file_by_which_it_counts(hub, metric, encoder):
    metric.push_to_hub(REPO, token=TOKEN, backbone_checkpoint=encoder)
    hub.take_requests()
    create_metric(f"hub:{REPO}", backbone_checkpoint=encoder)
    assert any(request.path.endswith("/resolve/main/config.json") for request in hub.take_downloads())
    config = json.loads(files_of(hub)["config.json"])
    assert (config["library_name"], config["model_type"], config["task"]) == ("perceptmetrics", "livec", "quality")


def test_repositories_without_that_file_load_as_before(hub, run, encoder):
    names = ("spec.json", "model.safetensors")
    hub.commit(REPO, {name: (run / name).read_bytes() for name in names})
    assert Metric.from_pretrained(REPO, backbone_checkpoint=encoder).metric_name == "livec"


def test_offline_a_filled_cache_is_enough(hub, metric, encoder, monkeypatch, tmp_path):
    metric.push_to_hub(REPO, token=TOKEN, revision="v2", backbone_checkpoint=encoder)
    options = {"revision": "v2", "cache_dir": tmp_path / "mine", "backbone_checkpoint": encoder}
    with pytest.raises(WeightsError, match="downloads are disabled"):
        Metric.from_pretrained(REPO, local_files_only=True, **options)
    first = Metric.from_pretrained(REPO, **options)
    hub.take_requests()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert torch.equal(Metric.from_pretrained(REPO, **options)(IMAGES), first(IMAGES))
    assert hub.take_requests() == []


def test_what_was_loaded_is_saved_with_all_that_belongs_to_it(hub, metric, encoder, run, tmp_path):
    assert metric.save_pretrained(tmp_path / "copy") is None
    kept = {file.name for file in run.iterdir()} - {"checkpoint.pt"}
    assert {file.name for file in (tmp_path / "copy").iterdir()} == kept
    metric.push_to_hub(REPO, token=TOKEN, backbone_checkpoint=encoder)
    mirrored = Metric.from_pretrained(REPO, backbone_checkpoint=encoder)
    mirrored.save_pretrained(tmp_path / "mirror")
    assert "| livec | 0.8000 |" in (tmp_path / "mirror" / "README.md").read_text()
    assert Metric.from_pretrained(tmp_path / "mirror", backbone_checkpoint=encoder).spec == metric.spec


def test_figures_of_other_weights_are_not_carried_over(metric, encoder, tmp_path):
    with torch.no_grad():
        next(metric.head.parameters()).mul_(0.5)
    metric.save_pretrained(tmp_path / "new", backbone_checkpoint=encoder)
    again = create_metric(tmp_path / "new", backbone_checkpoint=encoder)
    assert torch.equal(again(IMAGES), metric(IMAGES))
    assert "0.8000" not in (tmp_path / "new" / "README.md").read_text()
    assert not (tmp_path / "new" / "recipe.yaml").exists()


def test_a_metric_that_trained_takes_its_encoder_along(metric, tmp_path):
    metric.requires_grad_(True)
    with torch.no_grad():
        for parameter in metric.parameters():
            parameter.mul_(0.99)
    metric.save_pretrained(tmp_path / "whole")
    assert torch.allclose(create_metric(tmp_path / "whole")(IMAGES), metric(IMAGES), atol=1e-6)


def test_saving_again_replaces_the_metric_and_nothing_else(metric, encoder, tmp_path):
    for _ in range(2):
        metric.save_pretrained(tmp_path / "copy", backbone_checkpoint=encoder)
    (tmp_path / "copy" / "thesis.tex").write_text("mine")
    with pytest.raises(InvalidOptionError, match=r"contains more than an exported metric \(thesis\.tex\)"):
        metric.save_pretrained(tmp_path / "copy")


def test_a_built_in_metric_is_saved_and_its_snippet_works(tmp_path):
    metric = create_metric("lite_iqa")
    metric.save_pretrained(tmp_path / "lite")
    card = (tmp_path / "lite" / "README.md").read_text()
    assert yaml.safe_load(card.split("---\n")[1])["pipeline_tag"] == "image-classification"
    snippet = card.split("```python\n")[1].split("```")[0].replace('["photo.jpg", "other.jpg"]', "images")
    found = {"images": IMAGES}
    exec(snippet, found)
    assert torch.equal(found["metric"](IMAGES), metric(IMAGES))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m, _: Metric.from_pretrained("lite_iqa", revision="v2"), "revision of a repository on the Hub"),
        (lambda m, _: Metric.from_pretrained("me/x@v1", revision="v2"), "revision"),
        (lambda m, _: Metric.from_pretrained("lite_iqa", as_loss=True), "makes metrics"),
        (lambda m, p: m.save_pretrained(p / "x", private=True), "private is for publishing"),
        (lambda m, p: m.save_pretrained(p / "x", push_to_hub=True), "needs repo_id"),
        (lambda m, p: create_metric("lite_iqa", dtype=torch.bfloat16).save_pretrained(p / "x"), "saved in float32"),
        (lambda m, p: create_metric("lite_iqa", device="meta", weights=None).save_pretrained(p / "x"), "from the CPU"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_written(call, said, tmp_path):
    with pytest.raises(InvalidOptionError, match=said):
        call(create_metric("lite_iqa"), tmp_path)
    assert not list(Path(tmp_path).glob("x*"))


def test_a_name_that_nothing_can_have_is_unknown():
    with pytest.raises(UnknownMetricError):
        Metric.from_pretrained("lite_iqqa")


def test_the_token_is_shown_nowhere(hub, metric, encoder):
    metric.push_to_hub(REPO, token=TOKEN, backbone_checkpoint=encoder)
    again = Metric.from_pretrained(REPO, token=TOKEN, backbone_checkpoint=encoder)
    assert TOKEN not in repr(again.__dict__)
