"""A linear map with trainable low-rank updates, computed with few copies of the inputs.

The outputs of a part p of the map are

    y_p = W_p x + b_p + scale * U_p D_p (m_p * x)

where each part has its own dropout mask m_p. Until the backward pass PyTorch would keep two tensors of the size of x in
full precision for each part: the mask and the product. Here only x and one byte per element of a mask are kept, and the
product is recomputed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Kept", "draw_kept", "low_rank_linear"]

# Dropout's probability is rounded to multiples of 1 / 65536, so that one random 64-bit word decides four elements.
_LEVELS = 1 << 16
_ELEMENTS_PER_WORD = 4


class Kept(NamedTuple):
    """Which elements dropout keeps.

    Attributes:
        mask: 1 for kept elements, 0 for others; uint8.
        factor: What kept elements are multiplied by, so that the expectation does not change.
    """

    mask: Tensor
    factor: float


def draw_kept(shape: Sequence[int], probability: float, device: torch.device | str | None = None) -> Kept:
    """Draw a dropout mask from the device's generator, several times faster than `torch.Tensor.bernoulli_`.

    Args:
        shape: Any.
        probability: Probability in [0, 1) that an element is zeroed; it is rounded to a multiple of 1 / 65536.
        device: Device of the mask.

    Returns:
        The mask, and the factor of kept elements.
    """
    dropped = min(round(probability * _LEVELS), _LEVELS - 1)
    count = torch.Size(shape).numel()
    words = torch.empty(-(-count // _ELEMENTS_PER_WORD), dtype=torch.int64, device=device)
    words.random_(-(2**63), None)  # all 64 bits; without bounds the sign would not be drawn
    mask = words.view(torch.int16)[:count] >= dropped - _LEVELS // 2
    return Kept(mask.view(torch.uint8).view(torch.Size(shape)), _LEVELS / (_LEVELS - dropped))


def low_rank_linear(
    inputs: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    updates: Sequence[tuple[int, Tensor, Tensor]],
    scale: float = 1.0,
    kept: Sequence[Kept] = (),
) -> Tensor:
    """Apply a linear map with low-rank updates of some parts of its outputs.

    Differentiable once, in everything but the masks. Within autocast it computes in autocast's precision.

    Args:
        inputs: Shape (..., C).
        weight: Shape (O, C).
        bias: Shape (O,), or None.
        updates: For each updated part of o outputs: the index of its first output, and the matrices down, shape
            (rank, C), and up, shape (o, rank). Parts must not overlap.
        scale: Factor of the updates.
        kept: For each update, the dropout mask of the inputs, shape (..., C). Empty for no dropout.

    Returns:
        Shape (..., O).
    """
    starts = tuple(start for start, _, _ in updates)
    matrices = [matrix for _, down, up in updates for matrix in (down, up)]
    masks, factors = [one.mask for one in kept], [one.factor for one in kept]
    outputs: Tensor = _LowRankLinear.apply(inputs, weight, bias, starts, scale, factors, *matrices, *masks)
    return outputs


class _LowRankLinear(Function):
    """See `low_rank_linear`."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        starts: tuple[int, ...],
        scale: float,
        factors: list[float],
        *tensors: Tensor,
    ) -> Tensor:
        outputs = F.linear(inputs, weight, bias)
        matrices, masks = tensors[: 2 * len(starts)], tensors[2 * len(starts) :]
        rows = inputs.to(outputs.dtype).reshape(-1, inputs.shape[-1])
        flat = outputs.view(-1, outputs.shape[-1])
        hidden = []
        for number, start in enumerate(starts):
            down, up = (matrix.to(outputs.dtype) for matrix in matrices[2 * number : 2 * number + 2])
            if masks:
                hidden.append((_as_numbers(masks[number], rows).mul_(rows) @ down.T).mul_(factors[number]))
            else:
                hidden.append(rows @ down.T)
            flat[:, start : start + len(up)].addmm_(hidden[-1], up.T, alpha=scale)
        ctx.save_for_backward(inputs, weight, *tensors, *hidden)
        ctx.starts, ctx.scale, ctx.factors = starts, scale, factors
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        inputs, weight, *tensors = ctx.saved_tensors
        count = len(ctx.starts)
        matrices, masks, hidden = tensors[: 2 * count], tensors[2 * count : -count], tensors[-count:]
        gradient = gradient.reshape(-1, gradient.shape[-1])
        rows = inputs.to(gradient.dtype).reshape(-1, inputs.shape[-1])
        to_inputs = gradient @ weight.to(gradient.dtype) if ctx.needs_input_grad[0] else None
        to_matrices = []
        for number, start in enumerate(ctx.starts):
            down, up = (matrix.to(gradient.dtype) for matrix in matrices[2 * number : 2 * number + 2])
            own = gradient[:, start : start + len(up)]
            to_hidden = (own @ up).mul_(ctx.scale)
            to_up = (hidden[number].T @ own).T.mul_(ctx.scale)
            if masks:
                to_hidden.mul_(ctx.factors[number])
                mask = _as_numbers(masks[number], rows)
                to_down = to_hidden.T @ (rows * mask)
                if to_inputs is not None:
                    to_inputs.addcmul_(to_hidden @ down, mask)
            else:
                to_down = to_hidden.T @ rows
                if to_inputs is not None:
                    to_inputs.addmm_(to_hidden, down)
            to_matrices += [to_down.to(matrices[2 * number].dtype), to_up.to(matrices[2 * number + 1].dtype)]
        return (
            None if to_inputs is None else to_inputs.to(inputs.dtype).view(inputs.shape),
            (gradient.T @ rows).to(weight.dtype) if ctx.needs_input_grad[1] else None,
            gradient.sum(dim=0).to(weight.dtype) if ctx.needs_input_grad[2] else None,
            *[None] * 3,
            *to_matrices,
            *[None] * len(masks),
        )


def _as_numbers(mask: Tensor, rows: Tensor) -> Tensor:
    """A mask (..., C) in the shape and type of rows (n, C); a product of different types would be slow."""
    return mask.view(rows.shape).to(rows.dtype)
