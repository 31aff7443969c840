"""The whole of a metric: its parts, what its score means, and its card."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from perceptmetrics._util.text import shown
from perceptmetrics.spec.checks import require, require_finite, require_text
from perceptmetrics.spec.encoders import EncoderSpec
from perceptmetrics.spec.heads import HeadSpec
from perceptmetrics.spec.interval import IntervalSpec
from perceptmetrics.spec.pool import PoolSpec, regressor_inputs
from perceptmetrics.spec.score_maps import IdentityMap, ScoreMap
from perceptmetrics.spec.views import ViewsSpec

if TYPE_CHECKING:
    from perceptmetrics.spec.sources import WeightSource

__all__ = ["CardSpec", "MetricSpec", "ScoreSpec", "Task", "as_metric_name"]

Task = Literal["quality", "aesthetics", "memorability", "emotion", "attribute", "alignment", "preference"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_LONGEST_NAME = 200
_MOST_LABELS = 100_000


def as_metric_name(text: str) -> str:
    """Make a name of a metric from a text; what a name must not contain becomes an underscore.

    Returns:
        The name; `"metric"` if nothing is left of the text.

    Examples:
        >>> as_metric_name("My photos (2024)")
        'My_photos_2024'
    """
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", text).strip("_.+-")[:_LONGEST_NAME] or "metric"


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
        map: How raw outputs become scores.
    """

    lower: float | None
    upper: float | None
    higher_is_better: bool
    strict_range: bool = True
    labels: tuple[str, ...] = ()
    positive_labels: tuple[str, ...] = ()
    map: ScoreMap = field(default_factory=IdentityMap)

    def __post_init__(self) -> None:
        require(
            isinstance(self.higher_is_better, bool),
            f"ScoreSpec.higher_is_better must be stated as True or False, got {shown(self.higher_is_better)}.",
        )
        require(
            self.lower is None or self.upper is None or self.lower < self.upper,
            f"ScoreSpec.lower must be below ScoreSpec.upper, got {shown(self.lower)} and {shown(self.upper)}.",
        )
        require(isinstance(self.map, ScoreMap), f"ScoreSpec.map must be a ScoreMap, got {shown(self.map)}.")
        require_finite("ScoreSpec", lower=self.lower, upper=self.upper)
        require(
            len(self.labels) <= _MOST_LABELS,
            f"ScoreSpec.labels may state at most {_MOST_LABELS:,} labels, got {len(self.labels):,}.",
        )
        require(
            not self.map.gives_probabilities or len(self.labels) > 1,
            f"ScoreSpec.map {self.map.kind!r} needs several labels to share the probability between.",
        )
        require(
            set(self.positive_labels) <= set(self.labels),
            f"ScoreSpec.positive_labels must be among the labels, got {shown(self.positive_labels)}.",
        )
        require(len(set(self.labels)) == len(self.labels), f"ScoreSpec.labels repeat: {shown(self.labels)}.")

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
        encoder: The encoder.
        views: How an image is shown to the encoder.
        head: From features to raw outputs.
        score: From raw outputs to scores, and what they mean.
        card: Paper, licence, training data, limits.
        pool: From the outputs of an image's views to raw outputs of the image.
        interval: How far ratings of new images lie from the scores; None where that was not measured.
    """

    name: str
    task: Task
    encoder: EncoderSpec
    views: ViewsSpec
    head: HeadSpec
    score: ScoreSpec
    card: CardSpec
    pool: PoolSpec = field(default_factory=PoolSpec)
    interval: IntervalSpec | None = None

    def __post_init__(self) -> None:
        require(
            len(self.name) <= _LONGEST_NAME and _NAME.fullmatch(self.name) is not None,
            f"MetricSpec.name must consist of letters, digits and _ . + -, at most {_LONGEST_NAME}, got "
            f"{shown(self.name)}.",
        )
        require(
            self.task in get_args(Task),
            f"MetricSpec.task must be one of {', '.join(get_args(Task))}, got {shown(self.task)}.",
        )
        require(
            self.encoder.reads_text or not self.head.needs_text_encoder,
            f"{self.name}: images are compared with texts, which needs the encoder of a CLIP, got one of kind "
            f"{self.encoder.kind!r}.",
        )
        self._check_outputs()
        self.head.check(self)

    def _check_outputs(self) -> None:
        outputs = self.head.outputs
        if self.pool.regressor is not None:
            require(self.head.takes_regressor, f"{self.name}: a regressor goes with prompts, not with another head.")
            inputs = regressor_inputs(self.pool.aggregation, outputs, self.views.view_count)
            require(
                self.pool.regressor.widths[0] == inputs,
                f"{self.name}: the regressor takes {self.pool.regressor.widths[0]} values, but the head and "
                f"{self.views.view_count} views with aggregation {self.pool.aggregation!r} give {inputs}.",
            )
            outputs = self.pool.regressor.widths[-1]
        scores, labels = self.score.map.outputs(outputs), len(self.score.labels)
        widths = scores if self.interval is None else len(self.interval.half_widths)
        require(
            widths == scores and (self.interval is None or not self.score.map.gives_probabilities),
            f"{self.name}: an interval needs a width for each of {scores} scores that are no probabilities, got "
            f"{widths}.",
        )
        require(
            scores == max(1, labels),
            f"{self.name}: the head has {outputs} outputs"
            f"{'' if scores == outputs else f', which make {scores} scores'}, but the score names {labels} labels.",
        )

    @property
    def lower_better(self) -> bool:
        """Whether a lower score is better (pyiqa's spelling)."""
        return not self.score.higher_is_better

    @property
    def weight_sources(self) -> tuple[WeightSource, ...]:
        """Every file that the metric is built from."""
        own = () if self.trained_file is None else (self.trained_file,)
        return own if own and self.encoder.in_trained_file else (self.encoder.weights, *own)

    @property
    def allows_commercial_use(self) -> bool:
        """Whether all weights are known to be under licences that allow commercial use; see `LicenceSpec`.

        False where a licence is not recorded, also for a part that was trained and is in no published file.
        """
        if self.has_trained_part and self.trained_file is None:
            return False
        return all(file.licence is not None and file.licence.allows_commercial_use for file in self.weight_sources)

    @property
    def has_trained_part(self) -> bool:
        """Whether something was trained beside or inside the encoder, and lies in a file of its own."""
        return self.head.is_trained or self.pool.regressor is not None

    @property
    def trained_file(self) -> WeightSource | None:
        """Where the metric's own trained part comes from; None when there is none, or no published file."""
        return self.head.trained_file if self.pool.regressor is None else self.pool.regressor.weights
