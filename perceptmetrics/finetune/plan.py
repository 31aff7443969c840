"""What a run would do, before it does it: images, steps, weights, memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from perceptmetrics.finetune.data import Draw, Overlap, find_overlaps, recipe_splits
from perceptmetrics.finetune.feeds import PixelFeed, TrainingViews, can_be_kept
from perceptmetrics.finetune.specs import run_specs
from perceptmetrics.finetune.start import EncoderSource, start
from perceptmetrics.models.views import Views

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune.learner import Learner
    from perceptmetrics.finetune.recipe import Recipe

__all__ = ["Plan", "make_plan"]

_OPTIMIZER_COPIES = {"adamw": 2, "sgd": 1}  # moments of each trained weight


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run would do.

    Attributes:
        images: For each data set: images for training, validation and test in the first split.
        overlaps: Images on which one data set trains and another is tested.
        splits: Number of splits.
        models: Number of models that are trained.
        steps: Steps of an epoch.
        epochs: Most epochs of a model.
        trained: Number of weights that are trained.
        weights: Number of all weights.
        cached: Whether features are computed once, so that the encoder is not run while a head trains.
        memory: Bytes that one process needs for weights, gradients, the optimizer and the activations of a step.
        activations: Bytes of the activations among them.
    """

    images: dict[str, tuple[int, int, int]]
    overlaps: tuple[Overlap, ...]
    splits: int
    models: int
    steps: int
    epochs: int
    trained: int
    weights: int
    cached: bool
    memory: int
    activations: int


def make_plan(recipe: Recipe, datasets: Sequence[LabelledImages], processes: int = 1) -> Plan:
    """Work out what a run would do; nothing is downloaded, trained or written.

    Args:
        recipe: The recipe.
        datasets: Its data sets.
        processes: Number of processes that would share a batch.

    Returns:
        The plan. Activations are those of the first image's size, counted without computing them.

    Raises:
        DatasetError: Images or labels are not what the recipe needs.
    """
    specs = run_specs(recipe, datasets)
    every = [recipe_splits(recipe, one) for one in datasets]
    count = min(len(splits) for splits in every)
    images = {
        one.name: (len(splits[0].train), len(splits[0].validation), len(splits[0].test))
        for one, splits in zip(datasets, every, strict=True)
    }
    varied = [recipe.augmentation_of(place) for place in range(len(recipe.data))]
    samples = sum(one.replicas * train for one, (train, _, _) in zip(varied, images.values(), strict=True))
    steps = -(-samples // recipe.optimizer.batch_size)
    learner = start(recipe, specs, EncoderSource(file=None, counts_only=True), seed=0).to("meta")
    learner.metric(0).backbone.checkpointing = recipe.checkpointing
    trained = sum(weight.numel() for weight in learner.parameters() if weight.requires_grad)
    weights = sum(weight.numel() for weight in _all_weights(learner))
    frozen = not any(weight.requires_grad for weight in learner.metric(0).backbone.parameters())
    cached = frozen and all(map(can_be_kept, varied))
    at_once = -(-min(samples, recipe.optimizer.batch_size) // (processes * recipe.optimizer.accumulation))
    activations = _activations(recipe, learner, datasets[0], at_once, cached=cached)
    return Plan(
        images=images,
        overlaps=find_overlaps(datasets, every),
        splits=count,
        models=count * len(recipe.optimizer.lr) + (recipe.splits.export == "all"),
        steps=steps,
        epochs=recipe.optimizer.epochs,
        trained=trained,
        weights=weights,
        cached=cached,
        memory=4 * (weights + trained * (1 + _OPTIMIZER_COPIES[recipe.optimizer.algorithm])) + activations,
        activations=activations,
    )


def _all_weights(learner: Learner) -> list[Tensor]:
    """Those of the metrics, and of the text tower while it is needed."""
    text = [] if learner.prompts is None else learner.prompts.text.parameters()
    return [*learner.parameters(), *text]


def _activations(recipe: Recipe, learner: Learner, dataset: LabelledImages, count: int, *, cached: bool) -> int:
    """Bytes that a forward pass keeps for the backward pass, by a pass on tensors without content."""
    views = TrainingViews(Views(learner.metric(0).spec.views, recipe.seed), recipe.augmentation_of(0))
    shown = PixelFeed(dataset, views, room=0).drawn(Draw(index=0, seed=(0,)))
    sample = [torch.empty(view.shape, device="meta") for view in shown]
    if cached:
        with torch.no_grad():
            sample = [features[0] for features in learner.encode([sample])]
    own = {_storage(weight) for weight in _all_weights(learner)}
    kept: dict[int, int] = {}

    def remember(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in own:
            kept[_storage(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    learner.train()
    with torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor):
        outputs = learner([[sample] * count, *([] for _ in recipe.data[1:])])
    del outputs
    return sum(kept.values())


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - tensors without content have no address to tell them by
