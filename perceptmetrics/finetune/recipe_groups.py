"""The recipes of the package in groups, for people who look for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceptmetrics.finetune.recipe_files import list_recipes, load_recipe

if TYPE_CHECKING:
    from perceptmetrics.finetune.recipe import Recipe

__all__ = ["recipe_groups"]

_OWN = "Your own ratings or classes"
_OFFLINE = "Small networks, offline"
_SINGLE, _SEVERAL, _ABLATIONS = "PerceptCLIP", "PerceptCLIP, several data sets", "PerceptCLIP, ablations"
_CLIP_IQA, _CLIP_UIQA = "CLIP-IQA+", "CLIP-UIQA"


def recipe_groups() -> dict[str, list[Recipe]]:
    """The recipes by group: those for users' own data first, then paper by paper.

    Returns:
        For each group's title its recipes, by name.

    Example:
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
