"""How an image is shown in training.

    pixels (3, H, W) uint8 --prepare, always the same--> pixels --draw, from a seed--> one tensor for each view

What is not varied goes through the metric's own views, so that training sees what scoring sees.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from perceptmetrics.functional.image import enlarge_to, normalise, resize, shrink_to_long_side
from perceptmetrics.images.load import to_unit_float
from perceptmetrics.spec import CentreCropView, CropsView, WholeView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from perceptmetrics.finetune.recipe_sections import AugmentationRecipe
    from perceptmetrics.models.views import Views

__all__ = ["Sample", "TrainingViews", "draw_sides", "mirror_images"]

Sample: TypeAlias = "list[Tensor]"
"""What is shown of an image: for each view, shape (V, 3, h, w) as pixels, or (V, D) as features."""

# Of torchvision's RandomResizedCrop, which PerceptCLIP's emotion model was trained with.
_AREA, _ASPECT, _ATTEMPTS = (0.08, 1.0), (3 / 4, 4 / 3), 10


class TrainingViews:
    """Shows images as a recipe says.

    Args:
        views: The metric's views.
        recipe: What is varied.
    """

    def __init__(self, views: Views, recipe: AugmentationRecipe) -> None:
        self.views = views
        self._recipe = recipe
        self._only = views.spec.views[0] if len(views.spec.views) == 1 else None

    def prepare(self, pixels: Tensor) -> Tensor:
        """What is the same at each showing, and worth keeping: crops are cut from the image at a fixed size."""
        if isinstance(self._only, CropsView):
            return resize(pixels[None], (self._only.height, self._only.width))[0]
        return pixels

    def fixed(self, prepared: Tensor) -> Sample:
        """The metric's own views: shapes (V, 3, h, w)."""
        shown: Sample = self.views(prepared[None])
        return shown

    def draw(self, prepared: Tensor, seed: Sequence[int]) -> Sample:
        """The views of one showing, drawn from a seed: shapes (V, 3, h, w); a random crop stands for all crops."""
        rng = np.random.default_rng(list(seed))
        sides = draw_sides(self._recipe, rng)
        pixels = prepared.flip(sides) if sides else prepared
        if isinstance(self._only, CropsView):
            return [self._normalise(_random_crop(pixels, self._only.size, rng))]
        if isinstance(self._only, CentreCropView) and self._recipe.random_resized_crop:
            size = self._only.size
            return [self._normalise(resize(_random_part(pixels, rng)[None], (size, size))[0])]
        if isinstance(self._only, WholeView) and self._recipe.random_crop is not None:
            scored = to_unit_float(pixels)[None]
            if self._only.max_long_side is not None:
                scored = shrink_to_long_side(scored, self._only.max_long_side)
            large = enlarge_to(scored, self._recipe.random_crop)[0]
            return self.fixed(_random_crop(large, self._recipe.random_crop, rng))
        return self.fixed(pixels)

    def _normalise(self, pixels: Tensor) -> Tensor:
        return normalise(to_unit_float(pixels), self.views.mean, self.views.std)[None]


def mirror_images(recipe: AugmentationRecipe) -> list[tuple[int, ...]]:
    """The ways in which an image may be mirrored, each as the dimensions that are turned round; none first."""
    across = [(), (-1,)] if recipe.horizontal_flip else [()]
    upside_down = [(), (-2,)] if recipe.vertical_flip else [()]
    return [(*one, *other) for other in upside_down for one in across]


def draw_sides(recipe: AugmentationRecipe, rng: np.random.Generator) -> tuple[int, ...]:
    """Draw one of `mirror_images`, all of them alike in probability."""
    across, upside_down = rng.random(2) < 0.5
    return (-1,) * bool(recipe.horizontal_flip and across) + (-2,) * bool(recipe.vertical_flip and upside_down)


def _random_crop(pixels: Tensor, size: int, rng: np.random.Generator) -> Tensor:
    top, left = (int(rng.integers(side - size + 1)) for side in pixels.shape[-2:])
    return pixels[..., top : top + size, left : left + size]


def _random_part(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """A part of random area and proportions; the largest of allowed proportions where none was found."""
    height, width = pixels.shape[-2:]
    for _ in range(_ATTEMPTS):
        area = height * width * rng.uniform(*_AREA)
        aspect = math.exp(rng.uniform(math.log(_ASPECT[0]), math.log(_ASPECT[1])))
        part_width, part_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < part_width <= width and 0 < part_height <= height:
            top, left = int(rng.integers(height - part_height + 1)), int(rng.integers(width - part_width + 1))
            return pixels[:, top : top + part_height, left : left + part_width]
    part_width = min(width, round(height * _ASPECT[1]))
    part_height = min(height, round(width / _ASPECT[0]))
    top, left = (height - part_height) // 2, (width - part_width) // 2
    return pixels[:, top : top + part_height, left : left + part_width]
