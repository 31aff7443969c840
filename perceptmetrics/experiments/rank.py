"""Rank images: the best and the worst of a folder.

CLIP-IQA (Wang, Chan, Loy, AAAI 2023) shows them for quality in Fig. 3 and for abstract attributes in Fig. 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perceptmetrics.experiments.scored import score_set, single_column
from perceptmetrics.scoring.results import ScoredImage
from perceptmetrics.scoring.stream import ScoreImages, score_images

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perceptmetrics.images.load import ImageSource
    from perceptmetrics.models.metric import Metric

__all__ = ["RankedImage", "Ranking", "rank_images"]


@dataclass(frozen=True, kw_only=True)
class RankedImage:
    """An image and its rank.

    Attributes:
        rank: 1 for the best.
        image: Path as given.
        score: Its score.
    """

    rank: int
    image: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Images from the best to the worst.

    Attributes:
        column: Name of the score.
        lower_better: Whether the best image has the lowest score.
        images: All images with a score, best first; equal scores in alphabetical order.
        failed: Images that could not be scored.
    """

    column: str
    lower_better: bool
    images: tuple[RankedImage, ...]
    failed: tuple[ScoredImage, ...] = ()

    def best(self, top: int) -> tuple[RankedImage, ...]:
        """The `top` best, best first; at most the better half, so that no image is both best and worst."""
        return self.images[: min(top, (len(self.images) + 1) // 2)]

    def worst(self, top: int) -> tuple[RankedImage, ...]:
        """The `top` worst, worst first; at most the worse half."""
        count = min(top, len(self.images) // 2)
        return self.images[::-1][:count]


def rank_images(
    metric: Metric,
    sources: ImageSource | Iterable[ImageSource],
    *,
    label: str | None = None,
    scorer: ScoreImages = score_images,
) -> Ranking:
    """Rank images by a metric.

    Args:
        metric: The metric.
        sources: What `Metric.score` takes, such as a folder.
        label: The score to use, for a metric with labels.
        scorer: How to score them.

    Returns:
        The ranking.

    Raises:
        InvalidOptionError: The label is missing or unknown.
        DatasetError: No image could be scored.

    Examples:
        >>> import perceptmetrics
        >>> from perceptmetrics.images.examples import blurred, sample_photographs
        >>> cat = sample_photographs()["chelsea"]
        >>> ranking = rank_images(perceptmetrics.create_metric("lite_iqa"), [blurred(cat), cat])
        >>> [row.image for row in ranking.best(1)]
        ['image 1']
    """
    column = single_column(metric, label)
    scored, failed = score_set([metric], sources, scorer)
    sign = 1 if metric.lower_better else -1
    ordered = sorted(scored, key=lambda row: (sign * row.scores[column], row.name))
    return Ranking(
        column=column,
        lower_better=metric.lower_better,
        images=tuple(
            RankedImage(rank=rank, image=row.name, score=row.scores[column])
            for rank, row in enumerate(ordered, start=1)
        ),
        failed=tuple(failed),
    )
