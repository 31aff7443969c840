"""One model of a run, through all stages of its training.

heads alone (head_first) --> what the recipe trains --> each head alone (second_stage)
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from perceptmetrics.finetune.data.batches import TrainingSet
from perceptmetrics.finetune.data.feeds import FeatureFeed, PixelFeed, TrainingViews, can_cache_features
from perceptmetrics.finetune.data.objectives import Objective
from perceptmetrics.finetune.model.learner import Learner, standardise_heads
from perceptmetrics.finetune.model.start import encoder_identity, set_trainable, start
from perceptmetrics.finetune.training.epochs import EpochRecord, StageName, kept_epoch
from perceptmetrics.finetune.training.trainer import Stage
from perceptmetrics.models.views import Views
from perceptmetrics.weights.cache import cache_home
from perceptmetrics.weights.cache_content import FEATURES, trim_features

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from perceptmetrics.datasets import Split
    from perceptmetrics.finetune.data.feeds import Feed
    from perceptmetrics.finetune.recipe import AugmentationRecipe, OptimizerRecipe, Recipe
    from perceptmetrics.finetune.training.trainer import RunContext

__all__ = ["Trial", "Trials"]

HEAD_FIRST, MAIN = "head_first", "main"  # names of stages; those after the main one are "head_" and a data set
_MAX_PIXEL_BYTES = 2 * 1024**3  # of images kept in memory, over all data sets


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trained model.

    Attributes:
        learner: The model, with the weights of its best epoch.
        sets: The data sets that it was trained on.
        lr: Its learning rate.
        records: The epochs of its main stage.
        keep: Which of these epochs left the weights.
    """

    learner: Learner
    sets: tuple[TrainingSet, ...]
    lr: float
    records: tuple[EpochRecord, ...]
    keep: Literal["best", "last"]

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights the model has, from 0."""
        return kept_epoch(self.records, self.keep)

    @property
    def selection(self) -> float:
        """The validation statistic of that epoch; NaN without validation images."""
        return self.records[self.best_epoch].selection


class Trials:
    """Trains the models of one run.

    Args:
        run: The run.
    """

    def __init__(self, run: RunContext) -> None:
        self._run, self._recipe, self._datasets = run, run.recipe, run.datasets
        self._fixed_epochs: dict[str, int] = {}
        self._pixels: dict[int, Feed] = {}
        self._features: dict[int, Feed] = {}

    def train(
        self, number: int, splits: Sequence[Split], lr: float, *, epochs: Mapping[str, int] | None = None
    ) -> Trial:
        """Train a model.

        Args:
            number: Number of the split.
            splits: The split of each data set.
            lr: Learning rate.
            epochs: Number of epochs of each stage, without stopping early; None for what the recipe says.

        Returns:
            The model.
        """
        recipe, seed = self._recipe, (self._recipe.seed, number)
        learner = start(recipe, self._run.specs, self._run.source, seed[0] + 1000 * seed[1])
        learner.to(self._run.processes.device)
        if recipe.checkpointing:
            learner.metric(0).encoder.checkpointing = True
        self._fixed_epochs = dict(epochs or {})
        optimizer = replace(recipe.optimizer, lr=(lr,))
        alone = replace(optimizer, lr=(optimizer.head_lr or lr,), epochs=optimizer.head_epochs or optimizer.epochs)
        if recipe.head_first:
            set_trainable(learner, recipe, heads_only=True)
            self._stage(StageName(split=number, lr=alone.lr[0], stage=HEAD_FIRST), learner, splits, alone, (*seed, 1))
            set_trainable(learner, recipe)
        name = StageName(split=number, lr=lr, stage=MAIN)
        sets, records = self._stage(name, learner, splits, optimizer, (*seed, 0))
        if recipe.second_stage:
            sets = self._second_stage(name, learner, splits, alone)
        return Trial(learner=learner, sets=tuple(sets), lr=lr, records=tuple(records), keep=optimizer.keep)

    @property
    def features(self) -> Mapping[int, Feed]:
        """By data set, the features of the encoder before training, as far as the run needed them."""
        return self._features

    def _second_stage(
        self, main: StageName, learner: Learner, splits: Sequence[Split], optimizer: OptimizerRecipe
    ) -> list[TrainingSet]:
        """Train each head alone, on features of the encoder that the main stage has trained."""
        set_trainable(learner, self._recipe, heads_only=True)
        sets = []
        for index, dataset in enumerate(self._datasets):
            single = Learner([learner.metric(index)], [0])
            name = replace(main, stage=f"head_{dataset.name}")
            (one,), _ = self._stage(name, single, splits, optimizer, (self._recipe.seed, main.split, 2, index), index)
            sets.append(one)
        self._run.processes.wait()
        if self._run.processes.is_first:  # no other training uses the features of this encoder
            shutil.rmtree(self._tuned_features, ignore_errors=True)
        return sets

    @property
    def _tuned_features(self) -> Path:
        """Folder of the features of a trained encoder, which no other training can use."""
        return self._run.state_folder / "features"

    def _stage(
        self,
        name: StageName,
        learner: Learner,
        splits: Sequence[Split],
        optimizer: OptimizerRecipe,
        seed: Sequence[int],
        only: int | None = None,
    ) -> tuple[list[TrainingSet], list[EpochRecord]]:
        """Train one stage, on all data sets or on `only` one."""
        indices = range(len(self._datasets)) if only is None else [only]
        pretrained = name.stage == HEAD_FIRST
        if name.stage in self._fixed_epochs:
            optimizer = replace(optimizer, epochs=self._fixed_epochs[name.stage], patience=None)
        sets = [self._training_set(index, learner, splits[index], pretrained=pretrained) for index in indices]
        if name.stage in (HEAD_FIRST, MAIN) and not (name.stage == MAIN and self._recipe.head_first):
            standardise_heads(learner, sets)
        stage = Stage(name, learner, sets, optimizer, seed=seed, run=self._run)
        return sets, stage.train()

    def _training_set(self, index: int, learner: Learner, split: Split, *, pretrained: bool) -> TrainingSet:
        dataset, entry = self._datasets[index], self._recipe.data[index]
        return TrainingSet(
            dataset=dataset,
            split=split,
            feed=self._feed(index, learner, pretrained=pretrained),
            objective=Objective(dataset, entry.loss or self._recipe.loss, self._recipe.confidence),
            weight=entry.weight,
            replicas=self._recipe.augmentation_of(index).replicas,
        )

    def _feed(self, index: int, learner: Learner, *, pretrained: bool) -> Feed:
        """Features where the encoder is frozen and an image has few variants, otherwise pixels.

        Args:
            index: Index of the data set.
            learner: The model.
            pretrained: Whether the encoder still has its pretrained weights, although the recipe trains it later.
        """
        encoder = learner.metric(0).encoder
        frozen = not any(weight.requires_grad for weight in encoder.parameters())
        augmentation = self._recipe.augmentation_of(index)
        if pretrained:  # the heads only need a reasonable start, for which the views of scoring suffice
            augmentation = replace(augmentation, random_crop=None, random_resized_crop=False, random_fragments=False)
        has_fixed_views = self._run.specs[0].views.view_count is not None
        if not (frozen and has_fixed_views and can_cache_features(augmentation)):
            if index not in self._pixels:
                views = TrainingViews(self._views(), self._recipe.augmentation_of(index))
                max_bytes = _MAX_PIXEL_BYTES // len(self._datasets)
                self._pixels[index] = PixelFeed(self._datasets[index], views, max_bytes)
            return self._pixels[index]
        tuned = "" if pretrained else _encoder_digest(learner, self._recipe)
        identity = f"{encoder_identity(self._run.specs[0].encoder, self._run.source)} {tuned}"
        if tuned:
            return self._encoded(index, learner, augmentation, identity, self._tuned_features)
        if index not in self._features:
            folder = cache_home() / FEATURES
            self._features[index] = self._encoded(index, learner, augmentation, identity, folder)
            if self._run.processes.is_first:
                trim_features()  # those of this run are in memory
        return self._features[index]

    def _encoded(
        self, index: int, learner: Learner, augmentation: AugmentationRecipe, identity: str, folder: Path
    ) -> FeatureFeed:
        dataset = self._datasets[index]
        learner.eval()
        return FeatureFeed(
            dataset,
            learner.metric(0),
            self._views(),
            augmentation,
            identity=identity,
            processes=self._run.processes,
            folder=folder,
            observe=lambda done, total: self._run.observer.encoding(dataset.name, done, total),
        )

    def _views(self) -> Views:
        return Views(self._run.specs[0].views, self._recipe.seed)


def _encoder_digest(learner: Learner, recipe: Recipe) -> str:
    """Hash of the encoder's trained weights; empty if the recipe leaves the encoder as it is."""
    encoder = learner.metric(0).encoder
    if recipe.train not in ("lora", "full"):
        return ""
    digest = hashlib.sha256()
    for name, weight in encoder.named_parameters():
        if recipe.train == "full" or ".adapters." in name:
            digest.update(weight.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()
