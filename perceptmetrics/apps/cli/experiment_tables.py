"""The tables that the commands of the papers' experiments print."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.table import Table

from perceptmetrics.apps.cli.cells import facts, foreign, format_interval, format_number, new_table

if TYPE_CHECKING:
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
    table = new_table(("place", f"{ranking.column}\n({direction} is better)"), ("image",))
    best, worst = ranking.best(top), ranking.worst(top)
    for row in best:
        table.add_row(str(row.rank), f"{row.score:.4f}", foreign(row.image))
    if len(best) + len(worst) < len(ranking.images):
        table.add_row("...", "...", "")
    for row in reversed(worst):
        table.add_row(str(row.rank), f"{row.score:.4f}", foreign(row.image))
    return table


def attribute_table(profiles: AttributeProfiles) -> Table:
    """One row for each image, one column for each attribute."""
    table = Table(box=None, pad_edge=False)
    table.add_column("image", overflow="fold")
    for attribute in profiles.attributes:
        table.add_column(attribute.name + ("\n(lower is better)" if attribute.lower_better else ""), justify="right")
    for profile in profiles.images:
        table.add_row(foreign(profile.image), *(f"{score:.4f}" for score in profile.scores))
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
        "win rate of A": f"{format_number(comparison.win_rate, '.1%')} "
        f"{format_interval(comparison.win_rate_interval, '.1%')}",
        "sign test": f"p = {comparison.p_value:.3g}",
        "mean of A": f"{sum(pair.score_a for pair in pairs) / len(pairs):.4f}",
        "mean of B": f"{sum(pair.score_b for pair in pairs) / len(pairs):.4f}",
        "A minus B": f"{comparison.mean_difference:.4f} {format_interval(comparison.mean_difference_interval, '.4f')}",
    }
    return facts(rows.items())


def ladder_table(ladders: Ladders) -> Table:
    """Correlation and mean scores for each attribute."""
    table = new_table(
        ("attribute", "score"), ("photographs", "mean SRCC", "lowest", "highest", "first step", "last step")
    )
    for ladder in ladders.ladders:
        values = [climb.srcc for climb in ladder.climbs if not math.isnan(climb.srcc)]
        scores = ladder.mean_scores
        table.add_row(
            ladder.attribute,
            ladder.column,
            str(len(ladder.climbs)),
            *(
                format_number(value, ".3f")
                for value in (ladder.mean_srcc, min(values, default=math.nan), max(values, default=math.nan))
            ),
            f"{scores[0]:.4f}",
            f"{scores[-1]:.4f}",
        )
    return table


def correlation_table(correlations: Correlations) -> Table:
    """Coefficients for each rating and score."""
    headings = ("N", "SRCC", "95 %", "PLCC", "95 %", "PLCC fitted", "KRCC", "RMSE fitted")
    table = new_table(("rating", "score"), headings)
    for row in correlations.rows:
        table.add_row(
            foreign(row.rating),
            row.column,
            str(len(row.images)),
            format_number(row.srcc, ".4f"),
            format_interval(row.srcc_interval, ".3f"),
            format_number(row.plcc, ".4f"),
            format_interval(row.plcc_interval, ".3f"),
            format_number(row.plcc_fitted, ".4f"),
            format_number(row.krcc, ".4f"),
            format_number(row.rmse, ".4g"),
        )
    return table


def study_table(study: Study) -> Table:
    """What a new study consists of."""
    differences = [pair.difference for pair in study.pairs]
    images = {image for pair in study.pairs for image in (pair.left, pair.right)}
    return facts(
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
    table = new_table(("choices of people",), ("agree", "of", "share", "95 % interval"))
    shares = [agreement.overall]
    shares += [agreement.majority] if agreement.majority is not None and len(agreement.participants) > 1 else []
    for share in (*shares, *agreement.by_difference, *agreement.participants):
        name = f"score difference {share.name}" if share in agreement.by_difference else share.name
        interval = format_interval(share.interval, ".1%")
        table.add_row(foreign(name), str(share.agreed), str(share.count), f"{share.fraction:.1%}", interval)
    return table


def agreement_summary(agreement: Agreement) -> str:
    """What stands under the table."""
    return (
        f"{agreement.column}; sign test p = {agreement.p_value:.3g}; left out: {agreement.undecided} undecided, "
        f"{agreement.ties} on equal scores"
    )
