"""The command `attributes`: several scores of images side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from perceptmetrics.apps.cli.console import foreign, new_table, results
from perceptmetrics.apps.cli.options import Output, Paths, ScoringOptions, command

__all__ = ["attributes"]

DEFAULT_ATTRIBUTES = "lite_attributes"
PAPER_ATTRIBUTES = ("quality", "brightness", "noisiness", "colorfulness", "sharpness", "contrast")


@command
def attributes(
    images: Paths,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            "-m",
            help="Metric with several scores, or the folder of an exported one; or several metrics. "
            f"Default: {DEFAULT_ATTRIBUTES}, which needs no download.",
            show_default=False,
        ),
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the plot.", show_default=False)] = "",
    output: Output = None,
    *,
    options: ScoringOptions,
) -> int:
    """Show several scores of images side by side, in a table and a radar plot.

    Needs a metric with several scores, or several metrics with one score each. Without --prompts, clipiqa scores six
    attributes of its paper. Files of --output: plot (.png, .svg, .pdf), .csv, .json. Example:

    - `perceptmetrics attributes a.jpg b.jpg -o radar.svg`
    - `perceptmetrics attributes a.jpg b.jpg -m clipiqa --prompts quality,brightness,sharpness -o radar.svg`
    """
    from perceptmetrics.apps.cli.metrics import create_metrics, scorer_with_progress
    from perceptmetrics.apps.cli.output import check_before, finish
    from perceptmetrics.experiments import attribute_profiles
    from perceptmetrics.images.find import find_images
    from perceptmetrics.reports import ATTRIBUTE_FORMATS, attribute_makers

    check_before(output, ATTRIBUTE_FORMATS)
    found = list(find_images(images))
    metrics = create_metrics(metric or [DEFAULT_ATTRIBUTES], options, PAPER_ATTRIBUTES)
    profiles = attribute_profiles(metrics, found, scorer=scorer_with_progress(options))
    headings = [one.name + ("\n(lower is better)" if one.lower_better else "") for one in profiles.attributes]
    table = new_table(("image", *headings), right=headings)
    for profile in profiles.images:
        table.add_row(foreign(profile.image), *(f"{score:.4f}" for score in profile.scores))
    results.print(foreign(f"{', '.join(one.metric_name for one in metrics)}:"))
    results.print(table)
    return finish(output, "attributes", attribute_makers(profiles, title=title), profiles.failed)
