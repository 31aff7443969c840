"""Prompts that were trained in memory come back from a file."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from perceptmetrics import create_metric
from perceptmetrics.errors import InvalidSpecError
from perceptmetrics.export.collect import trained_weights_of
from perceptmetrics.factory.build import Files, build_metric
from perceptmetrics.models.encoders import Placement
from perceptmetrics.spec import AntonymHeadSpec, ContextSpec, PoolSpec, PromptPair, RegressorSpec
from perceptmetrics.spec.json import spec_to_json
from perceptmetrics.weights.layouts import write_trained
from perceptmetrics.weights.resolve import ResolveOptions
from tests.support import small_clip
from tests.support.photographs import photographs

pytestmark = pytest.mark.usefixtures("cache")

PAIRS = tuple(
    PromptPair(name=name, positive=f"{good} photo.", negative=f"{bad} photo.")
    for name, good, bad in (("quality", "Good", "Bad"), ("brightness", "Bright", "Dark"))
)
CONTEXT = ContextSpec(length=4, weights=None)
REGRESSOR = PoolSpec(regressor=RegressorSpec(widths=(2, 5, 1), weights=None))


@pytest.fixture(scope="module", autouse=True)
def tiny_architectures(tmp_path_factory):
    small_clip.register(tmp_path_factory.mktemp("configurations"))


@pytest.fixture
def clip(tmp_path):
    save_file(small_clip.state(small_clip.build(small_clip.RESNET)), tmp_path / "clip.safetensors")
    return tmp_path / "clip.safetensors"


def spec_of(*, context=None, pool=None):
    spec = small_clip.spec(small_clip.RESNET, "drop")
    labels = () if pool else tuple(pair.name for pair in PAIRS)
    return replace(
        spec,
        name="prompts",
        head=AntonymHeadSpec(pairs=PAIRS, context=context),
        pool=pool or PoolSpec(),
        score=replace(spec.score, labels=labels, strict_range=False),
    )


def assembled(spec, clip, trained=None):
    files = Files(lookup=ResolveOptions(metric="prompts"), random=trained is None, trained=trained, encoder=clip)
    return build_metric(spec, files, Placement())


def test_a_regressor_and_a_context_come_back(tmp_path, clip):
    images = photographs(64, 96)[:2]
    spec = spec_of(context=CONTEXT, pool=REGRESSOR)
    given = {
        f"head.regressor.{name}": torch.randn_like(t)
        for name, t in assembled(spec, clip).pool.regressor.state_dict().items()
    }
    given["head.context"] = torch.randn(4, 64)
    save_file(given, tmp_path / "given.safetensors")
    metric = assembled(spec, clip, tmp_path / "given.safetensors")
    weights = trained_weights_of(metric, context=given["head.context"])
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "spec.json").write_text(spec_to_json(spec), encoding="utf-8")
    write_trained(folder / "model.safetensors", weights)
    written = load_file(folder / "model.safetensors")
    assert written.keys() == given.keys()
    assert all(torch.equal(written[name], given[name]) for name in given)
    assert torch.equal(create_metric(folder, backbone_checkpoint=clip)(images), metric(images))


def test_a_head_that_keeps_its_context_needs_none_to_be_passed(clip):
    spec = spec_of(context=CONTEXT)
    metric = assembled(spec, clip)
    with pytest.raises(InvalidSpecError, match="Pass the vectors as context="):
        trained_weights_of(metric)
    metric.head.context = torch.nn.Parameter(torch.ones(4, 64))
    assert torch.equal(trained_weights_of(metric).head["context"], torch.ones(4, 64))


def test_prompts_that_nobody_trained_have_nothing_to_store(clip):
    with pytest.raises(InvalidSpecError, match="'prompts' has no trained part"):
        trained_weights_of(assembled(spec_of(), clip))
