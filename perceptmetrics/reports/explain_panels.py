"""The overlays that explain an image, for figures and pages alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from perceptmetrics.reports.plots import ColourScale, OverlayPanel, paint
from perceptmetrics.reports.statistics import short_number

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from perceptmetrics.explain import ExplainedHead, ExplainedImage, Explanations

__all__ = ["ExplainedPanel", "panel_rows"]

_UNIFORM = "\N{MULTIPLICATION SIGN} uniform attention"
_CLIPPED = 99.5  # percentile at which the colour scale ends, so that a single patch does not darken all others


class ExplainedPanel(NamedTuple):
    """An overlay and the note below it."""

    overlay: OverlayPanel
    note: str


def panel_rows(explanations: Explanations, image: ExplainedImage) -> list[list[ExplainedPanel]]:
    """Rows of overlays: first the image with saliency and views, then one row per head.

    Args:
        explanations: All explanations, for their labels and metric.
        image: One of their images.
    """
    scores = image.scores.tolist()
    best = max(range(len(scores)), key=scores.__getitem__)
    label = f", {explanations.labels[best]}" if explanations.labels else ""
    first = [ExplainedPanel(OverlayPanel(pixels=image.pixels, title=f"score {scores[best]:.4f}{label}"), "")]
    if image.saliency is not None:
        first.append(_saliency(image))
    if image.views is not None:
        title = f"views{f', {image.views.label}' if image.views.label else ''}"
        scale = _diverging(image.views.values, "pull on the score")
        first.append(_panel(image, image.views.values, scale, title, "Mean pull of the views that cover a pixel."))
    return [first, *(_head(explanations, image, head) for head in image.heads)]


def _saliency(image: ExplainedImage) -> ExplainedPanel:
    found = image.saliency
    if found is None:
        raise ValueError("The image has no saliency.")
    title = f"saliency{f', {found.label}' if found.label else ''}"
    size = image.saliency_size
    note = f"Computed at {size[1]} x {size[0]} pixels, where the score is {found.score:.4f}." if size else ""
    return _panel(image, found.values, _diverging(found.values, "score per pixel"), title, note)


def _head(explanations: Explanations, image: ExplainedImage, head: ExplainedHead) -> list[ExplainedPanel]:
    changes = head.change.tolist()
    index = max(range(len(changes)), key=lambda number: abs(changes[number]))
    label = f" of {explanations.labels[index]}" if explanations.labels else ""
    note = (
        f"If uniform, it changes the score{label} by {short_number(changes[index], signed=True)}. "
        f"{head.own.off_image:.0%} of its attention is on the class token."
    )
    both = [head.own.values] if head.pretrained is None else [head.own.values, head.pretrained.values]
    scale = ColourScale(lower=0, upper=max(map(_limit, both)), diverging=False, unit=_UNIFORM)
    panels = [_panel(image, head.own.values, scale, f"head {head.head}, {explanations.metric}", note)]
    if head.pretrained is not None:
        note = f"{head.pretrained.off_image:.0%} of its attention is on the class token."
        panels.append(_panel(image, head.pretrained.values, scale, f"head {head.head}, before training", note))
        difference = head.own.values - head.pretrained.values
        panels.append(_panel(image, difference, _diverging(difference, _UNIFORM), f"head {head.head}, difference", ""))
    return panels


def _panel(image: ExplainedImage, values: Tensor, scale: ColourScale, title: str, note: str) -> ExplainedPanel:
    return ExplainedPanel(
        OverlayPanel(pixels=paint(image.pixels, _numbers(values), scale), title=title, scale=scale), note
    )


def _diverging(values: Tensor, unit: str) -> ColourScale:
    limit = _limit(values.abs())
    return ColourScale(lower=-limit, upper=limit, diverging=True, unit=unit)


def _limit(values: Tensor) -> float:
    """The end of the colour scale."""
    known = _numbers(values)
    known = known[np.isfinite(known)]
    return float(np.percentile(known, _CLIPPED)) if known.size else 0.0


def _numbers(values: Tensor) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = values.double().numpy()
    return numbers
