"""The pictures that explain an image: the same ones for figures and for pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from perceptmetrics.reports.heads import short_number
from perceptmetrics.reports.plots import ColourScale, OverlayPanel, paint

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from perceptmetrics.explain import ExplainedHead, ExplainedImage, Explanations

__all__ = ["ExplainedPanel", "panel_rows"]

_SPREAD = "\N{MULTIPLICATION SIGN} even spread"
_CLIPPED = 99.5  # percentile at which colours end, so that a single patch does not darken all others


class ExplainedPanel(NamedTuple):
    """A picture, and what is said under it."""

    overlay: OverlayPanel
    note: str


def panel_rows(explanations: Explanations, image: ExplainedImage) -> list[list[ExplainedPanel]]:
    """Rows of pictures: the image with saliency and crops, then each head.

    Args:
        explanations: All explanations, for what they are about.
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
        first.append(_panel(image, image.views.values, scale, title, "Mean pull of the views that look at a place."))
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
    place = max(range(len(changes)), key=lambda number: abs(changes[number]))
    label = f" of {explanations.labels[place]}" if explanations.labels else ""
    note = (
        f"Uniform, it changes the score{label} by {short_number(changes[place], signed=True)}. "
        f"{head.own.elsewhere:.0%} of its attention stays on the class token."
    )
    both = [head.own.values] if head.untouched is None else [head.own.values, head.untouched.values]
    scale = ColourScale(lower=0, upper=max(map(_limit, both)), diverging=False, unit=_SPREAD)
    panels = [_panel(image, head.own.values, scale, f"head {head.head}, {explanations.metric}", note)]
    if head.untouched is not None:
        elsewhere = f"{head.untouched.elsewhere:.0%} of its attention stays on the class token."
        panels.append(_panel(image, head.untouched.values, scale, f"head {head.head}, before training", elsewhere))
        difference = head.own.values - head.untouched.values
        panels.append(_panel(image, difference, _diverging(difference, _SPREAD), f"head {head.head}, difference", ""))
    return panels


def _panel(image: ExplainedImage, values: Tensor, scale: ColourScale, title: str, note: str) -> ExplainedPanel:
    return ExplainedPanel(
        OverlayPanel(pixels=paint(image.pixels, _numbers(values), scale), title=title, scale=scale), note
    )


def _diverging(values: Tensor, unit: str) -> ColourScale:
    limit = _limit(values.abs())
    return ColourScale(lower=-limit, upper=limit, diverging=True, unit=unit)


def _limit(values: Tensor) -> float:
    """Where colours end."""
    known = _numbers(values)
    known = known[np.isfinite(known)]
    return float(np.percentile(known, _CLIPPED)) if known.size else 0.0


def _numbers(values: Tensor) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = values.double().numpy()
    return numbers
