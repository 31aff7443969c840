"""Encoder features with one head's class-token attention made uniform (PerceptCLIP, section 6).

The row of the class token in a head's attention becomes uniform. Only the class token that leaves that block changes.
This saves work without changing the result:

- The blocks below are computed once for all heads.
- In the block itself, only the class token is computed.
- In the next block, only the class token has different queries, keys and values. A patch attends to the other patches
  as before, and to the class token with a new weight: the sigmoid of its logit minus the log-sum of the others.
- In the last block, only the class token is computed.

What remains are the blocks in between, in which all tokens differ: half a forward pass on average.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from perceptmetrics.models.encoders import Transformer, TransformerBlock

__all__ = ["NextBlock", "block_inputs", "changed_features", "uniform_class_tokens"]


def block_inputs(transformer: Transformer, pixels: Tensor) -> list[Tensor]:
    """Compute the tokens that enter each block.

    Args:
        transformer: The encoder.
        pixels: Shape (N, 3, h, w), normalised.

    Returns:
        For each block, shape (N, T, C).
    """
    inputs = [transformer.embed(pixels)]
    for block in transformer.blocks[:-1]:
        inputs.append(block.through(inputs[-1]))
    return inputs


def uniform_class_tokens(block: TransformerBlock, tokens: Tensor, heads: Sequence[int]) -> Tensor:
    """Compute the class token that leaves a block if one head's attention is uniform in its row.

    Args:
        block: The block.
        tokens: Shape (N, T, C): the tokens that enter the block.
        heads: M heads of the block, each changed separately.

    Returns:
        Shape (N, M, C).
    """
    query, key, value = block.project(tokens)
    attended = F.scaled_dot_product_attention(query[:, :, :1], key, value)[:, :, 0]
    changed = attended[:, None].repeat(1, len(heads), 1, 1)  # (N, M, H, d)
    each = torch.arange(len(heads), device=tokens.device)
    changed[:, each, list(heads)] = value.mean(dim=2)[:, list(heads)]
    return block.leave(tokens[:, :1].expand(-1, len(heads), -1), changed.flatten(2))


def changed_features(
    transformer: Transformer,
    inputs: Sequence[Tensor],
    heads: Mapping[int, Sequence[int]],
    part: int,
    tick: Callable[[int, int], None] = lambda _number, _heads: None,
) -> Tensor:
    """Compute features if the attention of one head is uniform in the row of the class token.

    Args:
        transformer: The encoder.
        inputs: The result of `block_inputs` for N views.
        heads: Heads by the number of their block, each changed separately.
        part: Number of views per block call, at least the N views of one head.
        tick: Called after each part with the number of the block and the number of its heads that are done.

    Returns:
        Shape (N, M, D), with the heads in order, block by block.
    """
    features = []
    for number, chosen in heads.items():
        changed = uniform_class_tokens(transformer.blocks[number], inputs[number], chosen)
        size = max(1, part // len(changed))
        above = _Above(transformer, number, inputs)
        for some in torch.split(changed, size, dim=1):
            features.append(above.features(some))
            tick(number, some.shape[1])
    return torch.cat(features, dim=1)


class _Above:
    """The blocks above a block in which only the class token has changed."""

    def __init__(self, transformer: Transformer, number: int, inputs: Sequence[Tensor]) -> None:
        self._transformer = transformer
        self._rest = transformer.blocks[number + 1 :]
        self._next = NextBlock(self._rest[0], inputs[number + 1]) if self._rest else None

    def features(self, class_tokens: Tensor) -> Tensor:
        """Turn class tokens that leave the block, shape (N, M, C), into features, shape (N, M, D)."""
        if self._next is not None and len(self._rest) == 1:
            class_tokens = self._next.class_tokens(class_tokens)
        elif self._next is not None:
            tokens = self._next.all_tokens(class_tokens).flatten(0, 1)
            for block in self._rest[1:-1]:
                tokens = block.through(tokens)
            class_tokens = self._rest[-1].through(tokens, queries=1).reshape(class_tokens.shape)
        return self._transformer.read(class_tokens.flatten(0, 1)).reshape(*class_tokens.shape[:2], -1)


class NextBlock:
    """A block in whose input only the class token varies.

    Args:
        block: The block.
        tokens: Shape (N, T, C): its input; the class token in it is not used.
    """

    def __init__(self, block: TransformerBlock, tokens: Tensor) -> None:
        self._block = block
        self._others = tokens[:, 1:]
        self._query, self._key, self._value = block.project(self._others)  # each (N, H, P, d)
        self._scale = self._query.shape[-1] ** -0.5

    def class_tokens(self, class_tokens: Tensor) -> Tensor:
        """The class tokens that leave the block; both of shape (N, M, C)."""
        return self._block.leave(class_tokens, self._attended_by_class(*self._block.project(class_tokens)))

    def all_tokens(self, class_tokens: Tensor) -> Tensor:
        """All tokens that leave the block, shape (N, M, T, C), for class tokens of shape (N, M, C)."""
        projected = self._block.project(class_tokens)
        attended = torch.cat(
            [self._attended_by_class(*projected)[:, :, None], self._attended_by_others(*projected[1:])], dim=2
        )
        others = self._others[:, None].expand(-1, class_tokens.shape[1], -1, -1)
        return self._block.leave(torch.cat([class_tokens[:, :, None], others], dim=2), attended)

    def gains(self, key: Tensor, value: Tensor, gradients: Tensor) -> Tensor:
        """First-order change of predictions if the other tokens attend to each of M class tokens.

        Args:
            key: Keys of the class tokens, shape (N, H, M, d).
            value: Values of the class tokens, same shape.
            gradients: Shape (K, N, P, H * d): gradients of K predictions with respect to the attention output of the
                other tokens.

        Returns:
            Shape (K, N, M), up to a constant that is the same for all class tokens.
        """
        _, among_others = self._among_others
        heads = gradients.reshape(*gradients.shape[:3], self._block.num_heads, -1)
        by_head = heads.transpose(2, 3)  # (K, N, H, P, d)
        to_weight = by_head @ value.mT - (by_head * among_others).sum(dim=-1, keepdim=True)
        gains: Tensor = (self._weight(key) * to_weight).sum(dim=(2, 3))
        return gains

    def _attended_by_class(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention output, (N, M, H * d), of M class tokens whose projections have the shape (N, H, M, d)."""
        own = (query * key).sum(dim=-1, keepdim=True)
        weights = (torch.cat([own, query @ self._key.mT], dim=-1) * self._scale).softmax(dim=-1)
        attended: Tensor = weights[..., :1] * value + weights[..., 1:] @ self._value
        return attended.transpose(1, 2).flatten(2)

    def _attended_by_others(self, key: Tensor, value: Tensor) -> Tensor:
        """Attention output of the other tokens, (N, M, P, H * d), together with each of M class tokens."""
        _, among_others = self._among_others
        weight = self._weight(key).mT[..., None]  # (N, H, M, P, 1)
        attended = torch.lerp(among_others[:, :, None], value[:, :, :, None], weight)
        return attended.permute(0, 2, 3, 1, 4).flatten(3)

    def _weight(self, key: Tensor) -> Tensor:
        """Attention weight of each of M class tokens for the other tokens: (N, H, P, M)."""
        log_sum, _ = self._among_others
        return torch.sigmoid(self._query @ key.mT * self._scale - log_sum)

    @cached_property
    def _among_others(self) -> tuple[Tensor, Tensor]:
        """Attention without the class token: log-sums of the logits, (N, H, P, 1), and outputs, (N, H, P, d)."""
        logits = self._query @ self._key.mT * self._scale
        return logits.logsumexp(dim=-1, keepdim=True), logits.softmax(dim=-1) @ self._value
