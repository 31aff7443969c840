"""Vision transformers block by block, for those who look inside: tokens, queries, keys, values, class token.

Encoders are fused and skip what nobody reads. Here the same weights are walked through step by step, so that an
attention row can be read or replaced on the way. Nothing of an encoder is changed by it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F

from perceptmetrics.errors import InvalidOptionError

if TYPE_CHECKING:
    from open_clip.transformer import ResidualAttentionBlock
    from torch import Tensor

    from perceptmetrics.models.encoders.clip_vit import ClipVisionTransformer
    from perceptmetrics.models.encoders.timm_networks import TimmPooled


__all__ = ["ClipTransformer", "TimmTransformer", "Transformer", "TransformerBlock"]


class TransformerBlock(ABC):
    """A residual block: attention, then a perceptron that sees each token alone.

    Attributes:
        num_heads: Number of attention heads H.
    """

    num_heads: int

    @abstractmethod
    def project(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of tokens.

        Args:
            tokens: Shape (N, T, C), as they enter the block.

        Returns:
            Three tensors of shape (N, H, T, d). A softmax over `query . key / sqrt(d)` gives the attention.
        """

    @abstractmethod
    def leave(self, tokens: Tensor, attended: Tensor) -> Tensor:
        """What becomes of tokens after the heads have attended.

        Args:
            tokens: Shape (..., C), as they entered the block.
            attended: Shape (..., H * d), the outputs of the heads next to each other.

        Returns:
            Shape (..., C), as they leave the block.
        """

    def through(self, tokens: Tensor, queries: int | None = None) -> Tensor:
        """The whole block.

        Args:
            tokens: Shape (N, T, C).
            queries: For how many of the first tokens the output is wanted; None for all.

        Returns:
            Shape (N, queries, C).
        """
        return self.leave(tokens[:, :queries], self.attend(tokens, queries))

    def attend(self, tokens: Tensor, queries: int | None = None) -> Tensor:
        """What the first tokens read: the outputs of the heads next to each other, shape (N, queries, H * d)."""
        query, key, value = self.project(tokens)
        attended = F.scaled_dot_product_attention(query[:, :, :queries], key, value)
        return attended.transpose(1, 2).flatten(2)


class Transformer(ABC):
    """An encoder that is read off by its class token, which is the first of its tokens.

    Attributes:
        blocks: Its blocks.
        prefix: How many tokens stand before those of the patches: the class token, and registers.
        patch_size: Side of a patch in pixels.
    """

    blocks: tuple[TransformerBlock, ...]
    prefix: int
    patch_size: int

    @abstractmethod
    def embed(self, pixels: Tensor) -> Tensor:
        """From normalised pixels, shape (N, 3, h, w), to the tokens that enter the first block, shape (N, T, C)."""

    @abstractmethod
    def read(self, class_token: Tensor) -> Tensor:
        """From the class token that leaves the last block, shape (N, C), to features, shape (N, D)."""

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the patches of an image; they follow each other row by row."""
        return height // self.patch_size, width // self.patch_size


class _ClipBlock(TransformerBlock):
    def __init__(self, block: ResidualAttentionBlock) -> None:
        self._block = block
        self.num_heads = block.attn.num_heads

    def project(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        projected = self._block.attn.in_proj(self._block.ln_1(tokens)).unflatten(-1, (3, self.num_heads, -1))
        query, key, value = (part.transpose(1, 2) for part in projected.unbind(2))
        return query, key, value

    def leave(self, tokens: Tensor, attended: Tensor) -> Tensor:
        attended = tokens + self._block.attn.out_proj(attended)
        outputs: Tensor = attended + self._block.mlp(self._block.ln_2(attended))
        return outputs


class ClipTransformer(Transformer):
    """The image encoder of a ViT CLIP, with or without adapters of its attention.

    Args:
        encoder: The encoder.
    """

    prefix = 1

    def __init__(self, encoder: ClipVisionTransformer) -> None:
        self._encoder = encoder
        self.patch_size = encoder.patch_size
        self.blocks = tuple(_ClipBlock(block) for block in encoder.visual.transformer.resblocks)

    def embed(self, pixels: Tensor) -> Tensor:
        """See `Transformer.embed`."""
        return self._encoder.embed(pixels)

    def read(self, class_token: Tensor) -> Tensor:
        """See `Transformer.read`."""
        return self._encoder.read(class_token)


class _TimmBlock(TransformerBlock):
    def __init__(self, block: Any) -> None:
        self._block = block
        self.num_heads = block.attn.num_heads

    def project(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attention = self._block.attn
        projected = attention.qkv(self._block.norm1(tokens)).unflatten(-1, (3, self.num_heads, -1))
        query, key, value = (part.transpose(1, 2) for part in projected.unbind(2))
        return attention.q_norm(query), attention.k_norm(key), value

    def leave(self, tokens: Tensor, attended: Tensor) -> Tensor:
        block, attention = self._block, self._block.attn
        scaled = attention.norm(attended) if hasattr(attention, "norm") else attended  # recent releases only
        tokens = tokens + block.drop_path1(block.ls1(attention.proj_drop(attention.proj(scaled))))
        outputs: Tensor = tokens + block.drop_path2(block.ls2(block.mlp(block.norm2(tokens))))
        return outputs


class TimmTransformer(Transformer):
    """A vision transformer of timm that is read off by its class token.

    Args:
        encoder: The encoder; adapters of its attention may be attached.

    Raises:
        InvalidOptionError: It consists of other blocks than these steps compute exactly.
    """

    def __init__(self, encoder: TimmPooled) -> None:
        network: Any = encoder.network
        _check(network)
        self._network = network
        self.prefix = int(network.num_prefix_tokens)
        self.patch_size = int(network.patch_embed.feat_ratio())
        self.blocks = tuple(_TimmBlock(block) for block in network.blocks)

    def embed(self, pixels: Tensor) -> Tensor:
        """See `Transformer.embed`."""
        size = self.patch_size
        whole = pixels[..., : pixels.shape[-2] // size * size, : pixels.shape[-1] // size * size]
        tokens = self._network._pos_embed(self._network.patch_embed(whole))  # noqa: SLF001 - it has no other name
        embedded: Tensor = self._network.norm_pre(self._network.patch_drop(tokens))
        return embedded

    def read(self, class_token: Tensor) -> Tensor:
        """See `Transformer.read`."""
        normalised = self._network.norm(class_token[:, None])
        features: Tensor = self._network.forward_head(normalised, pre_logits=True)
        return features


def _check(network: Any) -> None:
    """Only what these steps compute exactly."""
    from timm.models.vision_transformer import VisionTransformer

    if type(network) is not VisionTransformer or not all(_is_plain(block) for block in network.blocks):
        raise InvalidOptionError(
            f"The encoder {type(network).__name__} does not consist of plain attention blocks, so its heads cannot be "
            "looked into. Plain vision transformers of timm (DINOv2, MAE, DeiT, ...) and CLIP's can."
        )
    if network.cls_token is None or network.global_pool != "token":
        raise InvalidOptionError(
            f"The encoder is read off by {network.global_pool!r} pooling of its tokens and not by a class token, whose "
            "attention is what a head's importance and its map are about. Use an encoder with one."
        )


def _is_plain(block: Any) -> bool:
    from timm.models.vision_transformer import Attention, Block  # type: ignore[attr-defined]

    attention = getattr(block, "attn", None)
    return type(block) is Block and type(attention) is Attention and getattr(attention, "gate", None) is None
