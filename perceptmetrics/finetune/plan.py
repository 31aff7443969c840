"""Plan a run without training: its images, steps, weights and memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from perceptmetrics.finetune.data.batches import Draw, batch_parts, recipe_splits, split_notes
from perceptmetrics.finetune.data.checks import Overlap, find_overlaps
from perceptmetrics.finetune.data.feeds import PixelFeed, TrainingViews, can_cache_features
from perceptmetrics.finetune.data.objectives import confidence_sentence
from perceptmetrics.finetune.model.specs import run_specs
from perceptmetrics.finetune.model.start import EncoderSource, start
from perceptmetrics.models.views import Views

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune.model.learner import Learner
    from perceptmetrics.finetune.recipe import Recipe

__all__ = ["Plan", "make_plan"]

_OPTIMIZER_COPIES = {"adamw": 2, "sgd": 1}  # moments of each trained weight


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run would do.

    Attributes:
        images: For each data set, the number of images for training, validation and test in the first split.
        pooled: For each data set whose labels are made from the answers of several people, how, one sentence a label.
        overlaps: Test images that show the same as training images, of the same data set or of another.
        splits: Number of splits.
        split_notes: Sentences about splits that differ from what the recipe asks for.
        models: Number of models to train.
        batch: For each data set, the fewest and the most samples in a batch.
        steps: Steps per epoch.
        epochs: Maximum number of epochs of a model.
        trained: Number of trained weights.
        weights: Number of all weights.
        cached: Whether features are computed once, so that the encoder does not run while the head trains.
        memory: Bytes that one process needs for weights, gradients, optimizer and the activations of a step.
        activations: Bytes of these activations.
    """

    images: dict[str, tuple[int, int, int]]
    pooled: dict[str, tuple[str, ...]]
    overlaps: tuple[Overlap, ...]
    splits: int
    split_notes: tuple[str, ...]
    models: int
    batch: dict[str, tuple[int, int]]
    steps: int
    epochs: int
    trained: int
    weights: int
    cached: bool
    memory: int
    activations: int


def make_plan(
    recipe: Recipe,
    datasets: Sequence[LabelledImages],
    processes: int = 1,
    *,
    progress: Callable[[], object] | None = None,
) -> Plan:
    """Find out what a run would do; nothing is downloaded, trained or written.

    Args:
        recipe: The recipe.
        datasets: Its data sets.
        processes: Number of processes that would divide a batch.
        progress: Called for each image file that is compared with the others.

    Returns:
        The plan. Activations are counted, without computing them, for images of the size of the first one.

    Raises:
        DatasetError: Images or labels do not fit the recipe.
    """
    specs = run_specs(recipe, datasets)
    every = [recipe_splits(recipe, one) for one in datasets]
    count = min(len(splits) for splits in every)
    images = {
        one.name: (len(splits[0].train), len(splits[0].validation), len(splits[0].test))
        for one, splits in zip(datasets, every, strict=True)
    }
    augmentations = [recipe.augmentation_of(index) for index in range(len(recipe.data))]
    samples = sum(one.replicas * train for one, (train, _, _) in zip(augmentations, images.values(), strict=True))
    steps, batch = batch_parts(recipe, datasets, [splits[0] for splits in every])
    learner = start(recipe, specs, EncoderSource(file=None, counts_only=True), seed=0).to("meta")
    learner.metric(0).encoder.checkpointing = recipe.checkpointing
    trained = sum(weight.numel() for weight in learner.parameters() if weight.requires_grad)
    weights = sum(weight.numel() for weight in _all_weights(learner))
    frozen = not any(weight.requires_grad for weight in learner.metric(0).encoder.parameters())
    cached = frozen and all(map(can_cache_features, augmentations))
    part = -(-min(samples, recipe.optimizer.batch_size) // (processes * recipe.optimizer.accumulation))
    activations = _activations(recipe, learner, datasets[0], part, cached=cached)
    return Plan(
        images=images,
        pooled={one.name: _pooled(recipe, one) for one in datasets if one.pooled},
        overlaps=find_overlaps(datasets, every, progress),
        splits=count,
        split_notes=tuple(split_notes(recipe, datasets)),
        models=count * len(recipe.optimizer.lr) + (recipe.splits.export == "all"),
        batch=batch,
        steps=steps,
        epochs=recipe.optimizer.epochs,
        trained=trained,
        weights=weights,
        cached=cached,
        memory=4 * (weights + trained * (1 + _OPTIMIZER_COPIES[recipe.optimizer.algorithm])) + activations,
        activations=activations,
    )


def _pooled(recipe: Recipe, dataset: LabelledImages) -> tuple[str, ...]:
    """How labels were made, and how much each counts."""
    names = [f"{one.label}: " if one.label else "" for one in dataset.pooled]
    made = tuple(f"{name}{one.sentence}" for name, one in zip(names, dataset.pooled, strict=True))
    return made if recipe.confidence == "none" else (*made, confidence_sentence(dataset, recipe.confidence))


def _all_weights(learner: Learner) -> list[Tensor]:
    """The weights of the metrics, and of the text encoder if prompts are learned."""
    text = [] if learner.prompts is None else learner.prompts.text.parameters()
    return [*learner.parameters(), *text]


def _activations(recipe: Recipe, learner: Learner, dataset: LabelledImages, count: int, *, cached: bool) -> int:
    """Bytes that a forward pass of `count` samples keeps for the backward pass, from a pass on meta tensors."""
    views = TrainingViews(Views(learner.metric(0).spec.views, recipe.seed), recipe.augmentation_of(0))
    shown = PixelFeed(dataset, views, max_bytes=0).training_sample(Draw(index=0, seed=(0,)))
    sample = [torch.empty(view.shape, device="meta") for view in shown]
    if cached:
        with torch.no_grad():
            sample = [features[0] for features in learner.encode([sample])]
    own = {_storage(weight) for weight in _all_weights(learner)}
    saved: dict[int, int] = {}

    def count_saved(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in own:
            saved[_storage(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    learner.train()
    with torch.autograd.graph.saved_tensors_hooks(count_saved, lambda tensor: tensor):
        outputs = learner([[sample] * count, *([] for _ in recipe.data[1:])])
    del outputs
    return sum(saved.values())


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - meta tensors have no address to identify them by
