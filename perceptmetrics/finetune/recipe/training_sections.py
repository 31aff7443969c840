"""The sections of a recipe that say how it is trained and tested: data, augmentation, optimizer, splits, report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from perceptmetrics.finetune.recipe.choices import check_choices, one_of
from perceptmetrics.spec.checks import require, require_text

__all__ = [
    "AugmentationRecipe",
    "CalibrationTarget",
    "Confidence",
    "DataRecipe",
    "Loss",
    "OptimizerRecipe",
    "ReportRecipe",
    "SplitRecipe",
    "TrainedPart",
    "TrainingPrecision",
]

Loss = Literal["plcc", "mse", "charbonnier", "cross_entropy", "ranking", "relative"]
CalibrationTarget = Literal["ratings", "spread"]
Confidence = Literal["none", "raters", "spread"]
TrainedPart = Literal["lora", "prompts", "head", "full"]
Schedule = Literal["constant", "cosine", "cosine_restarts"]
RatingStatistic = Literal["srcc", "plcc", "krcc", "plcc_logistic4", "plcc_logistic5", "rmse", "rmse_logistic4", "mse"]
ClassStatistic = Literal["accuracy", "binary_accuracy", "mean_average_precision", "macro_f1", "weighted_f1"]
Statistic = Literal[RatingStatistic, ClassStatistic]
TrainingPrecision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True, kw_only=True)
class DataRecipe:
    """A data set to train on.

    Attributes:
        name: Name in `perceptmetrics.datasets.list_datasets`.
        options: Options of `load_dataset`.
        loss: Loss for its images; None for the recipe's.
        weight: Factor of that loss.
        augmentation: How its images are augmented; None for the recipe's.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    loss: Loss | None = None
    weight: float = 1.0
    augmentation: AugmentationRecipe | None = None

    def __post_init__(self) -> None:
        require_text("data", name=self.name)
        require(self.loss is None or self.loss in get_args(Loss), one_of("data.loss", self.loss, Loss))
        require(self.weight > 0, f"data.weight must be positive, got {self.weight!r}.")


@dataclass(frozen=True, kw_only=True)
class AugmentationRecipe:
    """How a training image is augmented. Validation and test images never are.

    Attributes:
        replicas: How often an epoch shows each image, each time with another augmentation.
        horizontal_flip: Whether it is mirrored left to right with probability 0.5.
        vertical_flip: Whether it is mirrored top to bottom with probability 0.5.
        random_resized_crop: With a centre crop as the view: whether training shows a random part of random aspect ratio
            instead (8 to 100 % of the area, aspect ratio 3:4 to 4:3, as torchvision's RandomResizedCrop).
        random_crop: With the whole image as the view: side in pixels of a random square that training shows instead,
            so that images of different sizes go through the encoder together; None for the whole image.
        random_fragments: With fragments among the views: whether training cuts the cells at other offsets each time,
            in place of those of scoring. Features are then not cached.
    """

    replicas: int = 1
    horizontal_flip: bool = False
    vertical_flip: bool = False
    random_resized_crop: bool = False
    random_crop: int | None = None
    random_fragments: bool = False

    def __post_init__(self) -> None:
        require(self.replicas > 0, f"augmentation.replicas must be positive, got {self.replicas!r}.")
        require(
            self.random_crop is None or self.random_crop > 0,
            f"augmentation.random_crop must be a positive number of pixels or null, got {self.random_crop!r}.",
        )


@dataclass(frozen=True, kw_only=True)
class OptimizerRecipe:
    """How weights are updated.

    Attributes:
        algorithm: `"adamw"` or `"sgd"`.
        lr: Learning rates. If there are several, each is tried, and the best on the validation images is kept.
        encoder_lr_factor: Factor of the learning rate for the weights of the encoder.
        head_lr: Learning rate while the heads are trained alone, before or after the encoder; None for `lr`.
        head_epochs: Maximum number of epochs while the heads are trained alone; None for `epochs`.
        weight_decay: Weight decay.
        momentum: Momentum of SGD.
        batch_size: Samples per batch, over all processes; each of an image's `replicas` counts.
        min_samples: Samples of each data set in a batch of several at least, for losses that compare samples (`"plcc"`
            and `"ranking"`): batches grow until the smallest data set has as many, and go through the encoder in parts
            of `batch_size`. With two samples a correlation is always 1 or -1, and trains nothing.
        epochs: Maximum number of epochs.
        patience: Epochs without a better validation statistic after which training stops; None for never.
        keep: Which epoch's weights are kept: the `"best"` on the validation images, or the `"last"`. With few
            validation images the best epoch is a matter of chance, and the end of a decaying learning rate is better.
        schedule: Schedule of the learning rate: `"constant"`, `"cosine"` decay to `min_lr` over all epochs, or
            `"cosine_restarts"` every `period` steps (Loshchilov, Hutter, "SGDR", ICLR 2017).
        period: Number of steps between restarts.
        min_lr: Lowest learning rate of a cosine schedule.
        warmup: Number of steps over which the learning rate rises from 0 at the start.
        accumulation: Number of parts in which a batch goes through the encoder, to save memory. The gradient is that of
            the whole batch, whatever the loss.
        precision: Precision of training; `"bfloat16"` and `"float16"` are mixed with float32.
        clip_norm: Maximum norm of the gradient; None for no clipping.
    """

    algorithm: Literal["adamw", "sgd"] = "adamw"
    lr: tuple[float, ...] = (5e-5, 1e-4, 5e-4, 1e-3)
    encoder_lr_factor: float = 1.0
    head_lr: float | None = None
    head_epochs: int | None = None
    weight_decay: float = 1e-4
    momentum: float = 0.9
    batch_size: int = 32
    min_samples: int = 8
    epochs: int = 40
    patience: int | None = 12
    keep: Literal["best", "last"] = "best"
    schedule: Schedule = "constant"
    period: int | None = None
    min_lr: float = 0.0
    warmup: int = 0
    accumulation: int = 1
    precision: TrainingPrecision = "float32"
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        require(
            self.algorithm in ("adamw", "sgd"), one_of("optimizer.algorithm", self.algorithm, Literal["adamw", "sgd"])
        )
        require(
            len(self.lr) > 0 and all(rate > 0 for rate in self.lr),
            f"optimizer.lr needs positive learning rates, got {self.lr!r}.",
        )
        for name in ("batch_size", "min_samples", "epochs", "accumulation", "encoder_lr_factor"):
            require(getattr(self, name) > 0, f"optimizer.{name} must be positive, got {getattr(self, name)!r}.")
        for name in ("head_lr", "head_epochs", "patience", "period", "clip_norm"):
            value = getattr(self, name)
            require(value is None or value > 0, f"optimizer.{name} must be positive or null, got {value!r}.")
        for name in ("weight_decay", "momentum", "min_lr", "warmup"):
            require(getattr(self, name) >= 0, f"optimizer.{name} must be 0 or more, got {getattr(self, name)!r}.")
        require(self.keep in ("best", "last"), f"optimizer.keep must be 'best' or 'last', got {self.keep!r}.")
        require(
            self.keep == "best" or self.patience is None,
            "optimizer.keep 'last' trains for all epochs; state optimizer.patience: null.",
        )
        require(self.schedule in get_args(Schedule), one_of("optimizer.schedule", self.schedule, Schedule))
        require(
            (self.period is not None) == (self.schedule == "cosine_restarts"),
            "optimizer.period goes with optimizer.schedule 'cosine_restarts', and must be stated then.",
        )
        require(
            self.precision in get_args(TrainingPrecision),
            one_of("optimizer.precision", self.precision, TrainingPrecision),
        )


@dataclass(frozen=True, kw_only=True)
class SplitRecipe:
    """How images are split, see `perceptmetrics.datasets.make_splits`.

    Attributes:
        count: Number of splits, each trained from scratch.
        test: Fraction of the images for testing.
        validation: Fraction of the other images for validation. With 0 no model is selected: training uses a single
            learning rate and keeps its last epoch.
        official: Whether published splits are used if there are any.
        export: Which model becomes the metric: that of the `"first"` split, or one that is trained on `"all"` images
            for as many epochs as served the splits best.
    """

    count: int = 1
    test: float = 0.2
    validation: float = 0.1
    official: bool = True
    export: Literal["first", "all"] = "first"

    def __post_init__(self) -> None:
        require(self.count > 0, f"splits.count must be positive, got {self.count!r}.")
        require(self.export in ("first", "all"), f"splits.export must be 'first' or 'all', got {self.export!r}.")
        require(0 < self.test < 1, f"splits.test must be between 0 and 1, got {self.test!r}.")
        require(0 <= self.validation < 1, f"splits.validation must be 0 or more and below 1, got {self.validation!r}.")


@dataclass(frozen=True, kw_only=True)
class ReportRecipe:
    """What the table of results shows, as the paper reports it. The statistics themselves are all in `summary.json`.

    Attributes:
        average: How a statistic is averaged over the splits: `"median"` or `"mean"`.
        statistics: The statistics of the table, in order; none for the usual ones of ratings or classes.
    """

    average: Literal["median", "mean"] = "median"
    statistics: tuple[Statistic, ...] = ()

    def __post_init__(self) -> None:
        check_choices("report", self, average=Literal["median", "mean"])
        for name in self.statistics:
            require(name in get_args(Statistic), one_of("report.statistics", name, Statistic))
