"""Change an attribute of photographs step by step: does the score follow?

CLIP-IQA (AAAI 2023) does this in Fig. 4 with prompts for the attribute that changes.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from perceptmetrics.errors import DatasetError, InvalidImageError, InvalidOptionError
from perceptmetrics.experiments.adjust import ADJUSTMENTS, Adjustment, adjustment
from perceptmetrics.experiments.scored import single_column
from perceptmetrics.functional.stats import srcc
from perceptmetrics.images.find import find_images
from perceptmetrics.images.load import load_image
from perceptmetrics.scoring.results import ScoredImage
from perceptmetrics.scoring.stream import ScoreImages, first_failure, score_images

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perceptmetrics.images.load import ImageSource
    from perceptmetrics.models.metric import Metric

__all__ = ["AttributeLadder", "Climb", "Ladders", "climb_ladders", "measured_attributes"]


@dataclass(frozen=True, kw_only=True)
class Climb:
    """One photograph on one ladder.

    Attributes:
        image: Path as given.
        scores: Score at each step.
        srcc: Spearman's rank correlation of step and score; NaN if the score does not change.
    """

    image: str
    scores: tuple[float, ...]
    srcc: float


@dataclass(frozen=True, kw_only=True)
class AttributeLadder:
    """The ladder of one attribute.

    Attributes:
        attribute: The attribute that increases from step to step.
        unit: Unit of the amounts.
        amounts: Amount at each step.
        column: Name of the score.
        climbs: One per photograph.
    """

    attribute: str
    unit: str
    amounts: tuple[float, ...]
    column: str
    climbs: tuple[Climb, ...]

    @property
    def mean_srcc(self) -> float:
        """Mean SRCC over the photographs whose score changes; NaN if there is none."""
        values = [climb.srcc for climb in self.climbs if climb.srcc == climb.srcc]
        return sum(values) / len(values) if values else float("nan")

    @property
    def mean_scores(self) -> tuple[float, ...]:
        """Mean score at each step."""
        return tuple(np.mean([climb.scores for climb in self.climbs], axis=0).tolist())


@dataclass(frozen=True, kw_only=True)
class Ladders:
    """The ladders of all attributes, and the images that could not be used."""

    ladders: tuple[AttributeLadder, ...]
    failed: tuple[ScoredImage, ...] = ()


def climb_ladders(
    metric: Metric,
    sources: str | os.PathLike[str] | Sequence[ImageSource],
    attributes: Sequence[str],
    *,
    steps: int = 7,
    label: str | None = None,
    scorer: ScoreImages = score_images,
) -> Ladders:
    """Change attributes of photographs step by step and correlate the steps with the scores.

    Args:
        metric: A metric with a single score, or one with a label for each attribute, such as `clipiqa` with prompts.
        sources: The photographs, or the path of a folder, a pattern or a file; each is read once.
        attributes: The attributes to change: brightness, noise, colour, contrast, sharpness.
        steps: Number of steps, at least 3.
        label: The score to use, for a metric with labels; None for the label with the name of the attribute.
        scorer: How to score them.

    Returns:
        The ladders, in the order of `attributes`.

    Raises:
        InvalidOptionError: An attribute is unknown or given twice, or the metric has no score for one.
        DatasetError: No photograph could be used.
    """
    adjustments = [adjustment(attribute) for attribute in attributes]
    if not adjustments or len({item.attribute for item in adjustments}) < len(adjustments):
        raise InvalidOptionError(f"Expected one or more distinct attributes, got {list(attributes)}.")
    columns = [_column(metric, item, label) for item in adjustments]
    photographs = list(find_images(sources)) if isinstance(sources, (str, os.PathLike)) else sources
    variants = _Variants(photographs, adjustments, steps)
    rows = iter(list(scorer([metric], variants)))
    climbs: list[list[Climb]] = [[] for _ in adjustments]
    failed = list(variants.failed)
    for name in variants.names:
        rungs = list(itertools.islice(rows, steps * len(adjustments)))
        error = next((rung.error for rung in rungs if rung.error is not None), None)
        if error is not None:
            failed.append(ScoredImage(name, error=error))
            continue
        for index, column in enumerate(columns):
            scores = tuple(rung.scores[column] for rung in rungs[index * steps : (index + 1) * steps])
            climbs[index].append(Climb(image=name, scores=scores, srcc=srcc(range(steps), scores)))
    if not climbs[0]:
        raise DatasetError(f"None of {len(failed)} photographs could be used.{first_failure(failed)}")
    return Ladders(
        ladders=tuple(
            AttributeLadder(
                attribute=item.attribute,
                unit=item.unit,
                amounts=item.amounts(steps),
                column=column,
                climbs=tuple(climbed),
            )
            for item, column, climbed in zip(adjustments, columns, climbs, strict=True)
        ),
        failed=tuple(failed),
    )


def measured_attributes(metric: Metric, label: str | None = None) -> list[str]:
    """The attributes that a metric can be tested on: those that it has a label for.

    Args:
        metric: The metric.
        label: The score to use for all attributes; None for the label with the name of each.

    Returns:
        Names for `climb_ladders`; all of them for a metric with a single score, or if the score is stated.
    """
    everything = label is not None or not metric.labels
    return [name for name, item in ADJUSTMENTS.items() if everything or _own_label(metric, item) is not None]


def _own_label(metric: Metric, item: Adjustment) -> str | None:
    return next((name for name in (item.prompt, item.attribute) if name in metric.labels), None)


def _column(metric: Metric, item: Adjustment, label: str | None) -> str:
    if label is None and metric.labels:
        label = _own_label(metric, item)
        if label is None:
            raise InvalidOptionError(
                f"{metric.metric_name!r} has no label for {item.attribute}: expected {item.prompt!r}, got "
                f"{', '.join(metric.labels)}. Choose one of these labels, or other prompts."
            )
    return single_column(metric, label)


class _Variants:
    """Yields the changed photographs; each photograph is read once, when it is needed."""

    def __init__(self, sources: Sequence[ImageSource], adjustments: Sequence[Adjustment], steps: int) -> None:
        self._sources = sources
        self._adjustments = adjustments
        self._amounts = [item.amounts(steps) for item in adjustments]
        self.names: list[str] = []
        self.failed: list[ScoredImage] = []

    def __length_hint__(self) -> int:
        return len(self._sources) * sum(map(len, self._amounts))

    def __iter__(self) -> Iterator[Image.Image]:
        for index, source in enumerate(self._sources):
            name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else f"image {index}"
            try:
                photograph = _as_pil(source)
            except InvalidImageError as error:
                self.failed.append(ScoredImage(name, error=str(error)))
                continue
            self.names.append(name)
            for item, amounts in zip(self._adjustments, self._amounts, strict=True):
                for amount in amounts:
                    yield item.apply(photograph, amount)


def _as_pil(source: ImageSource) -> Image.Image:
    pixels = load_image(source).mul(255).round().byte()
    return Image.fromarray(pixels.permute(1, 2, 0).numpy())
