"""Positional embeddings of CLIP's image encoders at sizes other than the training size.

CLIP-IQA, section 3.2 and Table 2: dropping the embedding lets a ResNet see any size; interpolating it is the
usual way; keeping it ties the input to the training size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from perceptmetrics.errors import InvalidImageError

if TYPE_CHECKING:
    from perceptmetrics.spec import PositionalEmbedding

__all__ = ["positional_embedding_for"]


def positional_embedding_for(
    table: Tensor, grid: tuple[int, int], mode: PositionalEmbedding, cell: int
) -> Tensor | None:
    """Positional embedding for a grid of tokens.

    Args:
        table: Shape (1 + S * S, C): the summary token's row, then the rows of the S x S training grid.
        grid: Height and width of the grid at hand, in tokens.
        mode: `"drop"`, `"keep"`, `"interpolate"` (bicubic over the grid; the summary token's row stays) or
            `"interpolate_table"` (bicubic over the table as one image, tokens by channels, the summary token's row
            with it: how the `_512` prompts of CLIP-IQA+ were trained).
        cell: Pixels a token covers along each side, for the error message.

    Returns:
        Shape (1 + height * width, C), or None for `"drop"`.

    Raises:
        InvalidImageError: `"keep"` meets another grid than that of training.
    """
    if mode == "drop":
        return None
    side = round((table.shape[0] - 1) ** 0.5)
    if all(isinstance(length, int) for length in grid) and grid == (side, side):  # symbols where a program is traced
        return table
    if mode == "keep":
        raise InvalidImageError(
            f"positional_embedding='keep' takes images of {side * cell} x {side * cell} pixels only (a grid of "
            f"{side} x {side} tokens), got a grid of {grid[0]} x {grid[1]}. Resize and crop the image, or use "
            "'interpolate'."
        )
    if mode == "interpolate_table":
        size = (1 + grid[0] * grid[1], table.shape[1])
        return F.interpolate(table[None, None], size=size, mode="bicubic", align_corners=False)[0, 0]
    spatial = table[1:].T.reshape(1, -1, side, side)
    resized = F.interpolate(spatial, size=grid, mode="bicubic", align_corners=False)
    return torch.cat([table[:1], resized.flatten(2)[0].T])
