"""Do people choose the same image as the metric?

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

__all__ = ["Agreement", "AgreementFraction", "Choice", "score_study"]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One choice of one person.

    Attributes:
        participant: Name of the person, as entered on the page.
        pair: Number of the pair.
        choice: The side that looked better; `"same"` if they saw no difference.
    """

    participant: str
    pair: int
    choice: Side


@dataclass(frozen=True, kw_only=True)
class AgreementFraction:
    """How often the metric agreed with a set of choices.

    Attributes:
        name: Name of the set of choices.
        agreed: Number of agreements.
        count: Number of choices.
        interval: Exact 95 % interval of the fraction (Clopper-Pearson).
    """

    name: str
    agreed: int
    count: int
    interval: tuple[float, float]

    @property
    def fraction(self) -> float:
        """Agreements divided by choices, in [0, 1]."""
        return self.agreed / self.count


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Agreement of a metric with human choices.

    Attributes:
        column: Name of the score.
        overall: Over all choices. Its interval treats them as independent, which choices of several people on one pair
            are not quite.
        p_value: Two-sided sign test of agreement by chance.
        majority: Over the pairs for which more people chose one side than the other; None if there is no such pair.
        participants: For each person.
        by_difference: In up to three groups of pairs, from the smallest to the largest score difference.
        undecided: Number of "no difference" choices, which are not counted above.
        ties: Number of choices on pairs with equal scores, which are not counted above.
    """

    column: str
    overall: AgreementFraction
    p_value: float
    majority: AgreementFraction | None
    participants: tuple[AgreementFraction, ...]
    by_difference: tuple[AgreementFraction, ...]
    undecided: int
    ties: int


def score_study(study: Study, choices: Sequence[Choice]) -> Agreement:
    """Compare the metric's choices with those of people.

    Args:
        study: The pairs with their scores.
        choices: The choices, at most one per person and pair.

    Returns:
        The agreement.

    Raises:
        DatasetError: A choice names a pair that is not in the study, or no choice can be compared.
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
    overall = _fraction("all choices", counted, pair_of)
    return Agreement(
        column=study.column,
        overall=overall,
        p_value=sign_test(overall.agreed, overall.count - overall.agreed),
        majority=_majority(counted, pair_of),
        participants=tuple(
            _fraction(person, [choice for choice in counted if choice.participant == person], pair_of)
            for person in dict.fromkeys(choice.participant for choice in counted)
        ),
        by_difference=_by_difference(counted, pair_of),
        undecided=len(choices) - len(decided),
        ties=len(decided) - len(counted),
    )


def _fraction(name: str, choices: Sequence[Choice], pair_of: dict[int, StudyPair]) -> AgreementFraction:
    agreed = sum(choice.choice == pair_of[choice.pair].metric_choice for choice in choices)
    interval = binomial_interval(agreed, len(choices))
    return AgreementFraction(name=name, agreed=agreed, count=len(choices), interval=interval)


def _majority(choices: Sequence[Choice], pair_of: dict[int, StudyPair]) -> AgreementFraction | None:
    votes: dict[int, Counter[Side]] = {}
    for choice in choices:
        votes.setdefault(choice.pair, Counter())[choice.choice] += 1
    winners: list[tuple[int, Side]] = [
        (pair, "left" if count["left"] > count["right"] else "right")
        for pair, count in votes.items()
        if count["left"] != count["right"]
    ]
    joint = [Choice(participant="majority", pair=pair, choice=side) for pair, side in winners]
    return _fraction("majority", joint, pair_of) if joint else None


def _by_difference(choices: Sequence[Choice], pair_of: dict[int, StudyPair]) -> tuple[AgreementFraction, ...]:
    numbers = sorted({choice.pair for choice in choices}, key=lambda number: pair_of[number].difference)
    groups = min(3, len(numbers))
    fractions = []
    for group in range(groups):
        members = numbers[len(numbers) * group // groups : len(numbers) * (group + 1) // groups]
        low, high = pair_of[members[0]].difference, pair_of[members[-1]].difference
        within = [choice for choice in choices if choice.pair in set(members)]
        fractions.append(_fraction(f"{low:.3g} to {high:.3g}", within, pair_of))
    return tuple(fractions)
