"""The effect of all heads of an encoder at once, to the first order.

A head whose attention becomes uniform in the row of the class token changes the class token that leaves its block by
an amount that is computed exactly. What that amount does to the prediction is taken from the gradient: one sweep
backwards, from block to block, for all heads, in place of a pass for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from perceptmetrics.explain.interventions import block_inputs, uniform_class_tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from perceptmetrics.backbones import Transformer, TransformerBlock

__all__ = ["first_order_changes"]


def first_order_changes(transformer: Transformer, pixels: Tensor, gradients: Tensor) -> Tensor:
    """Estimate the change of predictions for each head.

    Args:
        transformer: The encoder.
        pixels: Shape (N, 3, h, w), normalised.
        gradients: Shape (K, N, D): of K predictions with respect to the features.

    Returns:
        Shape (N, L, H, K), for L blocks of H heads.
    """
    *blocks, last = transformer.blocks
    with torch.no_grad():
        inputs = block_inputs(transformer, pixels)
        leaving = last.through(inputs[-1], queries=1)
    gradients = _pull_back(lambda tokens: transformer.read(tokens[:, 0]), leaving, gradients)
    changes = [_effects(last, inputs[-1], leaving, gradients)]
    gradients = _pull_back(lambda tokens: last.through(tokens, queries=1), inputs[-1], gradients)
    for number in reversed(range(len(blocks))):
        changes.append(_effects(blocks[number], inputs[number], inputs[number + 1], gradients))
        if number > 0:
            gradients = _pull_back(blocks[number].through, inputs[number], gradients)
    return torch.stack(changes[::-1], dim=1)


def _pull_back(function: Callable[[Tensor], Tensor], at: Tensor, gradients: Tensor) -> Tensor:
    """Take K gradients with respect to a function's output, shape (K, ...), back to its input."""
    with torch.enable_grad():
        variable = at.detach().requires_grad_()
        output = function(variable)
        last = len(gradients) - 1
        pulled = [
            torch.autograd.grad(output, variable, one, retain_graph=number < last)[0]
            for number, one in enumerate(gradients)
        ]
    return torch.stack(pulled)


@torch.no_grad()
def _effects(block: TransformerBlock, entering: Tensor, leaving: Tensor, gradients: Tensor) -> Tensor:
    """Shape (N, H, K): the change of the leaving class token by each head, times its gradients."""
    changed = uniform_class_tokens(block, entering, range(block.num_heads))
    return torch.einsum("nhc,knc->nhk", changed - leaving[:, :1], gradients[:, :, 0])
