"""Report ladders as a plot and tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from perceptmetrics.reports.files import Makers, failures, json_bytes, plot_makers
from perceptmetrics.reports.plots import StepPanel, draw_steps
from perceptmetrics.scoring.results import csv_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

    from perceptmetrics.experiments.ladder import AttributeLadder, Ladders

__all__ = ["LADDER_FORMATS", "ladder_makers"]

LADDER_FORMATS = ("png", "svg", "pdf", "csv", "json")


def ladder_makers(ladders: Ladders) -> Makers:
    """Makers of `LADDER_FORMATS`."""

    def draw() -> Figure:
        return draw_steps([_panel(ladder) for ladder in ladders.ladders])

    return {
        **plot_makers(draw),
        "csv": lambda: csv_bytes(("image", "attribute", "step", "amount", "column", "score"), _rows(ladders)),
        "json": lambda: json_bytes(
            "ladder",
            {
                "ladders": [
                    {
                        "attribute": ladder.attribute,
                        "unit": ladder.unit,
                        "amounts": ladder.amounts,
                        "score": ladder.column,
                        "mean_srcc": ladder.mean_srcc,
                        "mean_scores": ladder.mean_scores,
                        "srcc": {climb.image: climb.srcc for climb in ladder.climbs},
                    }
                    for ladder in ladders.ladders
                ],
                "failed": failures(ladders.failed),
            },
        ),
    }


def _panel(ladder: AttributeLadder) -> StepPanel:
    mean, count = ladder.mean_srcc, len(ladder.climbs)
    coefficient = "score does not change" if math.isnan(mean) else f"SRCC {mean:.2f}".replace("-", "\N{MINUS SIGN}")
    return StepPanel(
        attribute=ladder.attribute,
        unit=ladder.unit,
        amounts=ladder.amounts,
        rows=[climb.scores for climb in ladder.climbs],
        mean=ladder.mean_scores,
        score_name=ladder.column,
        note=f"{coefficient} (mean of {count})" if count > 1 else coefficient,
    )


def _rows(ladders: Ladders) -> Iterator[tuple[object, ...]]:
    for ladder in ladders.ladders:
        for climb in ladder.climbs:
            for step, (amount, score) in enumerate(zip(ladder.amounts, climb.scores, strict=True), start=1):
                yield climb.image, ladder.attribute, step, f"{amount:g}", ladder.column, score
