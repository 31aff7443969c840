"""The command `correlate`: scores against human ratings from a CSV file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perceptmetrics.apps.cli.console import foreign, format_interval, format_number, new_table, print_names, results
from perceptmetrics.apps.cli.options import MetricNames, Output, ScoringOptions, Seed, command

if TYPE_CHECKING:
    from rich.table import Table

    from perceptmetrics.experiments import Correlations

__all__ = ["correlate"]


@command
def correlate(
    ratings: Annotated[
        Path, typer.Argument(help="CSV file with a column of image names and columns of ratings.", show_default=False)
    ],
    images: Annotated[
        Path | None,
        typer.Option("--images", help="Folder with the images. Default: the folder of the CSV.", show_default=False),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="Rating columns, separated by commas. Default: all that contain numbers.", show_default=False
        ),
    ] = None,
    image_column: Annotated[
        str | None, typer.Option(help="Column of image names. Default: image, name, file ...", show_default=False)
    ] = None,
    metric: MetricNames = None,
    seed: Seed = 0,
    output: Output = None,
    *,
    options: ScoringOptions,
) -> int:
    """Correlate scores with human ratings: SRCC, PLCC before and after a logistic fit, KRCC.

    Files of --output: scatter plot (.png, .svg, .pdf), points (.csv), coefficients (.json). Example:

    - `perceptmetrics correlate ratings.csv --images photos/ -m clipiqa --prompts aesthetic,happy -o correlation/`
    """
    from perceptmetrics.apps.cli.metrics import create_metrics, scorer_with_progress
    from perceptmetrics.apps.cli.output import check_before, finish
    from perceptmetrics.experiments import correlate as correlate_scores
    from perceptmetrics.experiments import read_ratings
    from perceptmetrics.reports import CORRELATE_FORMATS, correlate_makers

    check_before(output, CORRELATE_FORMATS)
    chosen = None if columns is None else [column.strip() for column in columns.split(",")]
    rated = read_ratings(ratings, images, image_column=image_column, columns=chosen)
    metrics = create_metrics(metric, options)
    correlations = correlate_scores(metrics, rated, seed=seed, scorer=scorer_with_progress(options))
    results.print(_table(correlations))
    print_names("Rated, but there is no such file, or more than one of that name", correlations.missing)
    status = finish(output, "correlate", correlate_makers(correlations), correlations.failed)
    return 1 if correlations.missing else status


def _table(correlations: Correlations) -> Table:
    """Coefficients for each rating and score."""
    numbers = ("N", "SRCC", "95 %", "PLCC", "95 %", "PLCC fitted", "KRCC", "RMSE fitted")
    table = new_table(("rating", "score", *numbers), right=numbers, folded=numbers)
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
