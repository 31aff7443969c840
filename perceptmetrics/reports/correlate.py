"""Report correlations as a scatter plot and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.functional.curves import logistic4
from perceptmetrics.reports.files import Makers, failures, json_bytes, plot_makers
from perceptmetrics.reports.plots import ScatterPanel, draw_scatter
from perceptmetrics.scoring.results import csv_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from perceptmetrics.experiments.correlation import Correlation, Correlations

__all__ = ["CORRELATE_FORMATS", "correlate_makers"]

CORRELATE_FORMATS = ("png", "svg", "pdf", "csv", "json")


def correlate_makers(correlations: Correlations) -> Makers:
    """Makers of `CORRELATE_FORMATS`; the CSV holds the points, the JSON the coefficients."""

    def draw() -> Figure:
        return draw_scatter([_panel(row) for row in correlations.rows])

    return {
        **plot_makers(draw),
        "csv": lambda: csv_bytes(
            ("image", "rating", "rating_value", "score", "score_value"),
            (
                (image, row.rating, rating, row.column, score)
                for row in correlations.rows
                for image, rating, score in zip(row.images, row.ratings, row.scores, strict=True)
            ),
        ),
        "json": lambda: json_bytes(
            "correlate",
            {
                "correlations": [_coefficients(row) for row in correlations.rows],
                "seed": correlations.seed,
                "missing": correlations.missing,
                "failed": failures(correlations.failed),
            },
        ),
    }


def _coefficients(row: Correlation) -> dict[str, object]:
    return {
        "rating": row.rating,
        "score": row.column,
        "n": len(row.images),
        "srcc": row.srcc,
        "srcc_interval_95": row.srcc_interval,
        "plcc": row.plcc,
        "plcc_interval_95": row.plcc_interval,
        "plcc_after_logistic_fit": row.plcc_fitted,
        "krcc": row.krcc,
        "rmse_after_logistic_fit": row.rmse,
        "logistic_b1_to_b4": row.curve,
    }


def _panel(row: Correlation) -> ScatterPanel:
    x = np.linspace(min(row.scores), max(row.scores), 800) if row.curve else np.empty(0)
    return ScatterPanel(
        x=row.scores,
        y=row.ratings,
        x_name=f"score: {row.column}",
        y_name=f"rating: {row.rating}",
        note=f"N {len(row.images)}, SRCC {row.srcc:.3f}\nPLCC {row.plcc:.3f}, fitted {row.plcc_fitted:.3f}",
        curve_x=x.tolist(),
        curve_y=logistic4(x, *row.curve).tolist() if row.curve else (),
    )
