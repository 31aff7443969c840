"""Recipes: everything that determines how a metric is trained, as plain data; `recipe_files` reads and writes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from perceptmetrics.finetune.recipe.choices import one_of
from perceptmetrics.finetune.recipe.model_sections import EncoderRecipe, HeadRecipe, PromptsRecipe
from perceptmetrics.finetune.recipe.training_sections import (
    AugmentationRecipe,
    CalibrationTarget,
    Confidence,
    DataRecipe,
    Loss,
    OptimizerRecipe,
    ReportRecipe,
    SplitRecipe,
    TrainedPart,
)
from perceptmetrics.images.options import IccHandling
from perceptmetrics.spec import LoraSpec, Task, ViewSpec
from perceptmetrics.spec.checks import require, require_text
from perceptmetrics.spec.views import VIEWS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Recipe"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a metric is trained.

    Attributes:
        name: Name of the recipe. The metric is named after the folder of the run, or by `--name`.
        summary: One sentence.
        source: Paper and table that it reproduces, or its purpose.
        task: What is predicted.
        data: Data sets. Each has a head of its own, unless `heads` is `"shared"`.
        train: What is trained: `"lora"` (adapters and head), `"head"` alone, `"full"` (encoder and head), or
            `"prompts"`.
        loss: Loss: `"plcc"` (half of one minus the correlation over a batch), `"mse"`, `"charbonnier"`, `"ranking"`
            (over pairs whose order is known, within ladders over neighbours), `"relative"` (the squared error within
            a ladder or another group of images, after the mean of the group has been subtracted from outputs and
            ratings: for ratings whose zero differs from group to group), or `"cross_entropy"` for classes.
        confidence: How much an image counts in the loss, where its label is made from the answers of several people:
            as much as every other (`"none"`), in proportion to the number of `"raters"`, or to the inverse square of
            the label's standard error (`"spread"`), which rests on their number and on how far they differ. Data sets
            whose labels come as they are count evenly.
        metric: A registered metric, or the folder of an exported one, to train further: its views, encoder, head and
            score map. None for a new metric, made of the following parts.
        encoder: The encoder.
        views: What the encoder sees of an image.
        head: Layers on the features; None for prompts.
        prompts: Antonym prompts; None for a head of layers.
        lora: Adapters of `train: lora`.
        heads: Whether `"each"` data set has a head of its own, or one head is `"shared"`.
        head_first: Whether the heads are trained alone first, so that gradients of a random head do not distort the
            encoder (Kumar et al., "Fine-Tuning can Distort Pretrained Features", ICLR 2022).
        second_stage: Whether each head is trained alone afterwards, with the encoder frozen.
        augmentation: How training images are augmented.
        optimizer: How weights are updated.
        splits: How images are split.
        report: What the table of results shows.
        score_map: How raw outputs of a head of layers become scores: `"identity"`, with a line fitted to the ratings
            and folded into the head, or `"logistic"`, which keeps scores inside [0, 1].
        calibration: What the scale of the scores means, for a head of layers: that of the `"ratings"`; or the
            `"spread"` over training images: one in ten scores below 0.25 and one in ten above 0.75. Of ladders, and of
            other groups whose ratings only compare their own images, the best image of each counts. With several data
            sets that share a head, those of the first.
        icc: What colour profiles of images do: `"convert"` converts the colours to sRGB, `"ignore"` takes the numbers
            as they are. Score with the same option.
        checkpointing: Activation checkpointing of the encoder: recompute activations in the backward pass to save
            memory.
        shuffle_labels: Whether labels are assigned to random images: a control, whose test results must be at chance.
        seed: Seed of everything random.
    """

    name: str
    summary: str
    source: str
    task: Task
    data: tuple[DataRecipe, ...]
    train: TrainedPart
    loss: Loss
    confidence: Confidence = "none"
    metric: str | None = None
    encoder: EncoderRecipe | None = None
    views: tuple[ViewSpec, ...] = ()
    head: HeadRecipe | None = None
    prompts: PromptsRecipe | None = None
    lora: LoraSpec | None = None
    heads: Literal["each", "shared"] = "each"
    head_first: bool = False
    second_stage: bool = False
    augmentation: AugmentationRecipe = field(default_factory=AugmentationRecipe)
    optimizer: OptimizerRecipe = field(default_factory=OptimizerRecipe)
    splits: SplitRecipe = field(default_factory=SplitRecipe)
    report: ReportRecipe = field(default_factory=ReportRecipe)
    score_map: Literal["identity", "logistic"] = "identity"
    calibration: CalibrationTarget = "ratings"
    icc: IccHandling = "convert"
    checkpointing: bool = False
    shuffle_labels: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        require_text("recipe", name=self.name, summary=self.summary, source=self.source)
        require(self.task in get_args(Task), one_of("task", self.task, Task))
        require(self.train in get_args(TrainedPart), one_of("train", self.train, TrainedPart))
        require(self.loss in get_args(Loss), one_of("loss", self.loss, Loss))
        require(self.confidence in get_args(Confidence), one_of("confidence", self.confidence, Confidence))
        require(self.heads in ("each", "shared"), f"heads must be 'each' or 'shared', got {self.heads!r}.")
        require(len(self.data) > 0, "A recipe needs data sets.")
        self._check_parts()
        require(
            (self.train == "prompts") == (self.prompts is not None),
            f"train: prompts goes with prompts:, and only with them; got train: {self.train}.",
        )
        require(
            (self.train == "lora") == (self.lora is not None),
            f"train: lora goes with lora:, and only with it; got train: {self.train}.",
        )
        require(
            not self.second_stage or len(self.data) == 1 or self.heads == "each",
            "second_stage trains the head of each data set alone; with several data sets state heads: each.",
        )
        require(
            not self.second_stage or self.train in ("lora", "full"),
            f"second_stage trains heads on a trained encoder; with train: {self.train} the encoder is never trained.",
        )
        require(
            not self.head_first or self.train in ("lora", "full"),
            f"head_first trains the heads before the encoder; with train: {self.train} the encoder is never trained.",
        )
        require(
            not self.frozen_parts or self.train == "full",
            f"encoder.frozen names parts that train: full leaves frozen; train: {self.train} trains no part.",
        )
        require(
            self.prompts is None or self.heads == "shared" or len(self.data) == 1,
            "Prompts belong to one head; with several data sets state heads: shared.",
        )
        require(
            self.score_map == "identity" or self.prompts is None,
            "score_map: logistic goes with a head of layers; outputs of prompts are in [0, 1] already.",
        )
        require(
            self.score_map in ("identity", "logistic"),
            f"score_map must be 'identity' or 'logistic', got {self.score_map!r}.",
        )
        require(
            self.calibration in get_args(CalibrationTarget), one_of("calibration", self.calibration, CalibrationTarget)
        )
        require(
            self.calibration == "ratings" or (self.head is not None and self.loss != "cross_entropy"),
            f"calibration: {self.calibration} goes with ratings and a new head of layers (head:).",
        )
        require(self.icc in get_args(IccHandling), one_of("icc", self.icc, IccHandling))
        require(self.seed >= 0, f"seed must be 0 or more, got {self.seed!r}.")
        require(
            self.splits.validation > 0 or (len(self.optimizer.lr) == 1 and self.optimizer.patience is None),
            "splits.validation: 0 leaves no images to select a model on; state one optimizer.lr and "
            "optimizer.patience: null.",
        )
        if self.metric is None:
            self.check_augmentation(self.views)

    @property
    def frozen_parts(self) -> tuple[str, ...]:
        """Parts of the encoder that stay frozen while it is trained in full."""
        return () if self.encoder is None else self.encoder.frozen

    @property
    def starts_from(self) -> str:
        """Name of the encoder, or of the metric, that training starts from."""
        return self.metric or ("" if self.encoder is None else self.encoder.name)

    def _check_parts(self) -> None:
        """Check that the recipe names either a metric to train further or the parts of a new one."""
        if self.metric is not None:
            given = [name for name in ("encoder", "views", "head", "prompts") if getattr(self, name)]
            require(not given, f"metric: {self.metric} brings its own {', '.join(given)}; leave out one or the other.")
            return
        require(
            self.encoder is not None and len(self.views) > 0,
            "A recipe needs an encoder and views, or a metric to train further (metric:).",
        )
        require(
            (self.head is None) != (self.prompts is None),
            "State either a head of layers (head:) or antonym prompts (prompts:).",
        )

    def augmentation_of(self, index: int) -> AugmentationRecipe:
        """How images of the data set of this index are augmented."""
        return self.data[index].augmentation or self.augmentation

    def check_augmentation(self, views: Sequence[ViewSpec]) -> None:
        """Refuse augmentations that these views would silently ignore.

        Raises:
            InvalidSpecError: One of them would.
        """
        for augmentation in map(self.augmentation_of, range(len(self.data))):
            for name, alone in (("random_resized_crop", True), ("random_crop", True), ("random_fragments", False)):
                takes = any(name in view.variations for view in views) and not (alone and len(views) > 1)
                require(
                    not getattr(augmentation, name) or takes,
                    f"augmentation.{name} goes with a {'single ' if alone else ''}view of kind "
                    f"{', '.join(_kinds_that_vary(name))}, got {', '.join(view.kind for view in views)}.",
                )


def _kinds_that_vary(name: str) -> list[str]:
    return [kind for kind in VIEWS.kinds() if name in getattr(VIEWS.spec_class(kind), "variations", ())]
