"""Do people choose as the metric does?

CLIP-IQA (AAAI 2023) compares its attributes with people's choices between two images in Fig. 7.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perceptmetrics.errors import DatasetError
from perceptmetrics.experiments.study import Side
from perceptmetrics.functional.stats import binomial_interval, sign_test

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.experiments.study import Study, StudyPair

__all__ = ["Agreement", "Choice", "Share", "score_study"]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What one person chose.

    Attributes:
        participant: Who, as the page named them.
        pair: Number of the pair.
        choice: Side that looked better; `"same"` when they saw no difference.
    """

    participant: str
    pair: int
    choice: Side


@dataclass(frozen=True, kw_only=True)
class Share:
    """How often the metric agreed.

    Attributes:
        name: What is counted.
        agreed: Number of agreements.
        count: Out of how many.
        interval: Exact 95 % interval of the share (Clopper-Pearson).
    """

    name: str
    agreed: int
    count: int
    interval: tuple[float, float]

    @property
    def share(self) -> float:
        """Agreements over all, in [0, 1]."""
        return self.agreed / self.count


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Agreement of a metric with human choices.

    Attributes:
        column: Which score.
        overall: Over all choices. Its interval takes them for independent, which choices of several people on one
            pair are not quite.
        p_value: Sign test of the metric agreeing by chance.
        majority: Over the pairs in which more people chose one side than the other; None when there is no such pair.
        participants: For each person.
        by_difference: From the pairs whose scores are nearest to those farthest apart, in up to three groups.
        undecided: Choices of "no difference".
        ties: Choices on pairs that the metric scores equally. Neither is counted above.
    """

    column: str
    overall: Share
    p_value: float
    majority: Share | None
    participants: tuple[Share, ...]
    by_difference: tuple[Share, ...]
    undecided: int
    ties: int


def score_study(study: Study, choices: Sequence[Choice]) -> Agreement:
    """Compare the metric's choices with those of people.

    Args:
        study: The pairs with their scores.
        choices: What people chose, at most one choice for each person and pair.

    Returns:
        The agreement.

    Raises:
        DatasetError: A choice names no pair of the study, or none can be compared.
    """
    pair_of = {pair.pair: pair for pair in study.pairs}
    foreign = [choice for choice in choices if choice.pair not in pair_of]
    if foreign:
        raise DatasetError(
            f"Expected choices on the pairs 1 to {len(pair_of)} of this study, got one on pair {foreign[0].pair}."
        )
    decided = [choice for choice in choices if choice.choice != "same"]
    counted = [choice for choice in decided if pair_of[choice.pair].metric_choice != "same"]
    if not counted:
        raise DatasetError(f"None of {len(choices)} choices can be compared: all are undecided or on equal scores.")
    overall = _share("all choices", counted, pair_of)
    return Agreement(
        column=study.column,
        overall=overall,
        p_value=sign_test(overall.agreed, overall.count - overall.agreed),
        majority=_majority(counted, pair_of),
        participants=tuple(
            _share(person, [choice for choice in counted if choice.participant == person], pair_of)
            for person in dict.fromkeys(choice.participant for choice in counted)
        ),
        by_difference=_by_difference(counted, pair_of),
        undecided=len(choices) - len(decided),
        ties=len(decided) - len(counted),
    )


def _share(name: str, choices: Sequence[Choice], pair_of: dict[int, StudyPair]) -> Share:
    agreed = sum(choice.choice == pair_of[choice.pair].metric_choice for choice in choices)
    return Share(name=name, agreed=agreed, count=len(choices), interval=binomial_interval(agreed, len(choices)))


def _majority(choices: Sequence[Choice], pair_of: dict[int, StudyPair]) -> Share | None:
    votes: dict[int, Counter[Side]] = {}
    for choice in choices:
        votes.setdefault(choice.pair, Counter())[choice.choice] += 1
    winners: list[tuple[int, Side]] = [
        (pair, "left" if count["left"] > count["right"] else "right")
        for pair, count in votes.items()
        if count["left"] != count["right"]
    ]
    joint = [Choice(participant="majority", pair=pair, choice=side) for pair, side in winners]
    return _share("majority", joint, pair_of) if joint else None


def _by_difference(choices: Sequence[Choice], pair_of: dict[int, StudyPair]) -> tuple[Share, ...]:
    numbers = sorted({choice.pair for choice in choices}, key=lambda number: pair_of[number].difference)
    groups = min(3, len(numbers))
    shares = []
    for group in range(groups):
        members = numbers[len(numbers) * group // groups : len(numbers) * (group + 1) // groups]
        low, high = pair_of[members[0]].difference, pair_of[members[-1]].difference
        within = [choice for choice in choices if choice.pair in set(members)]
        shares.append(_share(f"{low:.3g} to {high:.3g}", within, pair_of))
    return tuple(shares)
