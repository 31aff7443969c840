"""Estimate the effect of all heads of an encoder at once, in about the time of five forward passes.

Making a head's attention uniform in the row of the class token changes the class token that leaves its block. This has
two effects. The class token itself takes a different path through the blocks above; that is a single token and is
computed exactly. And the patches attend to a different class token; the effect on the prediction is taken to first
order, from the gradient with respect to the patches' attention outputs, which one backward pass gives for all heads.
Neglected is that the changed patches are then read differently by the class token and by each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from perceptmetrics.explain.interventions import NextBlock, block_inputs, uniform_class_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from perceptmetrics.models.encoders import Transformer, TransformerBlock

__all__ = ["first_order_changes"]


def first_order_changes(transformer: Transformer, pixels: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
    """Estimate the effect of each head.

    Args:
        transformer: The encoder, with L blocks of H heads.
        pixels: Shape (N, 3, h, w), normalised.
        gradients: Shape (K, N, D): gradients of K predictions with respect to the features.

    Returns:
        Features from the changed class token, shape (N, L * H, D), with the heads in order; and the first-order change
        of the predictions by the patches, shape (N, L * H, K).
    """
    with torch.no_grad():
        inputs = block_inputs(transformer, pixels)
    to_attended = _gradients_of_patches(transformer, inputs, gradients)
    with torch.no_grad():
        return _class_paths(transformer, inputs, to_attended)


def _gradients_of_patches(transformer: Transformer, inputs: Sequence[Tensor], gradients: Tensor) -> list[Tensor]:
    """Gradients of K predictions with respect to the attention output of the patches, shape (K, N, P, H * d).

    One tensor for each block except the last.
    """
    *blocks, last = transformer.blocks
    with torch.enable_grad():
        entering = inputs[-1].detach().requires_grad_()
        features = transformer.read(last.through(entering, queries=1)[:, 0])
        (to_leaving,) = _pull_back(features, [entering], gradients)
    found = []
    for number in reversed(range(len(blocks))):
        block = blocks[number]
        with torch.enable_grad():
            entering = inputs[number].detach().requires_grad_()
            attended = block.attend(entering)
            leaving = block.leave(entering, attended)
            to_leaving, to_attended = _pull_back(leaving, [entering, attended], to_leaving)
        found.append(to_attended[:, :, 1:])
    return found[::-1]


def _pull_back(output: Tensor, variables: Sequence[Tensor], gradients: Tensor) -> list[Tensor]:
    """Propagate K gradients with respect to an output, shape (K, ...), back to its inputs."""
    pulled = [torch.autograd.grad(output, variables, one, retain_graph=True) for one in gradients]
    return [torch.stack(of_one) for of_one in zip(*pulled, strict=True)]


def _class_paths(
    transformer: Transformer, inputs: Sequence[Tensor], to_attended: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Propagate the changed class tokens of all heads upwards among unchanged patches; see `first_order_changes`."""
    count, labels = len(inputs[0]), len(to_attended[0]) if to_attended else 1
    moved = inputs[0][:, :0]
    effects = moved.new_zeros(labels, count, 0)
    for number, block in enumerate(transformer.blocks):
        if number > 0:
            above = NextBlock(block, inputs[number])
            if number < len(to_attended):
                effects = effects + _read_by_patches(block, above, inputs[number], moved, to_attended[number])
            moved = above.class_tokens(moved)
        changed = uniform_class_tokens(block, inputs[number], range(block.num_heads))
        moved = torch.cat([moved, changed], dim=1)
        effects = torch.cat([effects, effects.new_zeros(labels, count, block.num_heads)], dim=2)
    features = transformer.read(moved.flatten(0, 1)).reshape(*moved.shape[:2], -1)
    return features, effects.permute(1, 2, 0)


def _read_by_patches(
    block: TransformerBlock, above: NextBlock, entering: Tensor, moved: Tensor, gradients: Tensor
) -> Tensor:
    """Change of the predictions, shape (K, N, M), if the patches attend to the class tokens `moved`, (N, M, C)."""
    together = torch.cat([entering[:, :1], moved], dim=1)
    _, key, value = block.project(together)
    gains = above.gains(key, value, gradients)
    return gains[..., 1:] - gains[..., :1]
