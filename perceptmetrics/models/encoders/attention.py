"""Self-attention with one fused projection for queries, keys and values."""

from __future__ import annotations

import sys
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perceptmetrics.errors import InvalidSpecError

__all__ = ["FusedAttention"]


class FusedAttention(nn.Module):
    """The self-attention of a `torch.nn.MultiheadAttention`, with its weights, as two linear layers around it.

    PyTorch's module keeps its first projection as a bare parameter; here it is a linear layer like any other, which
    can carry adapters or be quantised, and whose attention can ask for the output of a few tokens only.

    Args:
        attention: The module to take over: batch first, keys and values as wide as queries, with biases, no dropout.

    Raises:
        InvalidSpecError: It is built otherwise, or is another module.
    """

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        _require_known(attention)
        fused = attention.in_proj_weight is not None and attention.in_proj_bias is not None
        if not fused or not attention.batch_first or attention.dropout:
            raise InvalidSpecError(
                "Only self-attention with one fused, biased projection, the batch first and no dropout is supported."
            )
        self.num_heads = attention.num_heads
        self.in_proj = _linear(attention.in_proj_weight, attention.in_proj_bias)
        self.out_proj = _linear(attention.out_proj.weight, attention.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        """Attend, called like the module that was taken over.

        Args:
            query: Shape (N, L, C).
            key: The same tensor, or None.
            value: The same tensor, or None.
            need_weights: Must be False.
            attn_mask: Shape (L, L), see `attend`.

        Returns:
            Shape (N, L, C), and None in place of the weights.

        Raises:
            ValueError: It is asked for cross-attention or for the weights.
        """
        if need_weights or any(other is not None and other is not query for other in (key, value)):
            raise ValueError("FusedAttention is self-attention that does not return its weights.")
        return self.attend(query, attn_mask=attn_mask), None

    def attend(self, tokens: Tensor, queries: int | None = None, attn_mask: Tensor | None = None) -> Tensor:
        """Attend from the first tokens to all.

        Args:
            tokens: Shape (N, L, C).
            queries: For how many of the first tokens the output is wanted; None for all.
            attn_mask: Shape (L, L), added to the logits; or boolean, True where nothing is to be read, as
                `torch.nn.MultiheadAttention` has it. None for none.

        Returns:
            Shape (N, queries, C).
        """
        projected = self.in_proj(tokens).unflatten(-1, (3, self.num_heads, -1))
        # Taken apart before they are transposed, so that the three gradients are put together where they belong.
        query, key, value = (part.transpose(1, 2) for part in projected.unbind(2))  # each (N, heads, L, C / heads)
        mask = None if attn_mask is None else attn_mask[:queries]
        if mask is not None:
            mask = ~mask if mask.dtype == torch.bool else mask.to(query.dtype)
        attended = F.scaled_dot_product_attention(query[:, :, :queries], key, value, attn_mask=mask)
        outputs: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return outputs


def _require_known(attention: nn.Module) -> None:
    """Refuse modules of another kind: open_clip 4 has its own, whose masks and options mean other things."""
    if not isinstance(attention, nn.MultiheadAttention):
        kind = type(attention)
        library = kind.__module__.partition(".")[0]
        version = getattr(sys.modules.get(library), "__version__", "of unknown version")
        raise InvalidSpecError(
            "The encoder's attention must be torch.nn.MultiheadAttention, as open_clip 2.30 to 3 builds it, but it is "
            f"{kind.__module__}.{kind.__qualname__} ({library} {version}). Install a version that this release "
            'supports: pip install "open_clip_torch>=2.30,<4".'
        )


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A linear layer with these very parameters."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.register_parameter("weight", cast("nn.Parameter", weight))
    layer.register_parameter("bias", cast("nn.Parameter", bias))
    return layer
