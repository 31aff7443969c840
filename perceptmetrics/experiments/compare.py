"""Compare two versions of the same images: which one does a metric prefer?

CLIP-IQA (AAAI 2023) compares low-quality images with their ground truth in Fig. 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perceptmetrics.experiments.methods import compare_methods
from perceptmetrics.functional.stats import binomial_interval
from perceptmetrics.scoring.results import ScoredImage
from perceptmetrics.scoring.stream import ScoreImages, score_images

if TYPE_CHECKING:
    import os

    from perceptmetrics.experiments.method_results import MethodComparison
    from perceptmetrics.models.metric import Metric

__all__ = ["ComparedPair", "Comparison", "as_pair", "compare_folders"]


@dataclass(frozen=True, kw_only=True)
class ComparedPair:
    """One image in both versions.

    Attributes:
        name: Path relative to the folder, without suffix.
        image_a: File in folder A.
        image_b: File in folder B.
        score_a: Score of `image_a`.
        score_b: Score of `image_b`.
    """

    name: str
    image_a: str
    image_b: str
    score_a: float
    score_b: float

    @property
    def difference(self) -> float:
        """Score of A minus score of B."""
        return self.score_a - self.score_b


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Comparison of folder A with folder B.

    Attributes:
        column: Name of the score.
        lower_better: Whether a lower score is better.
        pairs: Images that have a score in both folders.
        wins_a: Number of pairs in which A scores better.
        wins_b: Number of pairs in which B scores better.
        ties: Number of pairs with equal scores (to six decimals).
        win_rate: Fraction of A's wins among the decided pairs, in [0, 1]; NaN if no pair is decided.
        win_rate_interval: Its exact 95 % interval (Clopper-Pearson).
        p_value: Two-sided sign test of the hypothesis that both are equally likely to win.
        mean_difference: Mean of A minus B, in units of the score.
        mean_difference_interval: Its 95 % bootstrap interval.
        seed: Seed of the bootstrap.
        only_a: Images of folder A without a partner in B.
        only_b: Images of folder B without a partner in A.
        failed: Images that could not be scored.
    """

    column: str
    lower_better: bool
    pairs: tuple[ComparedPair, ...]
    wins_a: int
    wins_b: int
    ties: int
    win_rate: float
    win_rate_interval: tuple[float, float]
    p_value: float
    mean_difference: float
    mean_difference_interval: tuple[float, float]
    seed: int
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()
    failed: tuple[ScoredImage, ...] = ()


def compare_folders(
    metric: Metric,
    folder_a: str | os.PathLike[str],
    folder_b: str | os.PathLike[str],
    *,
    label: str | None = None,
    seed: int = 0,
    scorer: ScoreImages = score_images,
) -> Comparison:
    """Compare the images that have the same name in two folders.

    Args:
        metric: The metric.
        folder_a: First folder, searched recursively.
        folder_b: Second folder. Partners have the same relative path; the suffix and the Unicode composition of
            accents may differ.
        label: The score to use, for a metric with labels.
        seed: Seed of the bootstrap.
        scorer: How to score them.

    Returns:
        The comparison.

    Raises:
        DatasetError: A path is not a folder, two images differ only in their suffix, or there is no pair.
        InvalidOptionError: The label is missing or unknown.
    """
    return as_pair(compare_methods(metric, [folder_a, folder_b], label=label, seed=seed, scorer=scorer))


def as_pair(methods: MethodComparison) -> Comparison:
    """A comparison of two folders with the figures of a pair: exact intervals, and the names of what is alone."""
    pairs = [
        ComparedPair(
            name=image.name,
            image_a=image.files[0],
            image_b=image.files[1],
            score_a=image.scores[0],
            score_b=image.scores[1],
        )
        for image in methods.images
    ]
    (pair,) = methods.pairs
    decided = pair.wins + pair.losses
    return Comparison(
        column=methods.column,
        lower_better=methods.lower_better,
        pairs=tuple(pairs),
        wins_a=pair.wins,
        wins_b=pair.losses,
        ties=pair.ties,
        win_rate=pair.wins / decided if decided else float("nan"),
        win_rate_interval=binomial_interval(pair.wins, decided) if decided else (0.0, 1.0),
        p_value=pair.p_value,
        mean_difference=pair.mean_difference,
        mean_difference_interval=pair.interval,
        seed=methods.seed,
        only_a=methods.methods[0].alone,
        only_b=methods.methods[1].alone,
        failed=methods.failed,
    )
