"""The command `rank`: the best and the worst images of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perceptmetrics.apps.cli.console import foreign, new_table, printable, results
from perceptmetrics.apps.cli.options import DEFAULT_METRIC, Label, MetricName, Output, Paths, ScoringOptions, command

if TYPE_CHECKING:
    from rich.table import Table

    from perceptmetrics.experiments import Ranking

__all__ = ["rank"]


@command
def rank(
    images: Paths,
    metric: MetricName = DEFAULT_METRIC,
    top: Annotated[int, typer.Option(min=1, help="How many of the best and of the worst images to show.")] = 12,
    title: Annotated[str | None, typer.Option(help="Title of the page and the image.", show_default=False)] = None,
    label: Label = None,
    output: Output = None,
    *,
    options: ScoringOptions,
) -> int:
    """Show the best and the worst images of a folder.

    Files of --output: a page (.html), an image (.png, .pdf), all scores (.csv, .json). Examples:

    - `perceptmetrics rank photos/ --output ranking/`

    - `perceptmetrics rank photos/ -m clipiqa --prompts scary -o scary.html`
    """
    from perceptmetrics.apps.cli.metrics import create_metrics, scorer_with_progress
    from perceptmetrics.apps.cli.output import check_before, finish
    from perceptmetrics.experiments import rank_images
    from perceptmetrics.images.find import find_images
    from perceptmetrics.reports import RANK_FORMATS, rank_makers

    check_before(output, RANK_FORMATS)
    found = list(find_images(images))
    (created,) = create_metrics([metric], options)
    ranking = rank_images(created, found, label=label, scorer=scorer_with_progress(options))
    results.print(_table(ranking, top))
    if title is None:
        title = f"Best and worst of {', '.join(Path(path).name or path for path in images)}"
    return finish(output, "rank", rank_makers(ranking, top=top, title=printable(title)), ranking.failed)


def _table(ranking: Ranking, top: int) -> Table:
    score = f"{ranking.column}\n({'lower' if ranking.lower_better else 'higher'} is better)"
    table = new_table(("rank", score, "image"), right=("rank", score))
    best, worst = ranking.best(top), ranking.worst(top)
    for row in best:
        table.add_row(str(row.rank), f"{row.score:.4f}", foreign(row.image))
    if len(best) + len(worst) < len(ranking.images):
        table.add_row("...", "...", "")
    for row in reversed(worst):
        table.add_row(str(row.rank), f"{row.score:.4f}", foreign(row.image))
    return table
