"""CLIP's vision transformers at any image size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from perceptmetrics._util.modules import transforming
from perceptmetrics.errors import WeightsError
from perceptmetrics.models.encoders.attention import FusedAttention
from perceptmetrics.models.encoders.base import Encoder
from perceptmetrics.models.encoders.positional import positional_embedding_for
from perceptmetrics.models.encoders.transformer import ClipTransformer

if TYPE_CHECKING:
    from open_clip.transformer import ResidualAttentionBlock, VisionTransformer

    from perceptmetrics.spec import PositionalEmbedding

__all__ = ["ClipVisionTransformer", "FastQuickGelu"]

_QUICK_GELU_SLOPE = 1.702
# Above this size the C library asks the system for the memory of every temporary tensor again, page by page.
_REUSED_BYTES = 32 * 1024 * 1024


class FastQuickGelu(nn.Module):
    """QuickGELU, `x * sigmoid(1.702 x)`, as `silu(1.702 x) / 1.702`; in place where nobody can tell.

    Its input must be a temporary tensor, as the output of a linear layer is. For the gradient, which can be taken once,
    it keeps its input alone.
    """

    def forward(self, hidden: Tensor) -> Tensor:
        """Apply it; any shape."""
        if not torch.compiler.is_compiling() and transforming():
            return F.silu(_QUICK_GELU_SLOPE * hidden) / _QUICK_GELU_SLOPE
        if hidden.requires_grad:
            return cast("Tensor", _QuickGelu.apply(hidden))
        return F.silu(hidden.mul_(_QUICK_GELU_SLOPE), inplace=True).div_(_QUICK_GELU_SLOPE)


class _QuickGelu(Function):
    """QuickGELU with a gradient."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor) -> Tensor:
        ctx.save_for_backward(hidden)
        return F.silu(_QUICK_GELU_SLOPE * hidden, inplace=True).div_(_QUICK_GELU_SLOPE)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (hidden,) = ctx.saved_tensors
        # The slope within and its inverse without cancel in the derivative.
        to_hidden: Tensor = torch.ops.aten.silu_backward(gradient, _QUICK_GELU_SLOPE * hidden)
        return to_hidden


class ClipVisionTransformer(Encoder):
    """Image encoder of the ViT CLIPs: projected class token.

    An image whose sides are no multiples of the patch size loses the remainder at its right and bottom edge
    (fewer pixels than a patch), as the patch convolution has it.

    Args:
        visual: open_clip's network with its weights. Its attention is taken over: do not use it afterwards.
        mode: What becomes of the positional embedding.

    Raises:
        WeightsError: The encoder pools otherwise than by its class token, or has other blocks than CLIP's.
    """

    def __init__(self, visual: VisionTransformer, mode: PositionalEmbedding) -> None:
        from open_clip.transformer import QuickGELU, ResidualAttentionBlock

        super().__init__()
        if visual.attn_pool is not None or visual.pool_type != "tok" or visual.final_ln_after_pool:
            raise WeightsError("Only vision transformers that pool by their class token are supported, as OpenAI's do.")
        self.mode = mode
        self.patch_size = int(visual.patch_size[0])
        self.min_size = self.patch_size
        self.feature_size = int(visual.output_dim)
        self.visual = visual.eval()
        for block in visual.transformer.resblocks:
            if not (isinstance(block, ResidualAttentionBlock) and isinstance(block.ls_1, nn.Identity)):
                raise WeightsError("Only the residual blocks of OpenAI's vision transformers are supported.")
            block.attn = FusedAttention(block.attn)
            if isinstance(block.mlp.gelu, QuickGELU):
                block.mlp.gelu = FastQuickGelu()

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode images; see `Encoder.encode`."""
        tokens = self.embed(pixels)
        *blocks, last = self.visual.transformer.resblocks
        for block in blocks:
            tokens = self._through_one_of_many(block, tokens)
        return self.read(_through(last, tokens, queries=1)[:, 0])  # nothing reads the last block's other tokens

    def read(self, class_token: Tensor) -> Tensor:
        """From the class token that leaves the last block, shape (N, C), to features, shape (N, D)."""
        features: Tensor = self.visual.ln_post(class_token) @ self.visual.proj
        return features

    @property
    def quantizable(self) -> nn.Module:
        """The blocks."""
        blocks: nn.Module = self.visual.transformer
        return blocks

    def transformer(self) -> ClipTransformer:
        """See `Encoder.transformer`."""
        return ClipTransformer(self)

    def _switch_checkpointing(self, wanted: bool) -> None:
        """It can be done: each block but the last keeps its input alone."""

    def _through_one_of_many(self, block: ResidualAttentionBlock, tokens: Tensor) -> Tensor:
        if self.checkpointing and torch.is_grad_enabled():
            recomputed: Tensor = checkpoint(_through, block, tokens, use_reentrant=False)
            return recomputed
        return _through(block, tokens)

    def embed(self, pixels: Tensor) -> Tensor:
        """From normalised pixels to the tokens that enter the first block, shape (N, T, C), the class token first."""
        visual = self.visual
        patches = visual.conv1(pixels)
        class_token = visual.class_embedding.expand(patches.shape[0], 1, -1)
        tokens = torch.cat([class_token, patches.flatten(2).transpose(1, 2)], dim=1)
        height, width = patches.shape[-2:]
        embedding = positional_embedding_for(visual.positional_embedding, (height, width), self.mode, self.patch_size)
        embedded: Tensor = visual.ln_pre(tokens if embedding is None else tokens + embedding)
        return embedded

    def cache_sized_part(self, height: int, width: int) -> int:
        """See `Encoder`: here the hidden activations, four times as wide as the tokens, must stay reusable memory."""
        tokens = (height // self.patch_size) * (width // self.patch_size) + 1
        hidden = int(self.visual.transformer.resblocks[0].mlp.c_fc.out_features)
        return max(1, _REUSED_BYTES // (4 * tokens * hidden))


def _through(block: ResidualAttentionBlock, tokens: Tensor, queries: int | None = None) -> Tensor:
    """A residual block, for the first tokens only when so asked."""
    attended: Tensor = tokens[:, :queries] + block.attn.attend(block.ln_1(tokens), queries)
    outputs: Tensor = attended + block.mlp(block.ln_2(attended))
    return outputs
