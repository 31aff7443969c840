"""One model of a run, from its start through all stages of its training.

heads alone (head_first) --> what the recipe trains --> each head alone (second_stage)
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from perceptmetrics.finetune.data import TrainingSet
from perceptmetrics.finetune.feeds import FeatureFeed, PixelFeed, TrainingViews, can_be_kept
from perceptmetrics.finetune.learner import Learner, standardise_heads
from perceptmetrics.finetune.objectives import Objective
from perceptmetrics.finetune.results import EpochRecord, StageName, kept_epoch
from perceptmetrics.finetune.start import encoder_identity, set_trainable, start
from perceptmetrics.finetune.trainer import Stage
from perceptmetrics.models.views import Views
from perceptmetrics.weights.cache import cache_home

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from perceptmetrics.datasets import LabelledImages, Split
    from perceptmetrics.finetune.feeds import Feed
    from perceptmetrics.finetune.processes import Processes
    from perceptmetrics.finetune.recipe import Recipe
    from perceptmetrics.finetune.recipe_sections import AugmentationRecipe, OptimizerRecipe
    from perceptmetrics.finetune.start import EncoderSource
    from perceptmetrics.finetune.state import Journal, Observer
    from perceptmetrics.spec import MetricSpec

__all__ = ["Trial", "Trials"]

HEAD_FIRST, MAIN = "head_first", "main"  # names of stages; those of the second are "head_" and the data set
_ROOM = 2 * 1024**3  # bytes of images that are kept in memory, over all data sets


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trained model.

    Attributes:
        learner: The model, with the weights of its best epoch.
        sets: The data sets that it was trained on.
        lr: Its learning rate.
        records: The epochs of its main stage.
        keep: Which of them has left its weights.
    """

    learner: Learner
    sets: tuple[TrainingSet, ...]
    lr: float
    records: tuple[EpochRecord, ...]
    keep: Literal["best", "last"]

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights it has, from 0."""
        return kept_epoch(self.records, self.keep)

    @property
    def selection(self) -> float:
        """The validation figure of that epoch; NaN without validation images."""
        return self.records[self.best_epoch].selection


class Trials:
    """Trains models of one run.

    Args:
        recipe: How.
        datasets: On what.
        specs: The metrics, one for each head.
        source: The encoder's weights.
        folder: The run's folder.
        processes: The processes that train together.
        journal: Where epochs are written down.
        observer: Who is told.
        identity: What is trained, on what.
    """

    def __init__(
        self,
        recipe: Recipe,
        datasets: Sequence[LabelledImages],
        specs: Sequence[MetricSpec],
        source: EncoderSource,
        *,
        folder: Path,
        processes: Processes,
        journal: Journal,
        observer: Observer,
        identity: str,
    ) -> None:
        self._recipe, self._datasets, self._specs, self._source = recipe, datasets, specs, source
        self._folder, self._processes, self._journal, self._observer = folder, processes, journal, observer
        self._identity = identity
        self._fixed_epochs: dict[str, int] = {}
        self._pixels: dict[int, Feed] = {}
        self._features: dict[int, Feed] = {}

    def train(
        self, number: int, splits: Sequence[Split], lr: float, *, epochs: Mapping[str, int] | None = None
    ) -> Trial:
        """Train a model.

        Args:
            number: Number of the split.
            splits: For each data set, which images are for what.
            lr: Learning rate.
            epochs: For each stage, the number of epochs, without stopping early; None for what the recipe says.

        Returns:
            The model.
        """
        recipe, seed = self._recipe, (self._recipe.seed, number)
        learner = start(recipe, self._specs, self._source, seed[0] + 1000 * seed[1])
        learner.to(self._processes.device)
        if recipe.checkpointing:
            learner.metric(0).backbone.checkpointing = True
        self._fixed_epochs = dict(epochs or {})
        optimizer = replace(recipe.optimizer, lr=(lr,))
        alone = replace(optimizer, lr=(optimizer.head_lr or lr,), epochs=optimizer.head_epochs or optimizer.epochs)
        if recipe.head_first:
            set_trainable(learner, recipe, encoder=False)
            self._stage(StageName(split=number, lr=alone.lr[0], stage=HEAD_FIRST), learner, splits, alone, (*seed, 1))
            set_trainable(learner, recipe, encoder=True)
        name = StageName(split=number, lr=lr, stage=MAIN)
        sets, records = self._stage(name, learner, splits, optimizer, (*seed, 0))
        if recipe.second_stage:
            sets = self._second_stage(name, learner, splits, alone)
        return Trial(learner=learner, sets=tuple(sets), lr=lr, records=tuple(records), keep=optimizer.keep)

    def _second_stage(
        self, main: StageName, learner: Learner, splits: Sequence[Split], optimizer: OptimizerRecipe
    ) -> list[TrainingSet]:
        """Train each head alone on the features of the encoder as it is now."""
        set_trainable(learner, self._recipe, encoder=False)
        sets = []
        for place, dataset in enumerate(self._datasets):
            single = Learner([learner.metric(place)], [0])
            name = replace(main, stage=f"head_{dataset.name}")  # of that learning rate's encoder
            (one,), _ = self._stage(name, single, splits, optimizer, (self._recipe.seed, main.split, 2, place), place)
            sets.append(one)
        self._processes.wait()
        if self._processes.is_first:  # features of this encoder, which nobody else has
            shutil.rmtree(self._folder / "state" / "features", ignore_errors=True)
        return sets

    def _stage(
        self,
        name: StageName,
        learner: Learner,
        splits: Sequence[Split],
        optimizer: OptimizerRecipe,
        seed: Sequence[int],
        only: int | None = None,
    ) -> tuple[list[TrainingSet], list[EpochRecord]]:
        places = range(len(self._datasets)) if only is None else [only]
        untouched = name.stage == HEAD_FIRST
        if name.stage in self._fixed_epochs:
            optimizer = replace(optimizer, epochs=self._fixed_epochs[name.stage], patience=None)
        sets = [self._training_set(place, learner, splits[place], untouched=untouched) for place in places]
        if name.stage in (HEAD_FIRST, MAIN) and not (name.stage == MAIN and self._recipe.head_first):
            standardise_heads(learner, sets)
        stage = Stage(
            name,
            learner,
            sets,
            optimizer,
            seed=seed,
            processes=self._processes,
            state_file=self._folder / "state" / f"{name.filename}.safetensors",
            identity=f"{self._identity} {name.filename} {optimizer.epochs}",
            journal=self._journal,
            observer=self._observer,
        )
        return sets, stage.run()

    def _training_set(self, place: int, learner: Learner, split: Split, *, untouched: bool) -> TrainingSet:
        dataset, entry = self._datasets[place], self._recipe.data[place]
        return TrainingSet(
            dataset=dataset,
            split=split,
            feed=self._feed(place, learner, untouched=untouched),
            objective=Objective(dataset, entry.loss or self._recipe.loss),
            weight=entry.weight,
            replicas=self._recipe.augmentation_of(place).replicas,
        )

    def _feed(self, place: int, learner: Learner, *, untouched: bool) -> Feed:
        backbone = learner.metric(0).backbone
        frozen = not any(weight.requires_grad for weight in backbone.parameters())
        spec, varied = self._specs[0].views, self._recipe.augmentation_of(place)
        if untouched:  # the heads only have to find their way, for which the fixed views do
            varied = replace(varied, random_crop=None, random_resized_crop=False)
        if not (frozen and can_be_kept(varied) and spec.view_count is not None):
            if place not in self._pixels:
                views = TrainingViews(Views(spec, self._recipe.seed), self._recipe.augmentation_of(place))
                self._pixels[place] = PixelFeed(self._datasets[place], views, _ROOM // len(self._datasets))
            return self._pixels[place]
        tuned = "" if untouched else _tuned(learner, self._recipe)
        identity = f"{encoder_identity(self._specs[0].backbone, self._source)} {tuned}"
        if tuned:  # of no use to any other training, so they go with the run's state
            return self._encoded(place, learner, varied, identity, self._folder / "state" / "features")
        if place not in self._features:
            self._features[place] = self._encoded(place, learner, varied, identity, cache_home() / "features")
        return self._features[place]

    def _encoded(
        self, place: int, learner: Learner, varied: AugmentationRecipe, identity: str, folder: Path
    ) -> FeatureFeed:
        dataset = self._datasets[place]
        learner.eval()
        return FeatureFeed(
            dataset,
            learner.metric(0),
            Views(self._specs[0].views, self._recipe.seed),
            varied,
            identity=identity,
            processes=self._processes,
            folder=folder,
            observe=lambda done, total: self._observer.encoding(dataset.name, done, total),
        )


def _tuned(learner: Learner, recipe: Recipe) -> str:
    """What training has made of the encoder; empty for an untouched one."""
    backbone = learner.metric(0).backbone
    if recipe.train not in ("lora", "full"):
        return ""
    digest = hashlib.sha256()
    for name, weight in backbone.named_parameters():
        if recipe.train == "full" or ".adapters." in name:
            digest.update(weight.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()
