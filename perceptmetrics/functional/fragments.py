"""Fragments: an image as cells of native pixels, one from each field of a grid (CLIP-UIQA; FAST-VQA)."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["draw_fragment_offsets", "fragment_origins", "fragments"]


def draw_fragment_offsets(grid: int, seed: int) -> Tensor:
    """Draw where to cut a cell in each field of a grid: relative offsets of shape (2, grid, grid), in [0, 1)."""
    return torch.rand(2, grid, grid, generator=torch.Generator().manual_seed(seed))


def fragments(images: Tensor, cell: int, offsets: Tensor) -> Tensor:
    """Cut a cell out of each field of a grid over the image and put the cells together (CLIP-UIQA; FAST-VQA).

    Args:
        images: Shape (N, C, H, W), H and W at least `grid * cell`.
        cell: Side of a cell in pixels.
        offsets: Shape (2, grid, grid): how far down and to the right a cell lies in its field, in [0, 1).

    Returns:
        Shape (N, C, grid * cell, grid * cell), of native pixels only.
    """
    grid = offsets.shape[-1]
    rows, columns = fragment_origins(images.shape[-2], images.shape[-1], cell, offsets)
    inside = torch.arange(cell)
    # From (grid row, grid column) to (grid row, pixel row, grid column, pixel column).
    rows = (rows[:, None, :, None] + inside[None, :, None, None]).expand(-1, -1, -1, cell)
    columns = (columns[:, None, :, None] + inside[None, None, None, :]).expand(-1, cell, -1, -1)
    side = grid * cell
    device = images.device
    return images[..., rows.reshape(side, side).to(device), columns.reshape(side, side).to(device)]


def fragment_origins(height: int, width: int, cell: int, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Compute where `fragments` cuts its cells.

    Args:
        height: Height of the image in pixels.
        width: Its width.
        cell: See `fragments`.
        offsets: See `fragments`.

    Returns:
        First row and first column of the cell of each field, both of shape (grid, grid).
    """
    grid = offsets.shape[-1]
    rows = _first_pixels(height, grid, cell, offsets[0])
    return rows, _first_pixels(width, grid, cell, offsets[1].T).transpose(0, 1)


def _first_pixels(length: int, grid: int, cell: int, drawn: Tensor) -> Tensor:
    """First pixel of each cell along one side; the rows of `drawn` (in [0, 1)) belong to the fields along it."""
    edges = torch.arange(grid + 1) * length // grid
    slack = edges.diff() - cell
    return edges[:-1, None] + (drawn * (slack[:, None] + 1)).long()
