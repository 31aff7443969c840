"""Score several attributes of images side by side.

CLIP-IQA (AAAI 2023, sections 4.2 and 4.3) scores attributes with antonym prompts; CLIP-UIQA (2024) plots the attributes
of one image in polar coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.experiments.scored import score_set
from perceptmetrics.scoring.results import ScoredImage
from perceptmetrics.scoring.stream import ScoreImages, score_columns, score_images

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perceptmetrics.images.load import ImageSource
    from perceptmetrics.models.metric import Metric

__all__ = ["Attribute", "AttributeProfiles", "Profile", "attribute_profiles"]


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """One attribute.

    Attributes:
        name: Label of the output, or name of a metric with a single score.
        lower: Lowest possible score; None if unbounded.
        upper: Highest possible score; None if unbounded.
        lower_better: Whether a lower score is better.
    """

    name: str
    lower: float | None
    upper: float | None
    lower_better: bool


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The scores of one image, one per attribute."""

    image: str
    scores: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class AttributeProfiles:
    """Profiles of several images.

    Attributes:
        attributes: The attributes, two or more.
        images: The profiles of the images that could be scored.
        failed: Images that could not be scored.
    """

    attributes: tuple[Attribute, ...]
    images: tuple[Profile, ...]
    failed: tuple[ScoredImage, ...] = ()


def attribute_profiles(
    metrics: Sequence[Metric], sources: ImageSource | Iterable[ImageSource], *, scorer: ScoreImages = score_images
) -> AttributeProfiles:
    """Score images with a metric with labels, or with several metrics.

    Args:
        metrics: Metrics with at least two scores in total.
        sources: The images: what `Metric.score` takes, such as a folder.
        scorer: How to score them.

    Returns:
        One profile per image.

    Raises:
        InvalidOptionError: There is only one score.
        DatasetError: No image could be scored.
    """
    columns = score_columns(metrics)
    if len(columns) < 2:
        raise InvalidOptionError(
            f"Expected two or more scores to compare, got one: {', '.join(columns)}. Use a metric with several labels, "
            "such as clipiqa with the prompts quality,brightness,sharpness, or several metrics."
        )
    scored, failed = score_set(metrics, sources, scorer)
    return AttributeProfiles(
        attributes=tuple(attribute for metric in metrics for attribute in _attributes(metric, alone=len(metrics) == 1)),
        images=tuple(Profile(image=row.name, scores=tuple(row.scores[column] for column in columns)) for row in scored),
        failed=tuple(failed),
    )


def _attributes(metric: Metric, *, alone: bool) -> list[Attribute]:
    names = metric.labels if alone and metric.labels else score_columns([metric])
    lower, upper = metric.score_range
    return [Attribute(name=name, lower=lower, upper=upper, lower_better=metric.lower_better) for name in names]
