"""What an encoder would say if one of its heads looked everywhere alike (PerceptCLIP, section 6).

The row of the class token in a head's attention becomes uniform. Of the tokens that leave that block only the class
token is another one. What follows from it saves work without changing the result:

- the blocks below are walked through once for all heads;
- in the block itself only the class token is computed;
- in the next block only the class token has other queries, keys and values. A patch attends to the other patches as
  before, and to the class token with another weight: a sigmoid of its logit against the others' log-sum;
- of the last block only the class token is read.

What remains are the blocks between, whose tokens all differ: half of a pass on the average.
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
    """The tokens that enter each block.

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
    """The class token that leaves a block when a head's attention is uniform in its row, for one head at a time.

    Args:
        block: The block.
        tokens: Shape (N, T, C), as they enter it.
        heads: M heads of the block.

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
    """Features when the attention of one head is uniform in the row of the class token, for one head at a time.

    Args:
        transformer: The encoder.
        inputs: What `block_inputs` returns, for N pictures.
        heads: Heads by the number of their block.
        part: How many pictures to take through a block together; N pictures of at least one head are.
        tick: Told after each part the number of the block, and of how many of its heads these pictures are done.

    Returns:
        Shape (N, M, D), the heads in order, block by block.
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
    """What follows a block of which nothing but the class token has changed."""

    def __init__(self, transformer: Transformer, number: int, inputs: Sequence[Tensor]) -> None:
        self._transformer = transformer
        self._rest = transformer.blocks[number + 1 :]
        self._next = NextBlock(self._rest[0], inputs[number + 1]) if self._rest else None

    def features(self, class_tokens: Tensor) -> Tensor:
        """From the class tokens that leave the block, shape (N, M, C), to features, shape (N, M, D)."""
        if self._next is not None and len(self._rest) == 1:
            class_tokens = self._next.class_tokens(class_tokens)
        elif self._next is not None:
            tokens = self._next.all_tokens(class_tokens).flatten(0, 1)
            for block in self._rest[1:-1]:
                tokens = block.through(tokens)
            class_tokens = self._rest[-1].through(tokens, queries=1).reshape(class_tokens.shape)
        return self._transformer.read(class_tokens.flatten(0, 1)).reshape(*class_tokens.shape[:2], -1)


class NextBlock:
    """A block in whose input only the class token is another one.

    Args:
        block: The block.
        tokens: Shape (N, T, C): its input, of which the class token is not looked at.
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
        """What predictions gain to the first order when the other tokens read each of M class tokens.

        Args:
            key: Keys of the class tokens, shape (N, H, M, d).
            value: Their values, of the same shape.
            gradients: Shape (K, N, P, H * d): of K predictions with respect to what the other tokens read.

        Returns:
            Shape (K, N, M), up to a number that is the same for all class tokens.
        """
        _, among_others = self._among_others
        heads = gradients.reshape(*gradients.shape[:3], self._block.num_heads, -1)
        by_head = heads.transpose(2, 3)  # (K, N, H, P, d)
        to_share = by_head @ value.mT - (by_head * among_others).sum(dim=-1, keepdim=True)
        gains: Tensor = (self._share(key) * to_share).sum(dim=(2, 3))
        return gains

    def _attended_by_class(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """What each of M class tokens, whose projections have the shape (N, H, M, d), reads: (N, M, H * d)."""
        own = (query * key).sum(dim=-1, keepdim=True)
        weights = (torch.cat([own, query @ self._key.mT], dim=-1) * self._scale).softmax(dim=-1)
        attended: Tensor = weights[..., :1] * value + weights[..., 1:] @ self._value
        return attended.transpose(1, 2).flatten(2)

    def _attended_by_others(self, key: Tensor, value: Tensor) -> Tensor:
        """What the other tokens read when each of M class tokens is among them: (N, M, P, H * d)."""
        _, among_others = self._among_others
        share = self._share(key).mT[..., None]  # (N, H, M, P, 1)
        attended = torch.lerp(among_others[:, :, None], value[:, :, :, None], share)
        return attended.permute(0, 2, 3, 1, 4).flatten(3)

    def _share(self, key: Tensor) -> Tensor:
        """How much of their attention the other tokens give to each of M class tokens: (N, H, P, M)."""
        log_sum, _ = self._among_others
        return torch.sigmoid(self._query @ key.mT * self._scale - log_sum)

    @cached_property
    def _among_others(self) -> tuple[Tensor, Tensor]:
        """Of the attention without the class token: log-sums, (N, H, P, 1), and what is read, (N, H, P, d)."""
        logits = self._query @ self._key.mT * self._scale
        return logits.logsumexp(dim=-1, keepdim=True), logits.softmax(dim=-1) @ self._value
