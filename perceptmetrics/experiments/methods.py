"""Compare any number of versions of the same images: which method does a metric prefer, and how surely?

All methods are compared on the images that all of them have. Each pair of methods has a sign test over the images,
whose p-values are corrected for their number by the method of Holm (Scandinavian Journal of Statistics 1979), and an
interval of its mean difference at the level `1 - 0.05 / pairs`, so that all intervals hold together (Bonferroni). Pairs
are compared directly, not by mean ranks, because the distance of two mean ranks depends on the other methods (Benavoli,
Corani, Mangili, "Should we really use post-hoc tests based on mean-ranks?", JMLR 2016).
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import friedmanchisquare, rankdata

from perceptmetrics._util.text import recomposed
from perceptmetrics.errors import DatasetError, InvalidOptionError
from perceptmetrics.experiments.method_results import (
    SIGNIFICANCE,
    ComparedImage,
    Method,
    MethodComparison,
    MethodPair,
)
from perceptmetrics.experiments.scored import TIE, images_of_folder, score_set, single_column
from perceptmetrics.functional.stats import bootstrap_interval, holm, sign_test
from perceptmetrics.scoring.stream import ScoreImages, score_images

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from perceptmetrics.models.metric import Metric

__all__ = ["compare_methods"]

DRAWS, DRAWS_AT_ONCE = 10_000, 500  # of the bootstrap; intervals of many pairs lie far out in its tails


def compare_methods(
    metric: Metric,
    folders: Sequence[str | os.PathLike[str]],
    *,
    label: str | None = None,
    seed: int = 0,
    scorer: ScoreImages = score_images,
) -> MethodComparison:
    """Compare the images that have the same name in all folders.

    Args:
        metric: The metric.
        folders: Two or more folders, searched recursively. Partners have the same relative path; the suffix and the
            Unicode composition of accents may differ.
        label: The score to use, for a metric with labels.
        seed: Seed of the bootstrap.
        scorer: How to score them.

    Returns:
        The comparison.

    Raises:
        DatasetError: A path is not a folder, two images differ only in their suffix, or no image is in all folders.
        InvalidOptionError: The label is missing or unknown, there are fewer than two folders, or one is given twice.
    """
    column = single_column(metric, label)
    given = [str(folder) for folder in folders]
    if len(given) < 2 or len(set(given)) < len(given) > 2:
        raise InvalidOptionError(f"Expected two or more different folders, got {', '.join(given) or 'none'}.")
    by_name = _paired_images(folders)
    names = sorted(set.intersection(*(set(images) for images in by_name)))
    if not names:
        raise DatasetError(_no_partners(given, by_name))
    scored, failed = score_set([metric], [images[name] for name in names for images in by_name], scorer)
    score_of = {row.name: row.scores[column] for row in scored}
    files_of = {name: tuple(str(images[name]) for images in by_name) for name in names}
    compared = [
        ComparedImage(name=name, files=files, scores=tuple(score_of[file] for file in files))
        for name, files in files_of.items()
        if all(file in score_of for file in files)
    ]
    if not compared:
        what = "No pair could be scored on both sides" if len(given) == 2 else "No image could be scored in all folders"
        raise DatasetError(f"{what}. The first failure: {failed[0].error}")
    scores = np.array([image.scores for image in compared])
    drawn = _drawn_means(scores, seed)
    pairs = tuple(_pairs(scores, drawn, seed, lower_better=metric.lower_better))
    gains = -scores if metric.lower_better else scores
    return MethodComparison(
        column=column,
        lower_better=metric.lower_better,
        images=tuple(compared),
        methods=tuple(_methods(given, by_name, names, scores, gains, drawn, pairs)),
        pairs=pairs,
        p_value=_friedman(gains) if len(given) > 2 else pairs[0].p_value,
        seed=seed,
        failed=tuple(failed),
    )


def _methods(
    folders: Sequence[str],
    by_name: Sequence[dict[str, Path]],
    names: Sequence[str],
    scores: NDArray[np.float64],
    gains: NDArray[np.float64],
    drawn: NDArray[np.float64],
    pairs: Sequence[MethodPair],
) -> Iterator[Method]:
    ranks = rankdata(-np.round(gains / TIE), axis=1)
    best = (gains[:, :, None] - gains[:, None, :] > TIE).sum(axis=2) == len(folders) - 1
    for index, folder in enumerate(folders):
        won = sum(pair.wins if pair.first == index else pair.losses for pair in pairs if index in _both(pair))
        decided = sum(pair.wins + pair.losses for pair in pairs if index in _both(pair))
        alone = sorted(by_name[index].keys() - set(names))
        yield Method(
            folder=folder,
            mean=float(scores[:, index].mean()),
            mean_interval=_ends(drawn[:, index], 1 - SIGNIFICANCE),
            mean_rank=float(ranks[:, index].mean()),
            best=int(best[:, index].sum()),
            win_rate=won / decided if decided else float("nan"),
            alone=tuple(str(by_name[index][name]) for name in alone),
        )


def _both(pair: MethodPair) -> tuple[int, int]:
    return pair.first, pair.second


def _drawn_means(scores: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Mean scores of the methods on images drawn with replacement, the same for all methods: shape (draws, M)."""
    rng, count = np.random.default_rng(seed), len(scores)
    times = (rng.multinomial(count, np.full(count, 1 / count), DRAWS_AT_ONCE) for _ in range(DRAWS // DRAWS_AT_ONCE))
    return np.concatenate([often @ scores / count for often in times])


def _ends(drawn: NDArray[np.float64], level: float) -> tuple[float, float]:
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _pairs(
    scores: NDArray[np.float64], drawn: NDArray[np.float64], seed: int, *, lower_better: bool
) -> Iterator[MethodPair]:
    """All pairs; for a single one, the interval is that of `compare_folders`."""
    chosen = list(combinations(range(scores.shape[1]), 2))
    differences = [scores[:, one] - scores[:, other] for one, other in chosen]
    gains = [-difference if lower_better else difference for difference in differences]
    counts = [(int((gain > TIE).sum()), int((gain < -TIE).sum())) for gain in gains]
    tests = [sign_test(wins, losses) for wins, losses in counts]
    level = 1 - SIGNIFICANCE / len(chosen)
    rows = zip(chosen, differences, counts, tests, holm(tests), strict=True)
    for (one, other), difference, (wins, losses), p_value, p_holm in rows:
        yield MethodPair(
            first=one,
            second=other,
            wins=wins,
            losses=losses,
            ties=len(difference) - wins - losses,
            p_value=p_value,
            p_holm=p_holm,
            mean_difference=float(difference.mean()),
            interval=(
                bootstrap_interval(np.mean, difference, seed=seed)
                if len(chosen) == 1
                else _ends(drawn[:, one] - drawn[:, other], level)
            ),
        )


def _friedman(gains: NDArray[np.float64]) -> float:
    """Friedman's test; 1 where all methods tie on all images."""
    rounded = np.round(gains / TIE)
    if (rounded == rounded[:, :1]).all():
        return 1.0
    return float(friedmanchisquare(*rounded.T).pvalue)


def _paired_images(folders: Sequence[str | os.PathLike[str]]) -> list[dict[str, Path]]:
    """Images of each folder by their relative path without suffix, spelled alike where folders differ in Unicode."""
    first, *others = (_by_name(folder) for folder in folders)
    found = [first]
    for images in others:
        known = recomposed(images, first)
        found.append({known.get(name, name): path for name, path in images.items()})
    return found


def _no_partners(folders: Sequence[str], by_name: Sequence[dict[str, Path]]) -> str:
    """The error message for folders that have no name in common."""
    examples = " and ".join(repr(next(iter(images.values())).name) for images in by_name)
    if len(folders) == 2:
        return (
            f"No image of {folders[0]} has a partner in {folders[1]}: expected the same names apart from the suffix, "
            f"got {examples}."
        )
    return f"No image is in all of {', '.join(folders)}: expected the same names apart from the suffix, got {examples}."


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
