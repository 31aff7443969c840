"""Every recipe of the package builds what it says, and says what the papers say (shared facts, not code)."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from itertools import pairwise

import pytest

from perceptmetrics.datasets import dataset_info
from perceptmetrics.finetune import list_recipes, load_recipe, make_plan, recipe_groups
from perceptmetrics.finetune.model.specs import run_specs
from perceptmetrics.finetune.recipe import OptimizerRecipe, Recipe
from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD
from perceptmetrics.spec import CentreCropView, CropsView, FragmentsView, LoraSpec, SalientView, WholeView
from tests.recipes.made_up import data_for

RECIPES = {name: load_recipe(name) for name in list_recipes()}
GROUPS = {title: [recipe.name for recipe in recipes] for title, recipes in recipe_groups().items()}
KONIQ_TRAINING_IMAGES = 7_058  # of the authors' split
METHODS = ("PerceptCLIP (", "CLIP-IQA+ (", "CLIP-UIQA (", "this project")

# Encoder and projection, from the architectures: ViT-L/14 at 224 with CLIP's 768 x 1024 projection.
VIT_L_14 = (
    3 * 14 * 14 * 1024 + 1024 + (16 * 16 + 1) * 1024 + 2 * 2 * 1024  # patches, summary, positions, two norms
    + 24 * (4 * (1024 * 1024 + 1024) + 2 * 4 * 1024 * 1024 + 4 * 1024 + 1024 + 2 * 2 * 1024)
    + 1024 * 768
)  # fmt: skip
ADAPTERS = 24 * 3 * 16 * (1024 + 1024)


def perceptron(*widths: int) -> int:
    return sum((inputs + 1) * outputs for inputs, outputs in pairwise(widths))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_its_files_name_and_says_where_it_comes_from(name: str) -> None:
    text = (files("perceptmetrics.finetune") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
    assert RECIPES[name].name == name
    assert RECIPES[name].source.startswith(METHODS)
    assert text.startswith("# ")


@pytest.mark.parametrize("name", [name for name in RECIPES if not RECIPES[name].source.startswith("this project")])
def test_a_recipe_of_a_paper_says_what_is_reported_or_chosen(name: str) -> None:
    text = (files("perceptmetrics.finetune") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
    assert "reported" in text.lower() or "chosen here" in text.lower()


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_can_be_planned(name: str) -> None:
    recipe = RECIPES[name]
    data = data_for(recipe)
    plan = make_plan(recipe, data)
    assert 0 < plan.trained <= plan.weights
    assert (plan.trained == plan.weights) == (recipe.train == "full" and not recipe.encoder.frozen)
    assert plan.splits == recipe.splits.count
    assert plan.memory > 4 * plan.weights
    assert plan.activations > 0
    heads = 1 if recipe.heads == "shared" else len(data)
    assert [spec.task for spec in run_specs(recipe, data)] == [recipe.task] * heads


@pytest.mark.parametrize(("name", "outputs"), [("perceptclip_koniq10k", 1), ("perceptclip_emoset", 8)])
def test_perceptclip_trains_as_many_weights_as_the_paper_says(name: str, outputs: int) -> None:
    plan = make_plan(RECIPES[name], data_for(RECIPES[name]))
    head = perceptron(768, 512, 256, outputs)
    assert plan.trained == ADAPTERS + head < 3_700_000
    assert plan.weights == VIT_L_14 + ADAPTERS + head
    assert round(plan.weights / 1e6, 2) == 306.85


@pytest.mark.parametrize("name", ["perceptclip_livec_koniq10k_spaq", "perceptclip_kadid10k_live_tid2013"])
def test_data_sets_share_adapters_and_have_heads_of_their_own(name: str) -> None:
    plan = make_plan(RECIPES[name], data_for(RECIPES[name]))
    assert plan.trained == ADAPTERS + 3 * perceptron(768, 512, 256, 1)
    assert RECIPES[name].second_stage


def test_prompts_are_trained_alone_or_with_their_regressor() -> None:
    shared, own, views, regressed = (
        make_plan(RECIPES[name], data_for(RECIPES[name])).trained
        for name in (
            "clipiqa+_koniq10k",
            "clipiqa+_vitL14_512_koniq10k",
            "clip_uiqa_koniq10k",
            "clip_uiqa_koniq10k_pairs",
        )
    )
    assert (shared, own, views) == (16 * 512, 2 * 16 * 768, 8192)
    assert regressed == 7 * 16 * 512 + perceptron(7, 128, 128, 1)


@pytest.mark.parametrize("name", GROUPS["PerceptCLIP"])
def test_perceptclip_is_trained_as_the_paper_trains_it(name: str) -> None:
    recipe = RECIPES[name]
    assert recipe.lora == LoraSpec(rank=16, alpha=8, dropout=0.1, targets=("q", "k", "v"))
    assert recipe.head is not None
    assert (recipe.head.hidden, recipe.head.activation, recipe.head.dropout) == ((512, 256), "relu", 0.5)
    assert recipe.optimizer == OptimizerRecipe(
        algorithm="adamw", lr=(5e-5, 1e-4, 5e-4, 1e-3), weight_decay=1e-4, batch_size=32, epochs=40, patience=12
    )
    augmentation = recipe.augmentation
    flips = (augmentation.horizontal_flip, augmentation.vertical_flip, augmentation.random_resized_crop)
    if recipe.task == "quality":
        assert recipe.loss == "plcc"
        assert recipe.views == (CropsView(height=512, width=384, size=224, count=15),)
        assert flips == (True, True, False)
        assert 3 <= augmentation.replicas <= 10
    else:
        assert recipe.loss == {"memorability": "mse", "emotion": "cross_entropy"}[recipe.task]
        assert recipe.views == (CentreCropView(size=224),)
        assert flips == ((True, False, True) if recipe.task == "emotion" else (False, False, False))
        assert augmentation.replicas == 1


@pytest.mark.parametrize("name", GROUPS["PerceptCLIP"])
def test_a_data_set_is_split_as_its_card_says(name: str) -> None:
    recipe, (entry,) = RECIPES[name], RECIPES[name].data
    info, splits = dataset_info(entry.name), RECIPES[name].splits
    assert recipe.task == info.task
    assert splits.count == info.split_count
    if info.name not in ("lamem", "sun", "emoset"):  # whose splits are published
        assert (splits.test, splits.validation) == pytest.approx((info.test_fraction, info.validation_fraction))


def test_every_data_set_of_the_paper_has_a_recipe() -> None:
    quality = {"livec", "koniq10k", "spaq", "flive", "live", "tid2013", "kadid10k"}
    others = {"lamem", "things", "sun", "emoset", "emotionroi"}
    assert {RECIPES[name].data[0].name for name in GROUPS["PerceptCLIP"]} == quality | others


@pytest.mark.parametrize(
    ("variant", "changes"),
    [
        ("full", {"train": "full", "lora": None}),
        ("frozen", {"train": "head", "lora": None}),
        ("linear", {"head.hidden": ()}),
        ("vitb32", {"encoder.name": "ViT-B-32"}),
        ("vitb16", {"encoder.name": "ViT-B-16"}),
        ("mae", {"encoder.name": "timm:vit_large_patch16_224.mae", "encoder.normalization": "clip"}),
        ("dinov2", {"encoder.name": "timm:vit_large_patch14_dinov2.lvd142m", "encoder.normalization": "clip"}),
    ],
)
def test_an_ablation_changes_one_thing(variant: str, changes: dict[str, object]) -> None:
    expected = RECIPES["perceptclip_koniq10k"]
    for key, value in changes.items():
        section, _, leaf = key.rpartition(".")
        part = replace(getattr(expected, section), **{leaf: value}) if section else value
        expected = replace_unchecked(expected, section or key, part)
    ablation = RECIPES[f"perceptclip_koniq10k_{variant}"]
    texts = {"name": ablation.name, "summary": ablation.summary, "source": ablation.source}
    assert ablation == replace(expected, **texts)


def replace_unchecked(recipe: Recipe, name: str, value: object) -> Recipe:
    """A copy with one field changed, which need not be a whole recipe yet."""
    changed = object.__new__(Recipe)
    for field in recipe.__dataclass_fields__:
        object.__setattr__(changed, field, value if field == name else getattr(recipe, field))
    return changed


def steps(recipe: Recipe) -> int:
    assert recipe.data[0].options["official_split"] is True
    return recipe.optimizer.epochs * -(-KONIQ_TRAINING_IMAGES // recipe.optimizer.batch_size)


@pytest.mark.parametrize("name", GROUPS["CLIP-IQA+"])
def test_clipiqa_plus_is_trained_as_released(name: str) -> None:
    recipe = RECIPES[name]
    assert recipe.prompts is not None
    assert (recipe.prompts.pairs, recipe.prompts.length, recipe.prompts.position) == (("quality",), 16, "middle")
    assert (recipe.prompts.init, recipe.loss, recipe.views) == (None, "mse", (WholeView(),))
    optimizer = recipe.optimizer
    assert (optimizer.algorithm, optimizer.lr, optimizer.momentum, optimizer.weight_decay) == ("sgd", (2e-3,), 0, 0)
    assert (optimizer.batch_size, optimizer.schedule, optimizer.period) == (64, "cosine_restarts", 300_000)
    assert 80_000 <= steps(recipe) <= 100_000
    embedding = "drop" if name == "clipiqa+_koniq10k" else "interpolate_table"
    assert recipe.encoder.positional_embedding == embedding
    assert recipe.prompts.shared == ("all" if embedding == "drop" else "none")


def test_baseline_of_clip_uiqa_is_trained_in_the_four_settings_of_figure_9() -> None:
    settings = set()
    for name in GROUPS["CLIP-UIQA"]:
        recipe, optimizer = RECIPES[name], RECIPES[name].optimizer
        assert steps(recipe) == pytest.approx(10_000, abs=55)  # half an epoch
        if len(recipe.views) == 1:
            rates = (optimizer.algorithm, optimizer.lr, optimizer.weight_decay, optimizer.period, optimizer.min_lr)
            settings.add((recipe.loss, *rates))
    sgd, adamw = ("sgd", (2e-3,), 0.0, 300_000, 1e-7), ("adamw", (2e-4,), 0.01, 8_000, 1e-6)
    assert settings == {(loss, *rates) for loss in ("mse", "charbonnier") for rates in (sgd, adamw)}


@pytest.mark.parametrize(
    ("name", "pairs", "shared", "regressor"),
    [("clip_uiqa_koniq10k", 1, "all", None), ("clip_uiqa_koniq10k_pairs", 7, "pair", (128, 128))],
)
def test_clip_uiqa_shows_three_views(name: str, pairs: int, shared: str, regressor: tuple[int, ...] | None) -> None:
    recipe = RECIPES[name]
    assert recipe.views == (WholeView(), SalientView(size=448), FragmentsView(grid=12, cell=32))
    prompts = recipe.prompts
    assert prompts is not None
    assert (len(prompts.pairs), prompts.shared, prompts.regressor, prompts.aggregation) == (
        pairs,
        shared,
        regressor,
        "mean",
    )


@pytest.mark.parametrize("name", ["perceptclip_koniq10k", "perceptclip_koniq10k_dinov2", "perceptclip_koniq10k_mae"])
def test_ablations_of_the_encoder_normalise_as_clip(name: str) -> None:
    (spec,) = run_specs(RECIPES[name], data_for(RECIPES[name]))
    assert (spec.views.mean, spec.views.std) == (CLIP_MEAN, CLIP_STD)
    if name != "perceptclip_koniq10k":
        own = load_recipe(name, ["normalization=own"])
        assert run_specs(own, data_for(own))[0].views.mean == (0.485, 0.456, 0.406)


def test_every_recipe_is_in_one_group() -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == list_recipes()
    assert all(GROUPS.values())


@pytest.mark.parametrize("name", GROUPS["Your own ratings or classes"])
def test_recipes_for_own_data_read_a_csv(name: str) -> None:
    (entry,) = RECIPES[name].data
    assert entry.name == "csv"
    assert entry.options == ({"class_column": "class"} if RECIPES[name].task == "emotion" else {})


def test_an_encoder_that_a_file_names_in_short_can_be_set_in_part() -> None:
    recipe = load_recipe("perceptclip_quality", ["encoder.name=RN50", "positional_embedding=drop"])
    assert (recipe.encoder.name, recipe.encoder.positional_embedding) == ("RN50", "drop")


def test_an_encoder_by_its_name_alone_replaces_the_whole_section() -> None:
    assert load_recipe("clipiqa+_koniq10k", ["encoder=RN101"]).encoder.positional_embedding is None


@pytest.mark.parametrize(
    ("name", "url", "terms"),
    [
        ("perceptclip_koniq10k", "https://arxiv.org/abs/2503.13260", "CLIP weights by OpenAI: MIT"),
        ("clipiqa+_koniq10k", "https://arxiv.org/abs/2207.12396", "CLIP weights by OpenAI: MIT"),
        (
            "perceptclip_koniq10k_mae",
            "https://arxiv.org/abs/2503.13260",
            "vit_large_patch16_224.mae has its own terms",
        ),
        ("lite_livec", "none", "tf_efficientnet_lite0 has its own terms"),
    ],
)
def test_the_card_names_the_paper_and_the_terms_of_the_encoder(name: str, url: str, terms: str) -> None:
    (spec,) = run_specs(RECIPES[name], data_for(RECIPES[name]))
    assert spec.card.paper_url == url
    assert spec.card.licence.endswith(terms)
