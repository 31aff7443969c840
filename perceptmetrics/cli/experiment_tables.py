"""The tables that the commands of the papers' experiments print."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from perceptmetrics.cli.console import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from perceptmetrics.experiments import (
        Agreement,
        AttributeProfiles,
        Comparison,
        Correlations,
        Ladders,
        Ranking,
        Study,
    )

__all__ = [
    "agreement_summary",
    "agreement_table",
    "attribute_table",
    "comparison_table",
    "correlation_table",
    "ladder_table",
    "ranking_table",
    "study_table",
]


def ranking_table(ranking: Ranking, top: int) -> Table:
    """The best and the worst images."""
    direction = "lower" if ranking.lower_better else "higher"
    table = _table(("place", f"{ranking.column}\n({direction} is better)"), ("image",))
    best, worst = ranking.best(top), ranking.worst(top)
    for row in best:
        table.add_row(str(row.place), f"{row.score:.4f}", _foreign(row.image))
    if len(best) + len(worst) < len(ranking.images):
        table.add_row("...", "...", "")
    for row in reversed(worst):
        table.add_row(str(row.place), f"{row.score:.4f}", _foreign(row.image))
    return table


def attribute_table(profiles: AttributeProfiles) -> Table:
    """One row for each image, one column for each attribute."""
    table = Table(box=None, pad_edge=False)
    table.add_column("image", overflow="fold")
    for attribute in profiles.attributes:
        table.add_column(attribute.name + ("\n(lower is better)" if attribute.lower_better else ""), justify="right")
    for profile in profiles.images:
        table.add_row(_foreign(profile.image), *(f"{score:.4f}" for score in profile.scores))
    return table


def comparison_table(comparison: Comparison) -> Table:
    """The result of a comparison in words and numbers."""
    pairs = comparison.pairs
    direction = "lower" if comparison.lower_better else "higher"
    rows = {
        "score": f"{comparison.column} ({direction} is better)",
        "pairs": str(len(pairs)),
        "A better": f"{comparison.wins_a}",
        "B better": f"{comparison.wins_b}",
        "ties": f"{comparison.ties}",
        "win rate of A": f"{_number(comparison.win_rate, '.1%')} {_interval(comparison.win_rate_interval, '.1%')}",
        "sign test": f"p = {comparison.p_value:.3g}",
        "mean of A": f"{sum(pair.score_a for pair in pairs) / len(pairs):.4f}",
        "mean of B": f"{sum(pair.score_b for pair in pairs) / len(pairs):.4f}",
        "A minus B": f"{comparison.mean_difference:.4f} {_interval(comparison.mean_difference_interval, '.4f')}",
    }
    return _facts(rows.items())


def ladder_table(ladders: Ladders) -> Table:
    """Correlation and mean scores for each attribute."""
    table = _table(("attribute", "score"), ("photographs", "mean SRCC", "lowest", "highest", "first step", "last step"))
    for ladder in ladders.ladders:
        values = [climb.srcc for climb in ladder.climbs if not math.isnan(climb.srcc)]
        scores = ladder.mean_scores
        table.add_row(
            ladder.attribute,
            ladder.column,
            str(len(ladder.climbs)),
            *(
                _number(value, ".3f")
                for value in (ladder.mean_srcc, min(values, default=math.nan), max(values, default=math.nan))
            ),
            f"{scores[0]:.4f}",
            f"{scores[-1]:.4f}",
        )
    return table


def correlation_table(correlations: Correlations) -> Table:
    """Coefficients for each rating and score."""
    headings = ("N", "SRCC", "95 %", "PLCC", "95 %", "PLCC fitted", "KRCC", "RMSE fitted")
    table = _table(("rating", "score"), headings)
    for row in correlations.rows:
        table.add_row(
            _foreign(row.rating),
            row.column,
            str(len(row.images)),
            _number(row.srcc, ".4f"),
            _interval(row.srcc_interval, ".3f"),
            _number(row.plcc, ".4f"),
            _interval(row.plcc_interval, ".3f"),
            _number(row.plcc_fitted, ".4f"),
            _number(row.krcc, ".4f"),
            _number(row.rmse, ".4g"),
        )
    return table


def study_table(study: Study) -> Table:
    """What a new study consists of."""
    differences = [pair.difference for pair in study.pairs]
    images = {image for pair in study.pairs for image in (pair.left, pair.right)}
    return _facts(
        (
            ("study", study.identity),
            ("pairs", str(len(study.pairs))),
            ("images", str(len(images))),
            ("score", study.column),
            ("differences", f"{min(differences):.4f} to {max(differences):.4f}"),
        )
    )


def agreement_table(agreement: Agreement) -> Table:
    """Shares with their intervals."""
    table = _table(("choices of people",), ("agree", "of", "share", "95 % interval"))
    shares = [agreement.overall]
    shares += [agreement.majority] if agreement.majority is not None and len(agreement.participants) > 1 else []
    for share in (*shares, *agreement.by_difference, *agreement.participants):
        name = f"score difference {share.name}" if share in agreement.by_difference else share.name
        interval = _interval(share.interval, ".1%")
        table.add_row(_foreign(name), str(share.agreed), str(share.count), f"{share.share:.1%}", interval)
    return table


def agreement_summary(agreement: Agreement) -> str:
    """What stands under the table."""
    return (
        f"{agreement.column}; sign test p = {agreement.p_value:.3g}; left out: {agreement.undecided} undecided, "
        f"{agreement.ties} on equal scores"
    )


def _table(left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in left:
        table.add_column(heading, justify="right" if heading == "place" else "left")
    for heading in right:
        table.add_column(heading, justify="left" if heading == "image" else "right", overflow="fold")
    return table


def _facts(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table


def _foreign(text: str | Path) -> Text:
    return Text(printable(str(text)))


def _number(value: float, form: str) -> str:
    return "undefined" if math.isnan(value) else format(value, form)


def _interval(interval: tuple[float, float], form: str) -> str:
    return "" if math.isnan(interval[0]) else f"[{interval[0]:{form}}, {interval[1]:{form}}]"
