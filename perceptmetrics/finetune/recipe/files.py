"""Recipe files: YAML files of the package or of users, settings that override them, and groups to list them in."""

from __future__ import annotations

import re
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perceptmetrics.errors import InvalidOptionError, InvalidSpecError, MissingExtraError, nearest_names
from perceptmetrics.finetune.recipe.model_sections import EncoderRecipe, HeadRecipe, PromptsRecipe
from perceptmetrics.finetune.recipe.recipe import Recipe
from perceptmetrics.finetune.recipe.training_sections import (
    AugmentationRecipe,
    OptimizerRecipe,
    ReportRecipe,
    SplitRecipe,
)
from perceptmetrics.spec import LoraSpec
from perceptmetrics.spec.plain import from_plain, to_plain

try:
    import yaml
except ImportError as error:
    raise MissingExtraError("Finetuning", "finetune") from error

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

__all__ = ["list_recipes", "load_recipe", "parse_value", "recipe_groups", "recipe_to_yaml"]

_SUFFIX = ".yaml"
_SECTIONS = {
    "encoder": EncoderRecipe,
    "head": HeadRecipe,
    "prompts": PromptsRecipe,
    "lora": LoraSpec,
    "augmentation": AugmentationRecipe,
    "optimizer": OptimizerRecipe,
    "splits": SplitRecipe,
    "report": ReportRecipe,
}
_BASE = "base"  # key that names another recipe, from which a file states only the differences
_OWN = "Your own ratings or classes"
_OFFLINE = "Small networks, offline"
_SINGLE, _SEVERAL, _ABLATIONS = "PerceptCLIP", "PerceptCLIP, several data sets", "PerceptCLIP, ablations"
_CLIP_IQA, _CLIP_UIQA = "CLIP-IQA+", "CLIP-UIQA"


class _Loader(yaml.SafeLoader):
    """YAML in which `1e-4` is a number, as in YAML 1.2."""


_FLOAT = r"^[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)(?:[eE][-+]?[0-9]+)$"


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(_FLOAT), list("-+0123456789."))


def list_recipes() -> list[str]:
    """Names of the recipes of the package, in alphabetical order."""
    folder = files("perceptmetrics.finetune") / "recipes"
    return sorted(entry.name.removesuffix(_SUFFIX) for entry in folder.iterdir() if entry.name.endswith(_SUFFIX))


def load_recipe(name: str | os.PathLike[str], settings: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        name: Name of a recipe of the package, or a YAML file.
        settings: Changes, each `"key=value"` with the value in YAML: `"optimizer.lr=[1e-4]"`, or `"lr=1e-4"` for short
            if no other section has a key of this name.

    Returns:
        The recipe.

    Raises:
        InvalidOptionError: There is no such recipe, or no such key; the message lists the nearest names.
        InvalidSpecError: The file is not a recipe; the message names the field.
    """
    document = _read(str(name), ())
    for setting in settings:
        _apply(document, setting)
    return from_plain(Recipe, _normalised(document), "recipe")


def recipe_to_yaml(recipe: Recipe) -> str:
    """Write a recipe with all its keys, as `load_recipe` reads it."""
    return str(yaml.safe_dump(to_plain(recipe), sort_keys=False, allow_unicode=True, default_flow_style=None))


def parse_value(text: str, setting: str) -> Any:
    """Read the value of a setting, which is YAML.

    Raises:
        InvalidOptionError: It is not.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise InvalidOptionError(
            f"The value of {setting!r} is not valid YAML: {' '.join(str(error).split())}"
        ) from error


def _read(name: str, above: tuple[str, ...]) -> dict[str, Any]:
    if name in above:
        raise InvalidSpecError(f"{name} is its own base: {' > '.join([*above, name])}.")
    document = _normalised(_parse(_text_of(name), name))
    base = document.pop(_BASE, None)
    complete = document if base is None else _merged(_read(str(base), (*above, name)), document)
    return _with_encoder_section(complete)


def _with_encoder_section(document: dict[str, Any]) -> dict[str, Any]:
    """Turn an encoder that a file states by its name alone into a section, which then replaces that of the base."""
    encoder = document.get("encoder")
    return document | {"encoder": {"name": encoder}} if isinstance(encoder, str) else document


def _text_of(name: str) -> str:
    if name.endswith((_SUFFIX, ".yml")):
        try:
            return Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidOptionError(f"Cannot read the recipe {name}: {error}.") from error
    if name not in list_recipes():
        raise InvalidOptionError(
            f"There is no recipe {name!r}. {nearest_names(name, list_recipes())} The name of a file must end in .yaml."
        )
    return (files("perceptmetrics.finetune") / "recipes" / f"{name}{_SUFFIX}").read_text(encoding="utf-8")


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise InvalidSpecError(f"{where} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise InvalidSpecError(f"{where} must be a mapping of keys to values, got {type(document).__name__}.")
    return document


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Merge `changes` into `base`: sections key by key; lists and values are replaced."""
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _apply(document: dict[str, Any], setting: str) -> None:
    key, found, text = setting.partition("=")
    if not found:
        raise InvalidOptionError(f"A setting has the form key=value, such as lr=1e-4; got {setting!r}.")
    section, leaf = _find_key(key.strip(), document)
    value = parse_value(text, setting)
    for name in section:
        document[name] = document.get(name) or {}
        document = document[name]
    document[leaf] = value


def _find_key(key: str, document: dict[str, Any]) -> tuple[list[str], str]:
    """Section and name of a key, whose section may be left out."""
    keys = _known_keys()
    if key not in keys:
        matches = [known for known in keys if known.rpartition(".")[2] == key]
        present = [match for match in matches if isinstance(document.get(match.partition(".")[0]), dict)]
        matches = present if len(present) == 1 else matches
        if len(matches) != 1:
            hint = f"State which: {', '.join(matches)}." if matches else nearest_names(key, [*keys, *_leaves(keys)])
            raise InvalidOptionError(f"A recipe has no key {key!r}. {hint}")
        key = matches[0]
    *section, leaf = key.split(".")
    return section, leaf


def _known_keys() -> list[str]:
    """All keys of a recipe, with their sections."""
    nested = [f"{name}.{field.name}" for name, section in _SECTIONS.items() for field in fields(section)]
    return [*(field.name for field in fields(Recipe)), *nested]


def _leaves(keys: Sequence[str]) -> list[str]:
    return [key.rpartition(".")[2] for key in keys]


def _normalised(document: dict[str, Any]) -> dict[str, Any]:
    """Expand abbreviations: a value instead of a list of one, a name instead of a data set or an encoder."""
    document = dict(document)
    if "data" in document:
        data = document["data"] if isinstance(document["data"], list) else [document["data"]]
        document["data"] = [{"name": entry} if isinstance(entry, str) else entry for entry in data]
    for section, leaf in (("optimizer", "lr"), ("prompts", "pairs")):
        values = document.get(section)
        if isinstance(values, dict) and leaf in values and not isinstance(values[leaf], list):
            document[section] = values | {leaf: [values[leaf]]}
    return _with_encoder_section(document)


def recipe_groups() -> dict[str, list[Recipe]]:
    """The recipes by group: those for users' own data first, then paper by paper.

    Returns:
        The recipes of each group, by the group's title; within a group in alphabetical order.

    Examples:
        >>> [recipe.name for recipe in recipe_groups()["PerceptCLIP, several data sets"]][-1]
        'perceptclip_livec_koniq10k_spaq'
    """
    groups: dict[str, list[Recipe]] = {
        title: [] for title in (_OWN, _OFFLINE, _SINGLE, _SEVERAL, _ABLATIONS, _CLIP_IQA, _CLIP_UIQA)
    }
    for name in list_recipes():
        recipe = load_recipe(name)
        groups[_group_of(recipe)].append(recipe)
    return groups


def _group_of(recipe: Recipe) -> str:
    if any(entry.name == "csv" for entry in recipe.data):
        return _OWN
    for method in (_CLIP_IQA, _CLIP_UIQA):
        if recipe.source.startswith(method):
            return method
    if not recipe.source.startswith(_SINGLE):
        return _OFFLINE
    if "ablation" in recipe.source:
        return _ABLATIONS
    return _SEVERAL if len(recipe.data) > 1 else _SINGLE
