"""Which views of an image raise its score and which lower it, for metrics that look at several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.explain.canvas import ViewValues, canvas_size, compose
from perceptmetrics.explain.saliency import output_place
from perceptmetrics.images.load import load_pixels
from perceptmetrics.models.views import Window

if TYPE_CHECKING:
    from perceptmetrics.images.load import ImageSource
    from perceptmetrics.models.metric import Metric

__all__ = ["ViewScore", "ViewScores", "check_several_views", "view_scores"]


@dataclass(frozen=True, kw_only=True)
class ViewScore:
    """What one view says.

    Attributes:
        name: What it is called.
        score: The score if all views were like this one.
        pull: How much it moves the score of the image: that score minus the one with the mean of all views in the
            place of this one. Where views are averaged and the score map is linear, `score` minus the image's score,
            divided by the number of views: these add up to 0.
        windows: What it shows of the image.
    """

    name: str
    score: float
    pull: float
    windows: tuple[Window, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class ViewScores:
    """What the views of an image say.

    Attributes:
        score: The score of the image.
        label: Which of several scores it is; empty for a metric with one.
        views: The views, in order.
        values: Shape (h, w), the image shrunk: mean pull of the views that look at a place; NaN where none does.
    """

    score: float
    label: str
    views: tuple[ViewScore, ...]
    values: Tensor


@torch.no_grad()
def view_scores(metric: Metric, image: ImageSource, *, label: str | None = None, max_side: int = 512) -> ViewScores:
    """Score the views of an image one by one.

    Args:
        metric: A metric that looks at several views of an image.
        image: A single image; see `Metric.score`.
        label: Which score of a metric with several; None for the highest one.
        max_side: Longest side of the map, in pixels.

    Returns:
        The scores, and their map.

    Raises:
        InvalidOptionError: The metric looks at a single view, or has no such score.
        InvalidImageError: The image cannot be read.
    """
    check_several_views(metric)
    pixels = load_pixels(image)
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
        place = output_place(metric, scores, label)
        each = outputs[0]
        alone = _scores(metric, each[:, None].expand(-1, len(each), -1))[:, place]
        without = each.expand(len(each), -1, -1).clone()
        without.diagonal(dim1=0, dim2=1).copy_(each.mean(dim=0)[:, None].expand(-1, len(each)))
        pulls = (scores - _scores(metric, without))[:, place]
    named = zip(names, alone.tolist(), pulls.tolist(), windows, strict=True)
    views = tuple(ViewScore(name=name, score=own, pull=pull, windows=shown) for name, own, pull, shown in named)
    return ViewScores(
        score=float(scores[place]),
        label=metric.labels[place] if metric.labels else "",
        views=views,
        values=compose((_flat(view) for view in views), canvas_size(height, width, max_side)),
    )


def check_several_views(metric: Metric) -> None:
    """Refuse a metric that looks at a single view of an image.

    Raises:
        InvalidOptionError: It does.
    """
    if metric.spec.views.view_count == 1:
        raise InvalidOptionError(
            f"{metric.metric_name!r} looks at a single view of an image, so there are no crops to compare. Metrics "
            "such as 'perceptclip_iqa' and 'clip_uiqa' look at several."
        )


def _scores(metric: Metric, outputs: Tensor) -> Tensor:
    """From outputs of views, shape (N, V, K), to scores, shape (N, K)."""
    return metric.spec.score.map(metric.pool(outputs).float())


def _flat(view: ViewScore) -> ViewValues:
    """The pull of a view, all over it."""
    bottom = max(window.in_view.top + window.in_view.height for window in view.windows)
    right = max(window.in_view.left + window.in_view.width for window in view.windows)
    return ViewValues(torch.tensor([[view.pull]]), (bottom, right), view.windows)
