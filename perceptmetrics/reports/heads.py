"""Report the importance of attention heads as a page, a heat map and tables."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.reports.files import Makers, failures, json_bytes, plot_makers
from perceptmetrics.reports.pages import png_uri, render_page
from perceptmetrics.reports.plots import draw_heads, figure_bytes
from perceptmetrics.reports.statistics import UNDEFINED, short_number
from perceptmetrics.scoring.results import csv_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

    from perceptmetrics.explain import HeadImportance

__all__ = ["HEADS_FORMATS", "heads_makers"]

HEADS_FORMATS = ("html", "png", "svg", "pdf", "csv", "json")
_MARKED = 5
_LISTED = 20

_METHODS = {
    "exact": "Each head was measured in its own forward pass.",
    "gradient": "The changes are estimates from one gradient for all heads.",
    "screened": "All heads were estimated; the strongest eighth was then measured exactly.",
}


def heads_makers(importance: HeadImportance) -> Makers:
    """Makers of `HEADS_FORMATS`; plot and page show the strongest heads, the tables hold all."""
    unit = "fraction of probability moved" if importance.shared else "change of the score"
    title = f"Attention heads of {importance.metric}, {_counted(len(importance.images), 'image')}"

    def draw() -> Figure:
        return draw_heads(
            importance.importance.double().numpy(),
            marked=importance.strongest(_MARKED),
            title=title,
            value_name=f"mean {unit}",
        )

    def page() -> bytes:
        return render_page(
            "heads.html",
            title=title,
            plot=png_uri(figure_bytes(draw(), "png")),
            method=_METHODS[importance.method],
            unit=unit,
            headings=["importance", "of the strongest", *(importance.labels or ("signed",))],
            rows=list(_page_rows(importance)),
            count=int(importance.importance.isfinite().sum()),
            failed=failures(importance.failed),
        )

    return {
        "html": page,
        **plot_makers(draw),
        "csv": lambda: _table(importance),
        "json": lambda: _record(importance, unit),
    }


def _table(importance: HeadImportance) -> bytes:
    columns = ("layer", "head", "importance", "exact")
    signed_columns = (f"signed {label}".strip() for label in importance.labels or ("",))
    rows = ((*head, value, "yes" if exact else "no", *signed) for head, value, exact, signed in _rows(importance))
    return csv_bytes((*columns, *signed_columns), rows)


def _record(importance: HeadImportance, unit: str) -> bytes:
    layers, heads_per_layer = importance.importance.shape
    heads = [
        {"layer": layer, "head": head, "importance": value, "exact": exact, "signed": signed}
        for (layer, head), value, exact, signed in _rows(importance)
    ]
    content = {
        "metric": importance.metric,
        "method": importance.method,
        "unit": unit,
        "labels": importance.labels,
        "images": importance.images,
        "failed": failures(importance.failed),
        "layers": layers,
        "heads_per_layer": heads_per_layer,
        "heads": heads,
    }
    return json_bytes("heads", content)


def _rows(importance: HeadImportance) -> Iterator[tuple[tuple[int, int], float, bool, list[float]]]:
    """Each head with its importance, whether that is exact, and its signed changes; the most important first."""
    values, signed = importance.importance.double().numpy(), importance.signed.double().numpy()
    for head in importance.strongest(values.size):
        yield (head.layer, head.number), float(values[head]), bool(importance.exact[head]), signed[head].tolist()


def _page_rows(importance: HeadImportance) -> Iterator[dict[str, object]]:
    largest = float(np.nanmax(importance.importance.double().numpy()))
    for head, value, exact, signed in itertools.islice(_rows(importance), _LISTED):
        percentage = f"{value / largest:.0%}" if largest > 0 else UNDEFINED
        texts = [short_number(value), percentage, *(short_number(change, signed=True) for change in signed)]
        yield {
            "name": f"{head[0]}.{head[1]}",
            "what": "" if exact else "estimate",
            "cells": [{"value": text, "interval": ""} for text in texts],
        }


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
