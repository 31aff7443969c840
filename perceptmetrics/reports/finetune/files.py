"""Write the report of a run: the page, and its plots for papers."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from perceptmetrics._util.atomic import write_whole
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.reports.finetune.errors import USUAL, ErrorChoice, gallery_sections
from perceptmetrics.reports.finetune.page import finetune_report
from perceptmetrics.reports.finetune.panels import confusion_panel, curve_panels, histogram_panel, scatter_panel
from perceptmetrics.reports.plots import (
    PLOT_FORMATS,
    draw_confusion,
    draw_curves,
    draw_gallery,
    draw_histograms,
    draw_scatter,
    figure_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune import RunResult

__all__ = ["check_plot_formats", "run_plots", "write_finetune_report"]

REPORT_FILE = "report.html"
PLOT_FOLDER = "plots"


def check_plot_formats(formats: Sequence[str]) -> None:
    """Refuse unknown formats of plots before hours are spent on training.

    Raises:
        InvalidOptionError: A format is unknown.
    """
    unknown = [suffix for suffix in formats if suffix not in PLOT_FORMATS]
    if unknown:
        raise InvalidOptionError(f"Plots can be written as {', '.join(PLOT_FORMATS)}, got {unknown[0]!r}.")


def write_finetune_report(result: RunResult, *, plots: Sequence[str] = (), errors: ErrorChoice = USUAL) -> list[Path]:
    """Write `report.html` into the folder of a run, and its plots into `plots/`.

    Args:
        result: The result of `finetune`.
        plots: Formats of the plots: any of `"png"`, `"svg"` and `"pdf"`; empty for the page only.
        errors: Which errors are shown.

    Returns:
        The written files, the page first.

    Raises:
        InvalidOptionError: A format is unknown.

    Examples:
        >>> from perceptmetrics.reports.finetune import write_finetune_report
        >>> write_finetune_report(result, plots=["svg"])  # doctest: +SKIP
    """
    check_plot_formats(plots)
    files = [result.folder / REPORT_FILE]
    write_whole(files[0], finetune_report(result, errors))
    for name, draw in run_plots(result, errors).items() if plots else ():
        figure = draw()
        for suffix in plots:
            files.append(result.folder / PLOT_FOLDER / f"{name}.{suffix}")
            write_whole(files[-1], figure_bytes(figure, suffix))
    return files


def run_plots(result: RunResult, errors: ErrorChoice = USUAL) -> dict[str, Callable[[], Figure]]:
    """Functions that draw the plots of a run, by file name without suffix."""
    plots: dict[str, Callable[[], Figure]] = {
        _filename("curves", stage): partial(draw_curves, panels)
        for stage, panels in curve_panels(result).items()
        if panels
    }
    for dataset in result.datasets:
        plots.update(_plots_on(result, dataset, errors))
    return plots


def _plots_on(result: RunResult, dataset: LabelledImages, errors: ErrorChoice) -> dict[str, Callable[[], Figure]]:
    plots: dict[str, Callable[[], Figure]] = {}
    if dataset.classes is not None:
        plots[_filename("confusion", dataset.name)] = partial(draw_confusion, [confusion_panel(result, dataset)])
    elif not dataset.ranks_within_groups:
        scatter = [shown for label in dataset.labels if (shown := scatter_panel(result, dataset, label))]
        histograms = [panel for label in dataset.labels if (panel := histogram_panel(result, dataset, label))]
        if scatter:
            plots[_filename("scatter", dataset.name)] = partial(draw_scatter, scatter)
        if histograms:
            plots[_filename("histogram", dataset.name)] = partial(draw_histograms, histograms)
    worst = gallery_sections(result, dataset, errors)
    if worst:
        title = f"{dataset.name}: worst errors"
        plots[_filename("worst", dataset.name)] = partial(draw_gallery, worst, title, columns=4)
    return plots


def _filename(kind: str, of: str) -> str:
    return f"{kind}_{re.sub(r'[^A-Za-z0-9.-]+', '_', of)}"
