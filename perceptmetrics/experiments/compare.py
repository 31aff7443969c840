"""Compare two versions of the same images: which one does a metric prefer?

CLIP-IQA (AAAI 2023) compares low-quality images with their ground truth in Fig. 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics._util.text import recomposed
from perceptmetrics.errors import DatasetError
from perceptmetrics.experiments.scored import TIE, images_of_folder, score_set, single_column
from perceptmetrics.functional.stats import binomial_interval, bootstrap_interval, sign_test
from perceptmetrics.scoring.results import ScoredImage
from perceptmetrics.scoring.stream import ScoreImages, score_images

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from perceptmetrics.models.metric import Metric

__all__ = ["ComparedPair", "Comparison", "compare_folders"]


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
    column = single_column(metric, label)
    images_a, images_b = _by_name(folder_a), _by_name(folder_b)
    name_in_a = recomposed(images_b, images_a)
    images_b = {name_in_a.get(name, name): path for name, path in images_b.items()}
    names = sorted(images_a.keys() & images_b.keys())
    if not names:
        raise DatasetError(
            f"No image of {folder_a} has a partner in {folder_b}: expected the same names apart from the suffix, "
            f"got {_example(images_a)} and {_example(images_b)}."
        )
    paths = [images[name] for name in names for images in (images_a, images_b)]
    scored, failed = score_set([metric], paths, scorer)
    score_of = {row.name: row.scores[column] for row in scored}
    both = [name for name in names if str(images_a[name]) in score_of and str(images_b[name]) in score_of]
    if not both:
        raise DatasetError(f"No pair could be scored on both sides. The first failure: {failed[0].error}")
    pairs = [
        ComparedPair(
            name=name,
            image_a=str(images_a[name]),
            image_b=str(images_b[name]),
            score_a=score_of[str(images_a[name])],
            score_b=score_of[str(images_b[name])],
        )
        for name in both
    ]
    return _summarise(
        pairs,
        column=column,
        lower_better=metric.lower_better,
        seed=seed,
        only_a=tuple(str(images_a[name]) for name in sorted(images_a.keys() - images_b.keys())),
        only_b=tuple(str(images_b[name]) for name in sorted(images_b.keys() - images_a.keys())),
        failed=tuple(failed),
    )


def _summarise(
    pairs: Sequence[ComparedPair],
    *,
    column: str,
    lower_better: bool,
    seed: int,
    only_a: tuple[str, ...],
    only_b: tuple[str, ...],
    failed: tuple[ScoredImage, ...],
) -> Comparison:
    differences = [pair.difference for pair in pairs]
    gains = [-difference if lower_better else difference for difference in differences]
    wins_a, wins_b = sum(gain > TIE for gain in gains), sum(gain < -TIE for gain in gains)
    decided = wins_a + wins_b
    return Comparison(
        column=column,
        lower_better=lower_better,
        pairs=tuple(pairs),
        wins_a=wins_a,
        wins_b=wins_b,
        ties=len(pairs) - decided,
        win_rate=wins_a / decided if decided else float("nan"),
        win_rate_interval=binomial_interval(wins_a, decided) if decided else (0.0, 1.0),
        p_value=sign_test(wins_a, wins_b),
        mean_difference=float(np.mean(differences)),
        mean_difference_interval=bootstrap_interval(np.mean, differences, seed=seed),
        seed=seed,
        only_a=only_a,
        only_b=only_b,
        failed=failed,
    )


def _by_name(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """Images of a folder by their relative path without suffix."""
    found: dict[str, Path] = {}
    for path in images_of_folder(folder):
        name = path.relative_to(Path(folder)).with_suffix("").as_posix()
        if name in found:
            raise DatasetError(
                f"{found[name]} and {path} differ only in their suffix, so it is not clear which one to compare. "
                "Move one of them away."
            )
        found[name] = path
    return found


def _example(images: dict[str, Path]) -> str:
    return repr(next(iter(images.values())).name)
