"""Project values over the views of an image back onto the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from perceptmetrics.models.views import Rectangle, Window

__all__ = ["ViewValues", "canvas_size", "compose"]


class ViewValues(NamedTuple):
    """Values over a view.

    Attributes:
        values: Shape (rows, columns).
        seen: Height and width in pixels, from the top left corner of the view, that the values cover.
        windows: The parts of the image that the view shows.
    """

    values: Tensor
    seen: tuple[float, float]
    windows: Sequence[Window]


def canvas_size(height: int, width: int, max_side: int) -> tuple[int, int]:
    """Height and width of an image after it is shrunk to a longest side of at most `max_side`."""
    scale = min(1.0, max_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def compose(views: Iterable[ViewValues], size: tuple[int, int]) -> Tensor:
    """Place the values of views onto the image and average them where views overlap.

    Args:
        views: The views.
        size: Height and width of the map.

    Returns:
        Shape `size`; NaN where there is no view.
    """
    total, count = torch.zeros(size), torch.zeros(size)
    for view in views:
        for window in view.windows:
            visible = _visible(window.in_view, view.seen)
            if visible is None:
                continue
            target = _target(window, visible, size)
            shape = (target[0].stop - target[0].start, target[1].stop - target[1].start)
            total[target] += _sampled(view, visible, shape)
            count[target] += 1
    return torch.where(count > 0, total / count, float("nan"))


def _visible(window: Rectangle, seen: tuple[float, float]) -> Rectangle | None:
    """The part of a window that has values; None if there is none."""
    height, width = min(window.height, seen[0] - window.top), min(window.width, seen[1] - window.left)
    return window._replace(height=height, width=width) if height > 0 and width > 0 else None


def _target(window: Window, visible: Rectangle, size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the map that the visible part of a window covers."""
    fractions = (visible.height / window.in_view.height, visible.width / window.in_view.width)
    image = window.in_image
    edges = ((image.top, image.height * fractions[0], size[0]), (image.left, image.width * fractions[1], size[1]))
    rows, columns = (_pixels(start * length, (start + extent) * length, length) for start, extent, length in edges)
    return rows, columns


def _pixels(start: float, stop: float, length: int) -> slice:
    first = min(round(start), length - 1)
    return slice(first, max(first + 1, min(round(stop), length)))


def _sampled(view: ViewValues, visible: Rectangle, shape: tuple[int, int]) -> Tensor:
    """Sample a rectangle of a view to `shape`, interpolating between the centres of the cells."""
    points = [
        (start + (torch.arange(count) + 0.5) * extent / count) / length * 2 - 1
        for start, extent, length, count in (
            (visible.top, visible.height, view.seen[0], shape[0]),
            (visible.left, visible.width, view.seen[1], shape[1]),
        )
    ]
    rows, columns = torch.meshgrid(*points, indexing="ij")
    grid = torch.stack([columns, rows], dim=-1)[None].to(view.values.dtype)
    sampled = F.grid_sample(view.values[None, None], grid, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled[0, 0].float()
