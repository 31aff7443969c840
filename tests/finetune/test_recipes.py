"""Recipe files: mistakes are named, short forms are understood, every shipped one loads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perceptmetrics.errors import InvalidOptionError, InvalidSpecError
from perceptmetrics.finetune import list_recipes, load_recipe, make_plan, parse_value, recipe_to_yaml
from perceptmetrics.finetune.recipe import OptimizerRecipe
from tests.finetune.cases import TWO
from tests.finetune.tiny import LORA, RECIPE, WIDTH, tiny_recipe


@pytest.mark.parametrize("name", list_recipes())
def test_shipped_recipe_loads_says_what_it_is_and_survives_writing(name, tmp_path):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.summary.endswith(".")
    (tmp_path / "written.yaml").write_text(recipe_to_yaml(recipe), encoding="utf-8")
    assert load_recipe(tmp_path / "written.yaml") == recipe


MISTAKES = {
    "optimiser: {lr: 1}": "'optimiser'.*optimizer",
    "optimizer: {learning_rat: 1}": "'learning_rat'",
    "optimizer: {epoch: 1}": "'epoch'.*epochs",
    "head: {hiden: [2]}": "'hiden'.*hidden",
    "encoder: {nam: x}": "'nam'.*name",
    "lora: {rnk: 2, alpha: 1}": "'rnk'.*rank",
    "augmentation: {horizontal_flp: true}": "'horizontal_flp'.*horizontal_flip",
    "splits: {cont: 3}": "'cont'.*count",
    "views: [{kind: hole}]": "whole.*'hole'",
    "views: [{kind: centre_crop, sze: 3}]": "'sze'.*size",
    "data: [{nme: csv}]": "'nme'.*name",
    "train: loar": "train must be one of lora.*'loar'",
    "loss: pllc": "loss must be one of plcc.*'pllc'",
    "task: quaility": "task must be one of.*quality.*'quaility'",
    "head: {activation: rleu}": "head.activation must be one of relu.*'rleu'",
    "head: {feature_map: log}": "head.feature_map must be one of.*signed_log.*'log'",
    "encoder: {name: ViT-L-14, features: stage}": "encoder.features must be one of stages.*'stage'",
    "optimizer: {schedule: cosin}": "optimizer.schedule must be one of.*cosine.*'cosin'",
    "optimizer: {precision: half}": "optimizer.precision must be one of.*float16.*'half'",
    "optimizer: {algorithm: adam}": "optimizer.algorithm must be one of adamw.*'adam'",
    "optimizer: {lr: 0}": "positive learning rates",
    "optimizer: {lr: fast}": "optimizer.lr.*'fast'",
    "optimizer: {epochs: 2.5}": "optimizer.epochs must be of type int",
    "optimizer: {patience: 0}": "optimizer.patience must be positive or null",
    "optimizer: {warmup: -1}": "optimizer.warmup must be 0 or more",
    "optimizer: {period: 5}": "optimizer.period goes with",
    "optimizer: {schedule: cosine_restarts}": "optimizer.period goes with",
    "heads: own": "heads must be 'each' or 'shared'",
    "head: null": "either a head of layers",
    "train: lora": "train: lora goes with lora:",
    "second_stage: true": "with train: head the encoder is never trained",
    "optimizer: {min_samples: 0}": "optimizer.min_samples must be positive",
    "head_first: true": "with train: head the encoder is never trained",
    "augmentation: {random_resized_crop: true}": "goes with a single view of kind centre_crop, got whole",
    "views: [{kind: centre_crop, size: 8}]\naugmentation: {random_crop: 8}": "kind whole, got centre_crop",
    "augmentation: {random_fragments: true}": "goes with a view of kind fragments, got whole",
    "seed: -1": "seed must be 0 or more",
    "splits: {test: 1.0}": "splits.test must be between",
    "- a list": "not valid YAML|must be a mapping",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_in_a_file_is_named(mistake, tmp_path):
    names = {line.partition(":")[0] for line in mistake.splitlines()}
    lines = [line for line in RECIPE.splitlines() if line.partition(":")[0] not in names]
    with pytest.raises(InvalidSpecError, match=MISTAKES[mistake]):
        tiny_recipe(tmp_path, text="\n".join([*lines, mistake]))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epoch=3", r"no key 'epoch'.*epochs"),
        ("optimizer.epoch=3", r"no key 'optimizer.epoch'.*optimizer.epochs"),
        ("optimiser.epochs=3", r"no key 'optimiser.epochs'.*optimizer.epochs"),
        ("epochs", r"key=value"),
        ("lr=[1e-3", r"not valid YAML"),
    ],
)
def test_mistake_in_a_setting_is_named(setting, message, tmp_path):
    with pytest.raises(InvalidOptionError, match=message):
        tiny_recipe(tmp_path, setting)


def test_ambiguous_setting_is_refused_unless_one_section_is_there(tmp_path):
    assert tiny_recipe(tmp_path, "dropout=0.25").head.dropout == 0.25
    with pytest.raises(InvalidOptionError, match=r"State which: head.dropout, lora.dropout"):
        tiny_recipe(tmp_path, *LORA, "dropout=0.25")


def test_settings_change_what_they_name(tmp_path):
    changed = tiny_recipe(tmp_path, "lr=[1e-4, 5e-5]", "optimizer.epochs=9", "encoder.features=pooled", "data=livec")
    plain = tiny_recipe(tmp_path)
    assert changed.optimizer == replace(plain.optimizer, lr=(1e-4, 5e-5), epochs=9)
    assert changed.encoder == replace(plain.encoder, features="pooled")  # the file has it in its short form
    assert [entry.name for entry in changed.data] == ["livec"]
    assert replace(changed, optimizer=plain.optimizer, encoder=plain.encoder, data=plain.data) == plain


@pytest.mark.parametrize("text", ["1e-4", "1E-4", "+1e-4", "1.0e-4", "0.0001", ".1e-3", "100e-6"])
def test_numbers_with_exponents_are_numbers(text, tmp_path):
    assert parse_value(text, "lr=") == pytest.approx(1e-4)
    assert tiny_recipe(tmp_path, f"lr={text}").optimizer.lr == pytest.approx((1e-4,))
    assert tiny_recipe(tmp_path, text=RECIPE.replace("1e-3", text)).optimizer.lr == pytest.approx((1e-4,))


@pytest.mark.parametrize("text", ["e4", "1e", "v1e-4", "1-4"])
def test_words_are_not_taken_for_numbers(text):
    assert parse_value(text, "x=") == text


def test_base_is_merged_section_by_section(tmp_path):
    (tmp_path / "changed.yaml").write_text(
        "base: lite_livec\nname: mine\nhead: {dropout: 0.1}\noptimizer: {lr: [1e-4]}\nencoder: {features: pooled}\n"
    )
    base, mine = load_recipe("lite_livec"), load_recipe(tmp_path / "changed.yaml")
    assert mine.name == "mine"
    assert mine.head == replace(base.head, dropout=0.1)
    assert mine.optimizer == replace(base.optimizer, lr=(1e-4,))
    assert mine.encoder == replace(base.encoder, features="pooled")
    assert mine.views == base.views


@pytest.mark.parametrize("base", ["lite_livc", "missing.yaml"])
def test_base_that_is_not_there_is_named(base, tmp_path):
    (tmp_path / "changed.yaml").write_text(f"base: {base}\nname: mine\n")
    with pytest.raises(InvalidOptionError, match=base):
        load_recipe(tmp_path / "changed.yaml")


def test_recipe_that_is_its_own_base_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("base: b.yaml\n")
    (tmp_path / "b.yaml").write_text("base: a.yaml\n")
    with pytest.raises(InvalidSpecError, match=r"a.yaml > b.yaml > a.yaml"):
        load_recipe("a.yaml")


def test_unknown_recipe_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(InvalidOptionError, match="lite_livec"):
        load_recipe("lite_livek")


@pytest.mark.parametrize("field", ["weight_decay", "min_lr", "momentum"])
def test_negative_numbers_are_refused(field):
    with pytest.raises(InvalidSpecError, match=field):
        OptimizerRecipe(**{field: -0.1})


HEAD = WIDTH * 16 + 16 + 16 + 1
BLOCKS, WIDE = 6, 64


def encoder_weights(encoder):
    from safetensors.torch import load_file

    return sum(tensor.numel() for name, tensor in load_file(encoder).items() if not name.startswith("head."))


@pytest.mark.parametrize(
    ("settings", "trained"),
    [
        ((), lambda whole, blocks: HEAD),
        (LORA, lambda whole, blocks: HEAD + blocks * 3 * 2 * (2 * WIDTH)),
        (("train=full",), lambda whole, blocks: HEAD + whole),
        ((TWO,), lambda whole, blocks: 2 * HEAD),
        ((TWO, "heads=shared"), lambda whole, blocks: HEAD),
    ],
)
def test_plan_counts_weights_images_and_steps(settings, trained, recipe, pictures, few_pictures, encoder):
    from tests.finetune.cases import data_sets
    from tests.support.every_encoder import VIT, timm_network

    sets = data_sets("two", pictures, few_pictures)[: 2 if TWO in settings else 1]
    plan = make_plan(recipe(*settings, "splits.count=3", "replicas=2", "lr=[1e-3, 1e-4]"), sets)
    whole, blocks = encoder_weights(encoder), len(timm_network(VIT).blocks)
    assert plan.trained == trained(whole, blocks)
    heads = 2 if TWO in settings and len(settings) == 1 else 1
    adapters = trained(0, blocks) - heads * HEAD
    assert plan.weights == whole + heads * HEAD + adapters
    assert plan.images["many"] == (29, 3, 8)
    assert plan.steps == (-(-2 * 29 // 8) if len(sets) == 1 else 2 * 9 // 8)  # 8 samples of the small one in each batch
    assert (plan.splits, plan.models, plan.epochs) == (3, 6, 3)
    assert plan.cached == (settings != LORA and "train=full" not in settings)


def test_plan_knows_the_activations_of_a_step(recipe, data, encoder):
    """Against what autograd keeps in a real pass of the same batch."""
    import torch

    from perceptmetrics.finetune.model.specs import run_specs
    from perceptmetrics.finetune.model.start import EncoderSource, start

    learned = recipe("train=full", "batch_size=6")
    learner = start(learned, run_specs(learned, [data]), EncoderSource(file=encoder), seed=0).train()
    own = {weight.untyped_storage().data_ptr() for weight in learner.parameters()}
    kept = {}

    def remember(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    pixels = torch.rand(1, 3, 64, 64)
    with torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor):
        outputs = learner([[[pixels]] * 6])
    assert outputs[0].shape == (6, 1)
    plan = make_plan(learned, [data])
    assert 0.7 < plan.activations / sum(kept.values()) < 1.4
    assert plan.memory > plan.activations + 4 * 4 * encoder_weights(encoder)
    halved = make_plan(replace(learned, optimizer=replace(learned.optimizer, accumulation=2)), [data])
    assert 0.4 < halved.activations / plan.activations < 0.6
    assert make_plan(learned, [data], processes=2).activations == halved.activations
