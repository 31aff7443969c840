"""Make a study: pairs of images for people to compare.

CLIP-IQA (AAAI 2023) asks people to choose between two images for five attributes, Fig. 7.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from perceptmetrics.errors import DatasetError, InvalidOptionError
from perceptmetrics.experiments.scored import TIE, score_set, single_column
from perceptmetrics.scoring.results import ScoredImage
from perceptmetrics.scoring.stream import ScoreImages, score_images

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from perceptmetrics.images.load import ImageSource
    from perceptmetrics.models.metric import Metric

__all__ = ["MAX_CANDIDATES", "Side", "Study", "StudyPair", "choose_pairs", "make_study", "rescore"]

Side = Literal["left", "right", "same"]
MAX_CANDIDATES = 20_000
_USE_PENALTY = 0.05  # of the largest difference, for each pair that already contains the image


@dataclass(frozen=True, kw_only=True)
class StudyPair:
    """Two images shown side by side.

    Attributes:
        pair: Number of the pair, from 1.
        left: Path of the image on the left.
        right: Path of the image on the right.
        left_score: Score of `left`.
        right_score: Score of `right`.
        metric_choice: The side that the metric prefers; `"same"` if the scores are equal to six decimals.
    """

    pair: int
    left: str
    right: str
    left_score: float
    right_score: float
    metric_choice: Side

    @property
    def difference(self) -> float:
        """Absolute difference of the two scores."""
        return abs(self.left_score - self.right_score)


@dataclass(frozen=True, kw_only=True)
class Study:
    """The pairs of a study."""

    column: str
    pairs: tuple[StudyPair, ...]
    failed: tuple[ScoredImage, ...] = ()

    @property
    def identity(self) -> str:
        """Identifier of the study, twelve hexadecimal digits: a hash of its pairs, not of their scores."""
        text = "\n".join(f"{pair.pair}\t{pair.left}\t{pair.right}" for pair in self.pairs)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def make_study(
    metric: Metric,
    sources: ImageSource | Iterable[ImageSource],
    *,
    pairs: int = 40,
    seed: int = 0,
    label: str | None = None,
    scorer: ScoreImages = score_images,
) -> Study:
    """Make pairs with a wide range of score differences.

    Args:
        metric: The metric.
        sources: The images, two or more: what `Metric.score` takes, such as a folder.
        pairs: Number of pairs.
        seed: Seed of the choice; the same seed and scores give the same study.
        label: The score to use, for a metric with labels.
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
        raise DatasetError("A study needs at least two images that can be scored, got one.")
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
    """Replace the scores of a study by those of another metric.

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


def choose_pairs(scores: Sequence[float], count: int, seed: int) -> list[tuple[int, int]]:
    """Choose pairs whose score differences are spread evenly from almost zero to the largest.

    Pairs of similar quality show how fine a metric's judgement is, pairs far apart whether it is sane; random pairs
    would cover the differences unevenly. Images that are in few pairs are preferred.

    Args:
        scores: Scores of N >= 2 images.
        count: Number of pairs to choose.
        seed: Seed of all draws: the candidates, the order of the pairs, and which image is on the left.

    Returns:
        At most `count` distinct pairs `(left, right)` of indices into `scores`; fewer if there are no more.
    """
    generator = np.random.default_rng(seed)
    first, second = _candidates(len(scores), generator)
    values = np.asarray(scores, dtype=np.float64)
    differences = np.abs(values[first] - values[second])
    widest = float(differences.max()) or 1.0
    count = min(count, len(first))
    uses = np.zeros(len(scores))
    free = np.ones(len(first), dtype=bool)
    pairs = []
    for target in generator.permutation(np.linspace(0.0, float(differences.max()), count)):
        cost = np.abs(differences - target) / widest + _USE_PENALTY * (uses[first] + uses[second])
        chosen = int(np.argmin(np.where(free, cost, np.inf)))
        free[chosen] = False
        pair = (int(first[chosen]), int(second[chosen]))
        uses[list(pair)] += 1
        pairs.append(pair if generator.random() < 0.5 else pair[::-1])
    return pairs


def _candidates(size: int, generator: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """All pairs in random order, or `MAX_CANDIDATES` of them drawn at random."""
    total = size * (size - 1) // 2
    if total <= 4 * MAX_CANDIDATES:
        first, second = np.triu_indices(size, k=1)
        order = generator.permutation(total)[:MAX_CANDIDATES]
        return first[order], second[order]
    drawn = np.sort(generator.integers(0, size, (2 * MAX_CANDIDATES, 2)), axis=1)
    drawn = np.unique(drawn[drawn[:, 0] < drawn[:, 1]], axis=0)
    drawn = generator.permutation(drawn)[:MAX_CANDIDATES]
    return drawn[:, 0], drawn[:, 1]
