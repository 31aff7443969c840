"""Find the views of an image that raise or lower its score, for metrics with several views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.explain.canvas import ViewValues, canvas_size, compose
from perceptmetrics.explain.saliency import output_index
from perceptmetrics.images.load import load_pixels
from perceptmetrics.models.views import Window

if TYPE_CHECKING:
    from perceptmetrics.images.load import ImageSource
    from perceptmetrics.models.metric import Metric

__all__ = ["ViewScore", "ViewScores", "check_several_views", "view_scores"]


@dataclass(frozen=True, kw_only=True)
class ViewScore:
    """The score of one view.

    Attributes:
        name: Name of the view.
        score: The score if all views were like this one.
        pull: How much the view moves the score of the image: the image's score minus its score with this view replaced
            by the mean of all views. If views are averaged and the score map is linear, this is `score` minus the
            image's score, divided by the number of views, and the pulls add up to 0.
        windows: The parts of the image that the view shows.
    """

    name: str
    score: float
    pull: float
    windows: tuple[Window, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class ViewScores:
    """The scores of all views of an image.

    Attributes:
        score: The score of the image.
        label: Label of the score; empty for a metric with a single score.
        views: The views, in order.
        values: Shape (h, w), the size of the shrunk image: mean pull of the views that cover a pixel; NaN where there
            is no view.
    """

    score: float
    label: str
    views: tuple[ViewScore, ...]
    values: Tensor


@torch.no_grad()
def view_scores(metric: Metric, image: ImageSource, *, label: str | None = None, max_side: int = 512) -> ViewScores:
    """Score the views of an image one by one.

    Args:
        metric: A metric with several views of an image.
        image: A single image; see `Metric.score`.
        label: The score to explain, for a metric with labels; None for the highest one.
        max_side: Longest side of the map, in pixels.

    Returns:
        The scores, and their map.

    Raises:
        InvalidOptionError: The metric has a single view, or no such score.
        InvalidImageError: The image cannot be read.
    """
    check_several_views(metric)
    pixels = load_pixels(image, metric.decoding)
    height, width = pixels.shape[-2:]
    groups = metric.views.windows(height, width)
    windows = [tuple(view) for group in groups for view in group]
    names = [
        name for view, group in zip(metric.spec.views.views, groups, strict=True) for name in view.names(len(group))
    ]
    with torch.autocast(metric.device.type, enabled=False):
        features = metric.encode(metric.views(pixels[None]))
        outputs = torch.cat([metric.head(group)[None] for group in features], dim=1)  # (1, V, K)
        scores = _scores(metric, outputs)[0]
        index = output_index(metric, scores, label)
        each = outputs[0]
        alone = _scores(metric, each[:, None].expand(-1, len(each), -1))[:, index]
        without = each.expand(len(each), -1, -1).clone()
        without.diagonal(dim1=0, dim2=1).copy_(each.mean(dim=0)[:, None].expand(-1, len(each)))
        pulls = (scores - _scores(metric, without))[:, index]
    named = zip(names, alone.tolist(), pulls.tolist(), windows, strict=True)
    views = tuple(ViewScore(name=name, score=own, pull=pull, windows=shown) for name, own, pull, shown in named)
    return ViewScores(
        score=float(scores[index]),
        label=metric.labels[index] if metric.labels else "",
        views=views,
        values=compose((_flat(view) for view in views), canvas_size(height, width, max_side)),
    )


def check_several_views(metric: Metric) -> None:
    """Refuse a metric with a single view of an image.

    Raises:
        InvalidOptionError: The metric has a single view.
    """
    if metric.spec.views.view_count == 1:
        raise InvalidOptionError(
            f"{metric.metric_name!r} has a single view of an image, so there are no crops to compare. Metrics such as "
            "'perceptclip_iqa' and 'clip_uiqa' have several."
        )
    if metric.spec.head.joins_views:
        raise InvalidOptionError(
            f"{metric.metric_name!r} reads its views of an image together, so no view has a score of its own. Metrics "
            "such as 'perceptclip_iqa' and 'clip_uiqa' score each."
        )


def _scores(metric: Metric, outputs: Tensor) -> Tensor:
    """Map outputs of views, shape (N, V, K), to scores, shape (N, K)."""
    return metric.spec.score.map(metric.pool(outputs).float())


def _flat(view: ViewScore) -> ViewValues:
    """The pull of a view, constant over the view."""
    bottom = max(window.in_view.top + window.in_view.height for window in view.windows)
    right = max(window.in_view.left + window.in_view.width for window in view.windows)
    return ViewValues(torch.tensor([[view.pull]]), (bottom, right), view.windows)
