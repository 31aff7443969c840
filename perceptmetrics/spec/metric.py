"""The whole of a metric: its parts, what its score means, and its card."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from perceptmetrics.spec.backbone import BackboneSpec
from perceptmetrics.spec.checks import require, require_text
from perceptmetrics.spec.heads import AntonymHeadSpec, CosineHeadSpec, HeadSpec, MlpHeadSpec, PoolSpec
from perceptmetrics.spec.views import CropsView, ViewsSpec

if TYPE_CHECKING:
    from perceptmetrics.spec.sources import WeightSource

__all__ = ["CardSpec", "MetricSpec", "ScoreMap", "ScoreSpec", "Task"]

Task = Literal["quality", "memorability", "emotion", "attribute"]
ScoreMap = Literal["identity", "affine", "logistic", "softmax"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


@dataclass(frozen=True, kw_only=True)
class ScoreSpec:
    """What the number means.

    Attributes:
        lower: Lowest score; None when it is unbounded.
        upper: Highest score; None when it is unbounded.
        higher_is_better: Direction; it decides the sign of the loss.
        strict_range: Whether no score can lie outside. False where `lower` and `upper` are those of the
            training data and nothing holds a prediction to them.
        labels: Names of the outputs of a metric with several; empty for a single score.
        positive_labels: Of labels that are emotions: the pleasant ones.
        map: How raw outputs become scores: `"identity"`; `"affine"`, which is `scale * raw + shift`;
            `"logistic"`, which is `1 / (1 + exp(-(scale * raw + shift)))`; or `"softmax"` over the labels, so that
            the scores are probabilities.
        scale: Factor of the map.
        shift: Offset of the map.
    """

    lower: float | None
    upper: float | None
    higher_is_better: bool
    strict_range: bool = True
    labels: tuple[str, ...] = ()
    positive_labels: tuple[str, ...] = ()
    map: ScoreMap = "identity"
    scale: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        require(
            isinstance(self.higher_is_better, bool),
            f"ScoreSpec.higher_is_better must be stated as True or False, got {self.higher_is_better!r}.",
        )
        require(
            self.lower is None or self.upper is None or self.lower < self.upper,
            f"ScoreSpec.lower must be below ScoreSpec.upper, got {self.lower!r} and {self.upper!r}.",
        )
        require(
            self.map in get_args(ScoreMap),
            f"ScoreSpec.map must be one of {', '.join(get_args(ScoreMap))}, got {self.map!r}.",
        )
        require(
            self.map != "softmax" or len(self.labels) > 1,
            "ScoreSpec.map 'softmax' needs several labels to share the probability between.",
        )
        require(
            set(self.positive_labels) <= set(self.labels),
            f"ScoreSpec.positive_labels must be among the labels, got {self.positive_labels!r}.",
        )
        require(len(set(self.labels)) == len(self.labels), f"ScoreSpec.labels repeat: {self.labels!r}.")

    @property
    def span(self) -> float:
        """Width of the range; 1 where it is open."""
        return 1.0 if self.lower is None or self.upper is None else self.upper - self.lower

    @property
    def range_text(self) -> str:
        """The range for people to read, with a tilde where scores may lie slightly outside."""
        about = "" if self.strict_range else "~"
        lower = "-inf" if self.lower is None else f"{about}{self.lower:g}"
        upper = "inf" if self.upper is None else f"{about}{self.upper:g}"
        return f"{lower} to {upper}"


@dataclass(frozen=True, kw_only=True)
class CardSpec:
    """What a user should know before relying on the metric.

    Attributes:
        summary: One sentence: what the score says.
        paper: Authors, title, venue and year.
        paper_url: Where the paper can be read.
        licence: Terms of the weights; the code is Apache-2.0.
        training_data: What the weights were trained on.
        limits: Known limits and biases.
    """

    summary: str
    paper: str
    paper_url: str
    licence: str
    training_data: str = ""
    limits: str = ""

    def __post_init__(self) -> None:
        require_text("CardSpec", summary=self.summary, paper=self.paper, paper_url=self.paper_url, licence=self.licence)


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """A metric: pure data, from which `create_metric` builds the model.

    Attributes:
        name: Unique name in the registry.
        task: What is predicted.
        backbone: The encoder.
        views: How an image is shown to the encoder.
        head: From features to raw outputs.
        score: From raw outputs to scores, and what they mean.
        card: Paper, licence, training data, limits.
        pool: From the outputs of an image's views to raw outputs of the image.
    """

    name: str
    task: Task
    backbone: BackboneSpec
    views: ViewsSpec
    head: HeadSpec
    score: ScoreSpec
    card: CardSpec
    pool: PoolSpec = field(default_factory=PoolSpec)

    def __post_init__(self) -> None:
        require(
            _NAME.fullmatch(self.name) is not None,
            f"MetricSpec.name must consist of letters, digits and _ . + -, got {self.name!r}.",
        )
        require(
            self.task in get_args(Task),
            f"MetricSpec.task must be one of {', '.join(get_args(Task))}, got {self.task!r}.",
        )
        if isinstance(self.head, MlpHeadSpec):
            require(self.pool.regressor is None, f"{self.name}: a regressor goes with prompts, not with another head.")
        else:
            self._check_prompts()
        self._check_outputs()
        if isinstance(self.head, AntonymHeadSpec) and self.pool.regressor is None:
            self._check_labels(self.head)

    def _check_prompts(self) -> None:
        require(
            self.backbone.library == "open_clip",
            f"{self.name}: images are compared with prompts, which needs a CLIP backbone "
            f"(library 'open_clip'), got {self.backbone.library!r}.",
        )
        require(
            self.backbone.lora is None,
            f"{self.name}: LoRA's weights lie in a trained file with a head of layers, and this metric has prompts.",
        )

    def _check_outputs(self) -> None:
        outputs = self._head_outputs()
        regressor = self.pool.regressor
        if regressor is not None:
            inputs = outputs * (self._view_count() if self.pool.aggregation == "concat" else 1)
            require(
                regressor.widths[0] == inputs,
                f"{self.name}: the regressor takes {regressor.widths[0]} values, but the head and {self._view_count()} "
                f"views with aggregation {self.pool.aggregation!r} give {inputs}.",
            )
            outputs = regressor.widths[-1]
        labels = len(self.score.labels)
        require(
            outputs == max(1, labels),
            f"{self.name}: the head has {outputs} outputs, but the score names {labels} labels.",
        )

    def _head_outputs(self) -> int:
        if isinstance(self.head, MlpHeadSpec):
            return self.head.widths[-1]
        return 1 if isinstance(self.head, CosineHeadSpec) or self.head.average else len(self.head.pairs)

    def _view_count(self) -> int:
        return sum(view.count if isinstance(view, CropsView) else 1 for view in self.views.views)

    def _check_labels(self, head: AntonymHeadSpec) -> None:
        single = head.average or len(head.pairs) == 1
        expected = () if single else tuple(pair.name for pair in head.pairs)
        require(
            self.score.labels == expected,
            f"{self.name}: ScoreSpec.labels must be {expected} to match the prompt pairs, got {self.score.labels}.",
        )

    @property
    def lower_better(self) -> bool:
        """Whether a lower score is better (pyiqa's spelling)."""
        return not self.score.higher_is_better

    @property
    def weight_sources(self) -> tuple[WeightSource, ...]:
        """Every file that the metric is built from."""
        own = () if self.trained_file is None else (self.trained_file,)
        return own if own and self.backbone.in_trained_file else (self.backbone.weights, *own)

    @property
    def has_trained_part(self) -> bool:
        """Whether something was trained beside or inside the encoder, and lies in a file of its own."""
        context = self.head.context if isinstance(self.head, AntonymHeadSpec) else None
        return isinstance(self.head, MlpHeadSpec) or context is not None or self.pool.regressor is not None

    @property
    def trained_file(self) -> WeightSource | None:
        """Where the metric's own trained part comes from; None when there is none, or no published file."""
        if isinstance(self.head, MlpHeadSpec):
            return self.head.weights
        if self.pool.regressor is not None:
            return self.pool.regressor.weights
        context = self.head.context if isinstance(self.head, AntonymHeadSpec) else None
        return None if context is None else context.weights
