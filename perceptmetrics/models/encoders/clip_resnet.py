"""CLIP's modified ResNet with an attention pool that computes only what is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from perceptmetrics._util.modules import transforming
from perceptmetrics.models.encoders.base import Encoder, channels_last
from perceptmetrics.models.encoders.fold import fold_batch_norms
from perceptmetrics.models.encoders.positional import positional_embedding_for
from perceptmetrics.models.encoders.strips import StripSizes, map_in_strips

if TYPE_CHECKING:
    from open_clip.modified_resnet import AttentionPool2d, ModifiedResNet

    from perceptmetrics.spec import PositionalEmbedding

__all__ = ["ClipResNet", "MeanTokenAttentionPool"]

_STRIDE = 32


class MeanTokenAttentionPool(nn.Module):
    """CLIP's attention pool for the one query whose output is used: the mean of all tokens.

    The published pool computes every token's attention and keeps the first. With a single query q the
    products can be regrouped: q . (K x) = (K^T q) . x and sum_i a_i (V x_i) = V (sum_i a_i x_i), so that no key
    or value is ever computed for the tokens. The result is the same up to rounding; the cost falls from two
    C x C products per token to two per image. (The key's bias shifts all logits of a head alike and cancels.)

    Args:
        pool: open_clip's pool with its weights.
        mode: What becomes of the positional embedding.
    """

    def __init__(self, pool: AttentionPool2d, mode: PositionalEmbedding) -> None:
        super().__init__()
        self.mode = mode
        self.num_heads = pool.num_heads
        self.q_proj, self.k_proj, self.v_proj, self.c_proj = (
            pool.q_proj,
            pool.k_proj,
            pool.v_proj,
            pool.c_proj,
        )
        if mode == "drop":
            self.register_parameter("positional_embedding", None)
        else:
            self.positional_embedding = pool.positional_embedding

    def forward(self, feature_map: Tensor) -> Tensor:
        """Pool a feature map.

        Args:
            feature_map: Shape (N, C, h, w).

        Returns:
            Shape (N, D).
        """
        tokens = self.tokens(feature_map)
        return self.mix(tokens, self.attention(tokens))

    def tokens(self, feature_map: Tensor) -> Tensor:
        """From a feature map, shape (N, C, h, w), to tokens, shape (N, 1 + h * w, C), their mean first."""
        tokens = feature_map.flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)
        if self.positional_embedding is not None:
            height, width = feature_map.shape[-2:]
            embedding = positional_embedding_for(self.positional_embedding, (height, width), self.mode, _STRIDE)
            tokens = tokens if embedding is None else tokens + embedding
        return tokens

    def attention(self, tokens: Tensor) -> Tensor:
        """How each head spreads its attention over the tokens: shape (N, heads, 1 + h * w), rows of sum 1."""
        head_size = tokens.shape[-1] // self.num_heads
        query = self.q_proj(tokens[:, 0]).unflatten(-1, (self.num_heads, head_size)) * head_size**-0.5
        key_weight = self.k_proj.weight.unflatten(0, (self.num_heads, head_size))
        query_in_tokens = torch.einsum("nhd,hdc->nhc", query, key_weight)
        return (query_in_tokens @ tokens.transpose(1, 2)).softmax(dim=-1)

    def mix(self, tokens: Tensor, attention: Tensor) -> Tensor:
        """The output for an attention, shape (N, D)."""
        value_weight = self.v_proj.weight.unflatten(0, (self.num_heads, -1))
        attended = torch.einsum("nhc,hdc->nhd", attention @ tokens, value_weight).flatten(1)
        pooled: Tensor = self.c_proj(attended + self.v_proj.bias)
        return pooled


class ClipResNet(Encoder):
    """Image encoder of the ResNet CLIPs, any size from 32 x 32.

    The trunk has a stride of 32 pixels; what is left over at the right and bottom edge is seen by its
    convolutions but makes no token of its own.

    Args:
        visual: open_clip's network with its weights. It is taken apart: do not use it afterwards.
        mode: What becomes of the positional embedding: CLIP-IQA drops it (section 3.2).

    Attributes:
        strips: Above which size images pass through the trunk in strips, which bounds the memory.
    """

    convolutional = True
    min_size = _STRIDE
    strips = StripSizes(whole=4_000_000, strip=400_000)

    def __init__(self, visual: ModifiedResNet, mode: PositionalEmbedding) -> None:
        super().__init__()
        self.feature_size = visual.output_dim
        self.pool = MeanTokenAttentionPool(visual.attnpool, mode)
        visual.attnpool = nn.Identity()
        self.trunk = visual.eval()
        fold_batch_norms(self.trunk)
        self.trunk.to(memory_format=torch.channels_last)

    @property
    def attention_pool(self) -> MeanTokenAttentionPool:
        """The pool."""
        return self.pool

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode images; see `Encoder.encode`."""
        features: Tensor = self.pool(self.feature_map(pixels))
        return features

    def feature_map(self, pixels: Tensor) -> Tensor:
        """From normalised pixels, shape (N, 3, H, W), to what the attention pool sees, shape (N, C, h, w)."""
        rows = self._strip_rows(pixels)
        in_strips = None if rows is None else map_in_strips(self.trunk, pixels, rows)
        if in_strips is not None:
            return in_strips
        feature_map = channels_last(pixels)
        if self.checkpointing and torch.is_grad_enabled():
            trunk = self.trunk
            for stage in (trunk.stem, trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4):
                feature_map = checkpoint(stage, feature_map, use_reentrant=False)
            return feature_map
        mapped: Tensor = self.trunk(feature_map)
        return mapped

    def _strip_rows(self, pixels: Tensor) -> int | None:
        """Rows of the strips in which to encode images; None for whole images.

        Programs that are traced, and transformations of `torch.func`, see whole images.
        """
        if torch.compiler.is_compiling() or transforming() or _is_traced():
            return None
        return self.strips.rows(pixels.shape[-2], pixels.shape[-1], _STRIDE)

    def _switch_checkpointing(self, wanted: bool) -> None:
        """It can be done: each stage keeps its input alone."""


def _is_traced() -> bool:
    """Whether `torch.jit.trace` is at work."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined,no-untyped-call]
