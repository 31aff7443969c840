"""Pairs of images for people to choose from.

CLIP-IQA (AAAI 2023) asks people to choose between two images for five attributes, Fig. 7.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from perceptmetrics.errors import DatasetError, InvalidOptionError
from perceptmetrics.experiments.pairs import choose_pairs
from perceptmetrics.experiments.scored import TIE, score_set, single_column
from perceptmetrics.scoring.results import ScoredImage
from perceptmetrics.scoring.stream import ScoreImages, score_images

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perceptmetrics.images.load import ImageSource
    from perceptmetrics.models.metric import Metric

__all__ = ["Side", "Study", "StudyPair", "make_study", "rescore"]

Side = Literal["left", "right", "same"]


@dataclass(frozen=True, kw_only=True)
class StudyPair:
    """Two images that are shown side by side.

    Attributes:
        pair: Number of the pair, from 1.
        left: Path of the image on the left.
        right: Path of the image on the right.
        left_score: Its score.
        right_score: Its score.
        metric_choice: Which one the metric prefers; `"same"` when the scores are equal to six decimals.
    """

    pair: int
    left: str
    right: str
    left_score: float
    right_score: float
    metric_choice: Side

    @property
    def difference(self) -> float:
        """How far apart the two scores are, 0 or more."""
        return abs(self.left_score - self.right_score)


@dataclass(frozen=True, kw_only=True)
class Study:
    """The pairs of a study."""

    column: str
    pairs: tuple[StudyPair, ...]
    failed: tuple[ScoredImage, ...] = ()

    @property
    def identity(self) -> str:
        """Twelve hexadecimal digits that tell this study from others: a hash of its pairs, not of their scores."""
        text = "\n".join(f"{pair.pair}\t{pair.left}\t{pair.right}" for pair in self.pairs)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def make_study(
    metric: Metric,
    sources: Iterable[ImageSource],
    *,
    pairs: int = 40,
    seed: int = 0,
    label: str | None = None,
    scorer: ScoreImages = score_images,
) -> Study:
    """Make pairs with a wide range of score differences.

    Args:
        metric: The metric.
        sources: Images, two or more.
        pairs: How many pairs.
        seed: Seed of the choice; the same seed and scores give the same study.
        label: Which score, for a metric with labels.
        scorer: How to score them.

    Returns:
        The study.

    Raises:
        InvalidOptionError: `pairs` is not positive, or the label is missing or unknown.
        DatasetError: Fewer than two images could be scored.
    """
    if pairs < 1:
        raise InvalidOptionError(f"A study needs at least one pair, got {pairs}.")
    column = single_column(metric, label)
    scored, failed = score_set([metric], sources, scorer)
    if len(scored) < 2:
        raise DatasetError("A pair needs two images that can be scored, got one.")
    chosen = choose_pairs([row.scores[column] for row in scored], pairs, seed)
    return Study(
        column=column,
        pairs=tuple(
            _pair(
                number,
                (scored[left].name, scored[left].scores[column]),
                (scored[right].name, scored[right].scores[column]),
                lower_better=metric.lower_better,
            )
            for number, (left, right) in enumerate(chosen, start=1)
        ),
        failed=tuple(failed),
    )


def rescore(study: Study, metric: Metric, *, label: str | None = None, scorer: ScoreImages = score_images) -> Study:
    """Put the scores of another metric in place of those that the study was made with.

    Raises:
        InvalidOptionError: The label is missing or unknown.
        DatasetError: An image of the study cannot be scored.
    """
    column = single_column(metric, label)
    images = list(dict.fromkeys(image for pair in study.pairs for image in (pair.left, pair.right)))
    scored, failed = score_set([metric], images, scorer)
    if failed:
        raise DatasetError(f"An image of the study could not be scored: {failed[0].error}")
    score_of = {row.name: row.scores[column] for row in scored}
    pairs = tuple(
        _pair(
            pair.pair,
            (pair.left, score_of[pair.left]),
            (pair.right, score_of[pair.right]),
            lower_better=metric.lower_better,
        )
        for pair in study.pairs
    )
    return replace(study, column=column, pairs=pairs)


def _pair(number: int, left: tuple[str, float], right: tuple[str, float], *, lower_better: bool) -> StudyPair:
    gain = (right[1] - left[1]) if lower_better else (left[1] - right[1])
    choice: Side = "left" if gain > TIE else "right" if gain < -TIE else "same"
    return StudyPair(
        pair=number,
        left=left[0],
        right=right[0],
        left_score=left[1],
        right_score=right[1],
        metric_choice=choice,
    )
