"""The command `ladder`: scores while one attribute of an image changes step by step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from perceptmetrics.apps.cli.console import format_number, new_table, results
from perceptmetrics.apps.cli.options import DEFAULT_METRIC, Label, MetricName, Output, Paths, ScoringOptions, command

if TYPE_CHECKING:
    from rich.table import Table

    from perceptmetrics.experiments import Ladders

__all__ = ["ladder"]


@command
def ladder(
    images: Paths,
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            "--attribute",
            "-a",
            help="brightness, noise, colour, contrast or sharpness; repeat for several. "
            "Default: all, or those that the metric has a label for.",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=3, help="Number of steps.")] = 7,
    metric: MetricName = DEFAULT_METRIC,
    label: Label = None,
    output: Output = None,
    *,
    options: ScoringOptions,
) -> int:
    """Change attributes of images step by step and correlate the steps with the score.

    A metric that takes prompts is prompted with the attribute that changes, unless --prompts names others. Files of
    --output: plot (.png, .svg, .pdf), scores (.csv), correlations (.json). Example:

    - `perceptmetrics ladder photo.jpg --attribute sharpness --attribute noise -o ladder/`
    """
    from perceptmetrics.apps.cli.metrics import create_metrics, scorer_with_progress
    from perceptmetrics.apps.cli.output import check_before, finish
    from perceptmetrics.experiments import climb_ladders
    from perceptmetrics.experiments.adjust import ADJUSTMENTS, adjustment
    from perceptmetrics.experiments.ladder import measured_attributes
    from perceptmetrics.images.find import find_images
    from perceptmetrics.reports import LADDER_FORMATS, ladder_makers

    check_before(output, LADDER_FORMATS)
    found = list(find_images(images))
    chosen = [adjustment(name) for name in attribute or ADJUSTMENTS]
    (created,) = create_metrics([metric], options, [item.prompt for item in chosen])
    ladders = climb_ladders(
        created,
        found,
        [item.attribute for item in chosen] if attribute else measured_attributes(created, label) or list(ADJUSTMENTS),
        steps=steps,
        label=label,
        scorer=scorer_with_progress(options),
    )
    results.print(_table(ladders))
    return finish(output, "ladder", ladder_makers(ladders), ladders.failed)


def _table(ladders: Ladders) -> Table:
    """Correlations and mean scores of each attribute."""
    numbers = ("photographs", "mean SRCC", "lowest", "highest", "first step", "last step")
    table = new_table(("attribute", "score", *numbers), right=numbers, folded=numbers)
    for one in ladders.ladders:
        values = [climb.srcc for climb in one.climbs if not math.isnan(climb.srcc)]
        correlations = (one.mean_srcc, min(values, default=math.nan), max(values, default=math.nan))
        table.add_row(
            one.attribute,
            one.column,
            str(len(one.climbs)),
            *(format_number(value, ".3f") for value in correlations),
            f"{one.mean_scores[0]:.4f}",
            f"{one.mean_scores[-1]:.4f}",
        )
    return table
