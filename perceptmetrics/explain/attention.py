"""Map the attention of a metric's heads onto an image (PerceptCLIP, Fig. 4).

A map is the row of the class token in a head's attention, over the patches, placed over the image. Values are multiples
of uniform attention over all tokens: 1 is uniform.
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
    from perceptmetrics.models.encoders import Encoder
    from perceptmetrics.models.metric import Metric

__all__ = ["AttentionMap", "attention_maps"]


@dataclass(frozen=True, kw_only=True, eq=False)
class AttentionMap:
    """The attention of a head over an image.

    Attributes:
        head: The head.
        values: Shape (h, w), the size of the shrunk image; multiples of uniform attention, averaged where views
            overlap, NaN where there is no view.
        off_image: Fraction of the attention that is on the class token (and registers) instead of patches, in [0, 1].
    """

    head: Head
    values: Tensor
    off_image: float


def attention_maps(
    metric: Metric,
    image: ImageSource,
    heads: Sequence[Head],
    *,
    encoder: Encoder | None = None,
    max_side: int = 512,
) -> list[AttentionMap]:
    """Map the attention of heads onto an image.

    Args:
        metric: A metric whose encoder is a vision transformer with a class token, or one of CLIP's ResNets.
        image: A single image; see `Metric.score`.
        heads: The heads, such as those of `HeadImportance.strongest`.
        encoder: Another encoder of the same architecture, such as the one that
            `perceptmetrics.explain.create_pretrained_encoder` returns; None for the metric's own.
        max_side: Longest side of the maps, in pixels.

    Returns:
        One map per head.

    Raises:
        InvalidOptionError: The metric has no such heads.
        InvalidImageError: The image cannot be read.
    """
    headed = headed_encoder(metric, encoder)
    headed.check(heads)
    pixels = load_pixels(image, metric.decoding)
    height, width = pixels.shape[-2:]
    dtype = next((metric.encoder if encoder is None else encoder).parameters()).dtype
    views: list[list[ViewValues]] = [[] for _ in heads]
    off_image = []
    for group, windows in zip(metric.views(pixels[None]), metric.views.windows(height, width), strict=True):
        rows = headed.attention(group.to(dtype), heads).float().cpu()  # (V, M, T)
        off_image.append(rows[..., : headed.prefix].sum(dim=-1))
        size = (int(group.shape[-2]), int(group.shape[-1]))
        patches = (rows[..., headed.prefix :] * rows.shape[-1]).reshape(*rows.shape[:2], *headed.grid(*size))
        for number, own in enumerate(views):
            own += [
                ViewValues(values[number], headed.seen(*size), shown)
                for values, shown in zip(patches, windows, strict=True)
            ]
    fractions = torch.cat(off_image).mean(dim=0)
    canvas = canvas_size(height, width, max_side)
    return [
        AttentionMap(head=head, values=compose(own, canvas), off_image=float(fraction))
        for head, own, fraction in zip(heads, views, fractions, strict=True)
    ]
