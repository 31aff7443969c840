"""Report a finetuning run as a page and plots; knows finished runs, not how they train.

Needs the extra `finetune`.
"""

from __future__ import annotations

from perceptmetrics.reports.finetune.errors import ErrorChoice, ErrorImage, WorstErrors, worst_errors
from perceptmetrics.reports.finetune.files import check_plot_formats, run_plots, write_finetune_report
from perceptmetrics.reports.finetune.page import finetune_report
from perceptmetrics.reports.finetune.panels import (
    confusion_panel,
    curve_panels,
    histogram_panel,
    scatter_panel,
)

__all__ = [
    "ErrorChoice",
    "ErrorImage",
    "WorstErrors",
    "check_plot_formats",
    "confusion_panel",
    "curve_panels",
    "finetune_report",
    "histogram_panel",
    "run_plots",
    "scatter_panel",
    "worst_errors",
    "write_finetune_report",
]
