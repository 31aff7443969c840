"""What a recipe trains changes, everything else does not; what is exported scores as what was trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from perceptmetrics import create_metric
from perceptmetrics.errors import InvalidOptionError, WeightsError
from perceptmetrics.finetune.model.specs import run_specs
from perceptmetrics.finetune.model.start import EncoderSource, start
from perceptmetrics.finetune.run import exporter
from perceptmetrics.metrics import clip_encoders
from perceptmetrics.models.lora import merge_lora, unmerge_lora
from tests.finetune.cases import TWO, data_sets
from tests.finetune.tiny import LORA
from tests.support import small_clip
from tests.support.every_encoder import assembled, with_head

STANDARD = ("head={hidden: [8], dropout: 0.0, standardise: true}",)
TRAINED = {
    "head": ((), {"head"}),
    "standardised head": (STANDARD, {"head"}),
    "lora": (LORA, {"adapters", "head"}),
    "full": (("train=full",), {"encoder", "head"}),
    "full after the head": (("train=full", "head_first=true"), {"encoder", "head"}),
}
PROMPTS = (
    "train=prompts",
    "encoder=tiny-clip-vit",
    "head=null",
    "loss=mse",
    "views=[{kind: centre_crop, size: 64}]",
    "epochs=2",
    "lr=0.05",
)


def part_of(name):
    return "adapters" if ".adapters." in name else "head" if ".head." in name else "encoder"


@pytest.fixture
def watched(monkeypatch):
    """The learner of a run, with its weights as they were at the start and at the end of training."""
    seen = {}

    def remembering(recipe, specs, source, seed):
        learner = start(recipe, specs, source, seed)
        seen["learner"] = learner
        seen["before"] = {name: tensor.clone() for name, tensor in learner.state_dict().items()}
        return learner

    def exporting(learner, *arguments, **options):
        seen["after"] = {name: tensor.clone() for name, tensor in learner.state_dict().items()}
        return export(learner, *arguments, **options)

    export = exporter.export_trained
    monkeypatch.setattr("perceptmetrics.finetune.training.trial.start", remembering)
    monkeypatch.setattr(exporter, "export_trained", exporting)
    return seen


@pytest.mark.parametrize("kind", TRAINED)
def test_what_is_to_be_trained_changes_and_nothing_else(kind, watched, train, recipe, data, tmp_path):
    settings, parts = TRAINED[kind]
    result = train(recipe(*settings, "epochs=1"), [data], tmp_path / "run")
    before, after = watched["before"], watched["after"]
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        changed = not tensor.equal(after[name])
        assert changed == (part_of(name) in parts), name
    scores = create_metric(result.folder, **checkpoint(kind, train)).score_batch(some_pictures())
    torch.testing.assert_close(scores, watched["learner"].metric(0).score_batch(some_pictures()), rtol=1e-4, atol=1e-5)


def test_frozen_parts_of_an_encoder_stay_as_they_are(watched, train, recipe, data, tmp_path):
    frozen = ("patch_embed", "blocks.1")
    encoder = f"encoder={{name: 'timm:test_vit', frozen: [{', '.join(frozen)}]}}"
    train(recipe("train=full", encoder, "epochs=1"), [data], tmp_path / "run")
    for name, tensor in watched["before"].items():
        stays = name.partition("encoder.network.")[2].startswith(tuple(f"{part}." for part in frozen))
        assert stays == tensor.equal(watched["after"][name]), name


def test_frozen_part_that_an_encoder_lacks_is_refused(train, recipe, data, tmp_path):
    settings = ("train=full", "encoder={name: 'timm:test_vit', frozen: [block.1]}")
    with pytest.raises(InvalidOptionError, match=r"no weight belongs to 'block\.1'. Did you mean 'blocks\.1'"):
        train(recipe(*settings), [data], tmp_path / "run")


def checkpoint(kind, train):
    return {} if kind.startswith("full") else {"backbone_checkpoint": train.encoder}


def some_pictures():
    return torch.randint(0, 256, (3, 3, 64, 80), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_each_adapter_gets_a_gradient_and_each_trained_weight_one(recipe, data, encoder):
    """The first step moves `up` alone, which starts at zero; with it switched on, everything gets a gradient."""
    learned = recipe(*LORA)
    learner = start(learned, run_specs(learned, [data]), EncoderSource(file=encoder), seed=0)
    torch.manual_seed(0)
    for name, weight in learner.named_parameters():
        if name.endswith("up.weight"):
            torch.nn.init.normal_(weight, std=0.02)
    sample = [learner.metric(0).views(some_pictures()[:1])[0]]
    learner.train()([[sample] * 2])[0].sum().backward()
    for name, weight in learner.named_parameters():
        assert (weight.grad is not None and bool(weight.grad.abs().max() > 0)) == (part_of(name) != "encoder"), name


@pytest.fixture
def lora_run(train, recipe, data, tmp_path):
    return train(recipe(*LORA, "lr=1e-2"), [data], tmp_path / "run")


def test_merged_equals_unmerged_and_differs_from_the_base(lora_run, watched, train, recipe, data, tmp_path):
    train(recipe(*LORA, "lr=1e-2"), [data], tmp_path / "watched")
    metric = watched["learner"].metric(0)
    unmerge_lora(metric.encoder)
    unmerged = metric.score_batch(some_pictures())
    merge_lora(metric.encoder)
    torch.testing.assert_close(metric.score_batch(some_pictures()), unmerged, rtol=1e-4, atol=1e-5)
    unmerge_lora(metric.encoder)
    for name, weight in metric.encoder.named_parameters():
        if name.endswith("up.weight"):
            weight.data.zero_()
    assert (metric.score_batch(some_pictures()) - unmerged).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["lora", "full", "head"])
def test_encoder_of_another_metric_is_not_changed_by_training(kind, train, recipe, data, encoder, tmp_path):
    """Both read the same file, so they share its tensors until one is trained."""
    spec = run_specs(recipe(), [data])[0]
    other = assembled(with_head(spec.encoder), encoder)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    train(recipe(*TRAINED[kind][0], "epochs=1"), [data], tmp_path / "run")
    for name, tensor in other.state_dict().items():
        assert tensor.equal(before[name]), name


def test_heads_of_several_data_sets_share_their_base(train, recipe, pictures, few_pictures, encoder, tmp_path):
    sets = data_sets("two", pictures, few_pictures)
    result = train(recipe(TWO, "epochs=1"), sets, tmp_path / "run")
    assert result.metrics == {"many": tmp_path / "run" / "many", "few": tmp_path / "run" / "few"}
    one, other = (create_metric(path, backbone_checkpoint=encoder) for path in result.metrics.values())
    shared = {tensor.data_ptr() for tensor in one.encoder.parameters()}
    assert {tensor.data_ptr() for tensor in other.encoder.parameters()} == shared
    heads = [load_file(path / "model.safetensors") for path in result.metrics.values()]
    assert all(not heads[0][name].equal(heads[1][name]) for name in heads[0] if name.startswith("head."))


def test_predictions_are_those_of_the_exported_metric(train, recipe, data, encoder, tmp_path):
    result = train(recipe("epochs=1"), [data], tmp_path / "run")
    tested = result.splits[0].data_sets[0]
    metric = create_metric(result.folder, backbone_checkpoint=encoder)
    scores = metric.score([data.images[index] for index in tested.images])
    np.testing.assert_allclose(tested.scores[:, 0], scores.numpy(), rtol=1e-4, atol=1e-5)


def test_shared_head_is_exported_once(train, recipe, pictures, few_pictures, tmp_path):
    sets = data_sets("two", pictures, few_pictures)
    result = train(recipe(TWO, "heads=shared", "epochs=1"), sets, tmp_path / "run")
    assert result.metrics == {"many": tmp_path / "run"}
    assert [one.data_set for one in result.splits[0].data_sets] == ["many", "few"]


def median_of_best(result, stage):
    """Epochs that served the splits' models best, of those that were trained like the last one."""
    *tried, last = [one for one in result.stages if one.name.stage == stage]
    tried = [one for one in tried if one.name.lr == last.name.lr]
    best = [max(one.records, key=lambda record: (record.selection, -record.validation_loss)).epoch for one in tried]
    return round(np.median(best)) + 1


def test_each_stage_of_the_metric_of_all_images_is_trained_for_its_own_median(train, recipe, data, encoder, tmp_path):
    settings = (
        "splits={count: 3, export: all, validation: 0.4}",
        "train=full",
        "head_first=true",
        "patience=6",
        "epochs=2",
        "lr=1e-4",
    )
    settings = (*settings, "optimizer.head_epochs=6", "optimizer.head_lr=5e-2", "loss=mse", "seed=4")
    result = train(recipe(*settings), [data], tmp_path / "run")
    last = {stage.name.stage: len(stage.records) for stage in result.stages if stage.name.split == 3}
    assert last == {stage: median_of_best(result, stage) for stage in ("head_first", "main")}
    assert last["head_first"] < 6
    assert last["head_first"] != last["main"]


def test_metric_of_all_images_is_trained_for_the_median_of_the_splits_epochs(train, recipe, data, encoder, tmp_path):
    settings = ("splits={count: 3, export: all}", "patience=3", "epochs=4", "lr=[1e-3, 3e-3]")
    result = train(recipe(*settings), [data], tmp_path / "run")
    last = [stage for stage in result.stages if stage.name.split == 3]
    assert len(last) == 1
    assert len(last[0].records) == median_of_best(result, "main")
    rates = [split.lr for split in result.splits]
    assert last[0].name.lr == max(set(rates), key=rates.count)
    scores = create_metric(result.folder, backbone_checkpoint=encoder).score(list(data.images))
    assert abs(float(scores.mean()) - data.ratings.mean()) < 0.1  # on the scale of the ratings


@pytest.fixture
def tiny_clips(tmp_path, monkeypatch):
    small_clip.register(tmp_path)
    openai = clip_encoders.OPENAI_CLIP_WEIGHTS
    monkeypatch.setitem(openai, small_clip.VIT, openai["ViT-B-32"])
    path = tmp_path / "clip.safetensors"
    save_file(small_clip.state(small_clip.build(small_clip.VIT)), path)
    return path


@pytest.mark.parametrize(
    "prompts",
    [
        "{pairs: quality, length: 4}",
        "{pairs: [quality, natural], length: 2, shared: none, regressor: [4]}",
        "{pairs: [quality, natural], length: 2, shared: pair, regressor: [4]}",
    ],
)
def test_prompts_change_and_the_clip_does_not(prompts, tiny_clips, watched, train, recipe, data, tmp_path):
    settings = (*PROMPTS, f"prompts={prompts}")
    result = train(recipe(*settings), [data], tmp_path / "run", backbone_checkpoint=tiny_clips)
    context, regressor = "prompts.context", "pool.regressor."
    for name, tensor in watched["before"].items():
        if name.endswith(("text_features",)):  # made from the context
            continue
        assert (not tensor.equal(watched["after"][name])) == (name == context or regressor in name), name
    metric = create_metric(result.folder, backbone_checkpoint=tiny_clips)
    scores = metric.score_batch(some_pictures())
    torch.testing.assert_close(scores, watched["learner"].metric(0).score_batch(some_pictures()), rtol=1e-4, atol=1e-5)


def test_prompts_are_refused_beside_another_clip_than_they_were_trained_with(tiny_clips, train, recipe, data, tmp_path):
    result = train(
        recipe(*PROMPTS, "prompts={pairs: quality, length: 4}"),
        [data],
        tmp_path / "run",
        backbone_checkpoint=tiny_clips,
    )
    other = tmp_path / "other.safetensors"
    state = small_clip.state(small_clip.build(small_clip.VIT))
    save_file({name: tensor + 1e-3 if name.startswith("visual.") else tensor for name, tensor in state.items()}, other)
    with pytest.raises(WeightsError, match=r"trained with another encoder than .*other\.safetensors.*backbone_ch"):
        create_metric(result.folder, backbone_checkpoint=other)
