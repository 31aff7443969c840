"""Every setting of a recipe does something: a test for each, which fails when training ignores the setting."""

from __future__ import annotations

import itertools
import typing
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from perceptmetrics.apps.cli.app import app
from perceptmetrics.datasets import LabelledImages
from perceptmetrics.finetune import Recipe
from perceptmetrics.metrics import clip_encoders
from perceptmetrics.spec.plain import to_plain
from tests.finetune.observed import Observed, observe, plain, published_split
from tests.finetune.settings import (
    EFFECTS,
    FULL,
    IN_THE_COMMAND,
    PROMPTS,
    TWO_SETS,
    Effect,
    losses,
    parts,
    rates,
    samples,
    weights,
)
from tests.finetune.tiny import LORA, hurry, pooled, rated, tiny_recipe, write_pictures
from tests.support import small_clip
from tests.support.every_encoder import timm_network, write
from tests.unit.test_colour_profiles import PROFILES

COMMON = ("loss=mse", "epochs=1", "lr=1e-2")
METRICS = {"metric=FIRST": 0, "metric=SECOND": 1}  # trained with these seeds
CASES = [
    pytest.param(name, effect, id=f"{name} {number}" if number else name)
    for name, effects in EFFECTS.items()
    for number, effect in enumerate(effects if isinstance(effects, tuple) else (effects,))
]


def settings_of(section: type, prefix: str = "") -> Iterator[str]:
    """Names of the settings of a section of a recipe, and of the sections in it."""
    hints = typing.get_type_hints(section)
    for one in fields(section):
        inner = [kind for kind in _kinds(hints[one.name]) if is_dataclass(kind)]
        is_section = len(inner) == 1 and not prefix and inner[0].__module__.startswith("perceptmetrics.")
        if is_section and one.name != "views":
            yield from settings_of(inner[0], f"{one.name}.")
        else:
            yield prefix + one.name


def _kinds(hint: object) -> list[type]:
    """The classes that a type is made of."""
    inside = [kind for argument in typing.get_args(hint) for kind in _kinds(argument)]
    return [*inside, hint] if isinstance(hint, type) else inside


def test_every_setting_has_an_entry() -> None:
    assert {*EFFECTS, *IN_THE_COMMAND} == set(settings_of(Recipe))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Observed]]:
    """Runs a recipe with settings; each only once, however many tests look at it."""
    folder = tmp_path_factory.mktemp("settings")
    data = rated(write_pictures(folder / "many", 24))
    wide = rated(write_pictures(folder / "wide", 24))
    for path in wide.images:
        Image.open(path).save(path, icc_profile=PROFILES["ProPhoto"])
    asked = replace(data, pooled=(pooled(np.arange(1, 25), np.linspace(0.1, 0.5, 24)),))
    others = {
        "splits.official=": published_split(data),
        "icc=": wide,
        "confidence=": asked,
    }  # where these settings are looked at
    few = replace(rated(write_pictures(folder / "few", 12, seed=1)), name="few")
    files = {
        name: write(timm_network(name), folder / f"{name}.safetensors")
        for name in ("test_vit", "test_vit2", "test_resnet")
    }
    small_clip.register(folder)
    files["tiny-clip-vit"] = folder / "clip.safetensors"
    save_file(small_clip.state(small_clip.build(small_clip.VIT)), files["tiny-clip-vit"])
    done: dict[tuple[str, ...], Observed] = {}
    numbers = itertools.count()

    def trained(*settings: str, again: bool = False, exports: bool = False) -> Observed:
        if again or settings not in done:
            own = folder / f"run{next(numbers)}"
            own.mkdir()
            recipe = tiny_recipe(own, *COMMON, *stated(settings))
            name = "test_vit" if recipe.encoder is None else recipe.encoder.name.removeprefix("timm:")
            one = next((others[key] for key in others if any(setting.startswith(key) for setting in settings)), data)
            sets = [replace(data, name="many"), few] if len(recipe.data) == 2 else [one]
            done[settings] = observe(recipe, sets, own / "run", files[name], exports=exports)
        return done[settings]

    def stated(settings: tuple[str, ...]) -> list[str]:
        return [f"metric={metric(METRICS[one])}" if one in METRICS else one for one in settings]

    def metric(seed: int) -> Path:
        """The folder of a metric with a trained head."""
        return trained(f"seed={seed}", "name=first", exports=True).result.folder

    trained.stated = stated  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        openai = clip_encoders.OPENAI_CLIP_WEIGHTS
        patch.setitem(openai, small_clip.VIT, openai["ViT-B-32"])
        hurry(patch.setattr)
        yield trained


@pytest.fixture
def read(run: Callable[..., Observed], tmp_path: Path) -> Callable[..., Recipe]:
    """The recipe with settings."""
    return lambda *settings: tiny_recipe(tmp_path, *COMMON, *run.stated(settings))  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "effect"), CASES)
def test_two_runs_differ_in_nothing_but_the_setting(name: str, effect: Effect, read: Callable[..., Recipe]) -> None:
    one, other = (leaves(to_plain(read(*effect.base, *settings))) for settings in (effect.one, effect.other))
    assert {key for key in {*one, *other} if one.get(key) != other.get(key)} == {name}


def leaves(document: dict[str, Any], above: str = "") -> dict[str, Any]:
    """The values of a recipe by the name of their setting; those of several data sets are a list."""
    found: dict[str, Any] = {}
    for key, value in document.items():
        if key == "data" and not above:
            entries = [leaves(entry, "data.") for entry in value]
            found |= {inner: [entry[inner] for entry in entries] for inner in entries[0]}
        elif isinstance(value, dict) and not above:
            found |= leaves(value, f"{key}.")
        else:
            found[above + key] = value
    return found


@pytest.mark.parametrize(("name", "effect"), CASES)
def test_setting_changes_what_it_says(name: str, effect: Effect, run: Callable[..., Observed]) -> None:
    one, other = (plain(effect.sees(run(*effect.base, *settings))) for settings in (effect.one, effect.other))
    if effect.law is None:
        assert one != other
    else:
        assert effect.law(one, other)


@pytest.mark.parametrize("base", [(), FULL, LORA, TWO_SETS, PROMPTS], ids=["head", "full", "lora", "two", "prompts"])
def test_runs_of_the_same_settings_are_the_same(base: tuple[str, ...], run: Callable[..., Observed]) -> None:
    """So a difference comes from the setting: if it had no effect, there would be none."""
    first, second = run(*base), run(*base, again=True)
    for sees in (weights, losses, rates, samples, parts):
        assert plain(sees(first)) == plain(sees(second))


def test_command_reads_the_data_set_that_the_recipe_names_with_its_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def reading(name: str, folder: str, **options: object) -> LabelledImages:
        read.append((name, options))
        return rated(pictures)

    pictures = write_pictures(tmp_path / "pictures", 24)
    monkeypatch.setattr("perceptmetrics.datasets.load_dataset", reading)
    for name, columns in (("csv", "redness"), ("csv", "contrast"), ("livec", "redness")):
        entry = f"data=[{{name: {name}, options: {{columns: {columns}}}}}]"
        tiny_recipe(tmp_path, entry)
        words = ["finetune", str(tmp_path / "tiny.yaml"), "--set", entry, "--root", str(pictures), "--dry-run"]
        assert CliRunner().invoke(app, words).exit_code == 0
        assert read[-1] == (name, {"missing": "error", "columns": columns})
