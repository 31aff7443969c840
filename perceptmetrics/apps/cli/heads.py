"""The command `heads`: the attention heads of a metric, ranked by their influence on its scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from perceptmetrics.apps.cli.console import new_table, results
from perceptmetrics.apps.cli.options import MetricName, MetricOptions, Output, Paths, command

if TYPE_CHECKING:
    from rich.table import Table

    from perceptmetrics.explain import HeadImportance

__all__ = ["heads"]


@command
def heads(
    images: Paths,
    metric: MetricName = "perceptclip_iqa",
    method: Annotated[
        Literal["exact", "screened", "gradient"],
        typer.Option(
            help="exact: each head by itself; hours for many images without a GPU. gradient: an estimate for all "
            "heads, in about five passes per image. screened: the estimate, then the strongest eighth exactly."
        ),
    ] = "screened",
    top: Annotated[int, typer.Option(min=1, help="How many of the strongest heads to print.")] = 12,
    output: Output = None,
    *,
    options: MetricOptions,
) -> int:
    """Rank the attention heads of a metric by how much the scores of images depend on them.

    Files of --output: a page (.html), a heat map (.png, .svg, .pdf), all heads (.csv, .json). Examples:

    - `perceptmetrics heads photos/ -m perceptclip_iqa --output heads/`

    - `perceptmetrics explain photos/ -m perceptclip_iqa --heads heads/heads.json`
    """
    from perceptmetrics.apps.cli.metrics import create_metrics, progress_bar
    from perceptmetrics.apps.cli.output import check_before, finish
    from perceptmetrics.explain import head_importance
    from perceptmetrics.images.find import find_images
    from perceptmetrics.reports import HEADS_FORMATS, heads_makers

    check_before(output, HEADS_FORMATS)
    found = list(find_images(images))
    (created,) = create_metrics([metric], options)
    with progress_bar() as tell:
        importance = head_importance(created, found, method=method, progress=lambda fraction: tell("heads", fraction))
    results.print(_table(importance, top))
    return finish(output, "heads", heads_makers(importance), importance.failed)


def _table(importance: HeadImportance, top: int) -> Table:
    """The strongest heads."""
    numbers = ("importance", "exact", *(f"signed {label}".strip() for label in importance.labels or ("",)))
    table = new_table(("head", *numbers), right=numbers, folded=numbers)
    for head in importance.strongest(top):
        cells = [f"{importance.importance[head]:.3g}", "yes" if importance.exact[head] else "no"]
        table.add_row(str(head), *cells, *(f"{value:+.2g}" for value in importance.signed[head].tolist()))
    return table
