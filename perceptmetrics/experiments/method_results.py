"""What a comparison of several versions of the same images found; see `methods`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from perceptmetrics.scoring.results import ScoredImage

__all__ = ["SIGNIFICANCE", "ComparedImage", "Method", "MethodComparison", "MethodPair"]

SIGNIFICANCE = 0.05


@dataclass(frozen=True, kw_only=True)
class ComparedImage:
    """One image in all versions.

    Attributes:
        name: Path relative to the folder, without suffix.
        files: Its file in each folder.
        scores: The score of each.
    """

    name: str
    files: tuple[str, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Method:
    """One folder.

    Attributes:
        folder: The folder, as given.
        mean: Mean score.
        mean_interval: Its 95 % bootstrap interval.
        mean_rank: Mean rank over the images, 1 for the best; methods that tie share a rank.
        best: Number of images on which it alone is best.
        win_rate: Fraction of wins among its decided comparisons with the others, in [0, 1]; NaN if none is decided.
        alone: Images of this folder that not all folders have.
    """

    folder: str
    mean: float
    mean_interval: tuple[float, float]
    mean_rank: float
    best: int
    win_rate: float
    alone: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MethodPair:
    """Two methods against each other.

    Attributes:
        first: Index of one method.
        second: Index of the other.
        wins: Images on which the first scores better.
        losses: Images on which the second does.
        ties: Images with equal scores (to six decimals).
        p_value: Two-sided sign test.
        p_holm: The same, corrected for the number of pairs.
        mean_difference: Mean score of the first minus that of the second.
        interval: Its bootstrap interval, at a level at which the intervals of all pairs hold together with 95 %.
    """

    first: int
    second: int
    wins: int
    losses: int
    ties: int
    p_value: float
    p_holm: float
    mean_difference: float
    interval: tuple[float, float]

    @property
    def differ(self) -> bool:
        """Whether the corrected test is below 0.05."""
        return self.p_holm < SIGNIFICANCE


@dataclass(frozen=True, kw_only=True)
class MethodComparison:
    """Comparison of M folders.

    Attributes:
        column: Name of the score.
        lower_better: Whether a lower score is better.
        images: Images that have a score in all folders.
        methods: The folders, in the order given.
        pairs: All pairs of them.
        p_value: Friedman's test of the hypothesis that all methods are alike; for two methods their sign test.
        seed: Seed of the bootstrap.
        failed: Images that could not be scored.
    """

    column: str
    lower_better: bool
    images: tuple[ComparedImage, ...]
    methods: tuple[Method, ...]
    pairs: tuple[MethodPair, ...]
    p_value: float
    seed: int
    failed: tuple[ScoredImage, ...] = ()

    @property
    def order(self) -> tuple[int, ...]:
        """Indices of the methods by mean rank, the best first."""
        return tuple(sorted(range(len(self.methods)), key=lambda index: self.methods[index].mean_rank))

    def between(self, one: int, other: int) -> MethodPair:
        """The pair of two methods, as seen from the first of them."""
        pair = next(pair for pair in self.pairs if {pair.first, pair.second} == {one, other})
        if pair.first == one:
            return pair
        return replace(
            pair,
            first=one,
            second=other,
            wins=pair.losses,
            losses=pair.wins,
            mean_difference=-pair.mean_difference,
            interval=(-pair.interval[1], -pair.interval[0]),
        )

    def alike(self) -> list[tuple[int, ...]]:
        """Largest sets of methods, next to each other in `order`, of which no two differ significantly."""
        order = self.order
        runs: list[tuple[int, ...]] = []
        for start in range(len(order)):
            stop = start + 1
            while stop < len(order) and not any(
                self.between(order[inside], order[stop]).differ for inside in range(start, stop)
            ):
                stop += 1
            run = order[start:stop]
            if len(run) > 1 and not any(set(run) <= set(known) for known in runs):
                runs.append(run)
        return runs
