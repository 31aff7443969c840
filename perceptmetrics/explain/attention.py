"""Where the attention heads of a metric look (PerceptCLIP, Fig. 4).

The row of the class token in a head's attention, over the patches, laid over the image. Values are multiples of what
an even spread over all tokens would give: 1 is indifference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from perceptmetrics.explain.canvas import ViewValues, canvas_size, compose
from perceptmetrics.explain.heads import Head, headed_encoder
from perceptmetrics.images.load import load_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.images.load import ImageSource
    from perceptmetrics.models.encoders import Backbone
    from perceptmetrics.models.metric import Metric

__all__ = ["AttentionMap", "attention_maps"]


@dataclass(frozen=True, kw_only=True, eq=False)
class AttentionMap:
    """Where a head looks in an image.

    Attributes:
        head: The head.
        values: Shape (h, w), the image shrunk; multiples of an even spread. NaN where no view looks. Where several
            views do, their mean.
        elsewhere: The share of its attention that is on no place in the image but on the class token (and registers).
    """

    head: Head
    values: Tensor
    elsewhere: float


def attention_maps(
    metric: Metric,
    image: ImageSource,
    heads: Sequence[Head],
    *,
    backbone: Backbone | None = None,
    max_side: int = 512,
) -> list[AttentionMap]:
    """Map the attention of heads.

    Args:
        metric: A metric on a vision transformer with a class token, or on one of CLIP's ResNets.
        image: A single image; see `Metric.score`.
        heads: The heads, such as `HeadImportance.strongest` gives.
        backbone: Another encoder of the same architecture to look into, such as `untouched_encoder` gives; None for the
            metric's own.
        max_side: Longest side of the maps, in pixels.

    Returns:
        A map for each head.

    Raises:
        InvalidOptionError: The metric has no such heads.
        InvalidImageError: The image cannot be read.
    """
    encoder = headed_encoder(metric, backbone)
    encoder.check(heads)
    pixels = load_pixels(image)
    height, width = pixels.shape[-2:]
    dtype = next((metric.backbone if backbone is None else backbone).parameters()).dtype
    views: list[list[ViewValues]] = [[] for _ in heads]
    elsewhere = []
    for group, windows in zip(metric.views(pixels[None]), metric.views.windows(height, width), strict=True):
        rows = encoder.attention(group.to(dtype), heads).float().cpu()  # (V, M, T)
        elsewhere.append(rows[..., : encoder.prefix].sum(dim=-1))
        size = (int(group.shape[-2]), int(group.shape[-1]))
        places = (rows[..., encoder.prefix :] * rows.shape[-1]).reshape(*rows.shape[:2], *encoder.grid(*size))
        for number, own in enumerate(views):
            own += [
                ViewValues(values[number], encoder.seen(*size), shown)
                for values, shown in zip(places, windows, strict=True)
            ]
    shares = torch.cat(elsewhere).mean(dim=0)
    canvas = canvas_size(height, width, max_side)
    return [
        AttentionMap(head=head, values=compose(own, canvas), elsewhere=float(share))
        for head, own, share in zip(heads, views, shares, strict=True)
    ]
