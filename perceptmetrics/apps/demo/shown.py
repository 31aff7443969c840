"""An image's scores as the templates of the page show them: numbers, their position in the range, their meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perceptmetrics.reports.plots import RadarAxis, draw_radar, figure_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perceptmetrics.models.metric import Metric

__all__ = ["Difference", "ShownImage", "ShownMetric", "ShownValue", "differences", "radar_png", "shown_metrics"]

_MIN_SPOKES = 3


@dataclass(frozen=True, kw_only=True)
class ShownValue:
    """A number.

    Attributes:
        label: Its label; empty for a metric with a single score.
        value: The number.
        text: The number, formatted.
        fraction: Its position in the range, in [0, 1]; None if the range is open.
    """

    label: str
    value: float
    text: str
    fraction: float | None


@dataclass(frozen=True, kw_only=True)
class ShownMetric:
    """A metric's values for an image.

    Attributes:
        name: Name on the page.
        summary: What its score means.
        meaning: Range and direction.
        values: The numbers; probabilities in descending order.
    """

    name: str
    summary: str
    meaning: str
    values: tuple[ShownValue, ...]


@dataclass(frozen=True, kw_only=True)
class ShownImage:
    """An image with its scores, or the reason why there are none.

    Attributes:
        name: File name.
        uri: Thumbnail as a data URI; empty if the image cannot be read.
        size: Width and height.
        metrics: Its scores.
        error: Why there are no scores.
    """

    name: str
    uri: str = ""
    size: str = ""
    metrics: tuple[ShownMetric, ...] = ()
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One score of two images.

    Attributes:
        name: The metric, with the label if it has several.
        meaning: Range and direction.
        first: The first image's score, formatted.
        second: The second image's score, formatted.
        difference: Second minus first, formatted.
        better: "first" or "second"; empty for ties and for labels, which have no better end.
    """

    name: str
    meaning: str
    first: str
    second: str
    difference: str
    better: str


def differences(metrics: Mapping[str, Metric], first: ShownImage, second: ShownImage) -> list[Difference]:
    """Compare the scores of two images."""
    found = []
    for metric, one, other in zip(metrics.values(), first.metrics, second.metrics, strict=True):
        of_other = {value.label: value for value in other.values}
        for value in one.values:
            match = of_other[value.label]
            step = match.value - value.value
            judged = not value.label and step != 0
            better = "second" if (step > 0) != metric.lower_better else "first"
            found.append(
                Difference(
                    name=f"{one.name}: {value.label}" if value.label else one.name,
                    meaning=one.meaning,
                    first=value.text,
                    second=match.text,
                    difference=f"{step:+.1%}" if value.text.endswith("%") else f"{step:+.4f}",
                    better=better if judged else "",
                )
            )
    return found


def shown_metrics(metrics: Mapping[str, Metric], rows: Mapping[str, Sequence[float]]) -> tuple[ShownMetric, ...]:
    """Describe scores.

    Args:
        metrics: The metrics by their names on the page.
        rows: Their scores for an image: one number, or one per label.
    """
    return tuple(_shown(name, metric, rows[name]) for name, metric in metrics.items())


def radar_png(metrics: Mapping[str, Metric], images: Sequence[ShownImage]) -> bytes:
    """Draw the scores of images as one radar plot.

    Args:
        metrics: The metrics by their names on the page.
        images: The images.

    Returns:
        A PNG file; empty if fewer than three scores have a range, or no image has scores.
    """
    axes = [axis for metric in metrics.values() for axis in _axes(metric)]
    scored = [image for image in images if image.metrics]
    if len(axes) < _MIN_SPOKES or not scored:
        return b""
    rows = {}
    for number, image in enumerate(scored, start=1):
        bounded = [one for one, metric in zip(image.metrics, metrics.values(), strict=True) if _axes(metric)]
        rows[f"{number}. {image.name}"] = [value.value for one in bounded for value in one.values]
    return figure_bytes(draw_radar(axes, rows), "png")


def _shown(name: str, metric: Metric, row: Sequence[float]) -> ShownMetric:
    score = metric.spec.score
    probable = score.map.gives_probabilities
    values = [
        ShownValue(
            label=label,
            value=value,
            text=f"{value:.1%}" if probable else f"{value:.4f}",
            fraction=_fraction(value, score.lower, score.upper),
        )
        for label, value in zip(metric.labels or ("",), row, strict=True)
    ]
    if probable:
        values.sort(key=lambda shown: -shown.value)
    direction = "lower" if metric.lower_better else "higher"
    meaning = "probabilities" if probable else f"{score.range_text}, {direction} is better"
    return ShownMetric(name=name, summary=metric.spec.card.summary, meaning=meaning, values=tuple(values))


def _fraction(value: float, lower: float | None, upper: float | None) -> float | None:
    if lower is None or upper is None:
        return None
    return min(1.0, max(0.0, (value - lower) / (upper - lower)))


def _axes(metric: Metric) -> list[RadarAxis]:
    lower, upper = metric.score_range
    if metric.spec.score.map.gives_probabilities or lower is None or upper is None:
        return []
    return [RadarAxis(name=name, lower=lower, upper=upper) for name in metric.labels or (metric.metric_name,)]
