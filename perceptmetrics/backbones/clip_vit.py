"""CLIP's vision transformers at any image size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from perceptmetrics.backbones.base import Backbone
from perceptmetrics.backbones.positional import positional_embedding_for
from perceptmetrics.errors import WeightsError

if TYPE_CHECKING:
    from open_clip.transformer import VisionTransformer

    from perceptmetrics.spec import PositionalEmbedding

__all__ = ["ClipVisionTransformer"]


class ClipVisionTransformer(Backbone):
    """Image tower of the ViT CLIPs: projected class token.

    An image whose sides are no multiples of the patch size loses the remainder at its right and bottom edge
    (fewer pixels than a patch), as the patch convolution has it.

    Args:
        visual: open_clip's tower with its weights.
        mode: What becomes of the positional embedding.

    Raises:
        WeightsError: The tower pools otherwise than by its class token.
    """

    def __init__(self, visual: VisionTransformer, mode: PositionalEmbedding) -> None:
        super().__init__()
        if visual.attn_pool is not None or visual.pool_type != "tok" or visual.final_ln_after_pool:
            raise WeightsError("Only vision transformers that pool by their class token are supported, as OpenAI's do.")
        self.mode = mode
        self.patch_size = int(visual.patch_size[0])
        self.min_size = self.patch_size
        self.feature_size = int(visual.output_dim)
        self.visual = visual.eval()

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode pictures; see `Backbone.encode`."""
        visual = self.visual
        patches = visual.conv1(pixels)
        class_token = visual.class_embedding.expand(patches.shape[0], 1, -1)
        tokens = torch.cat([class_token, patches.flatten(2).transpose(1, 2)], dim=1)
        height, width = patches.shape[-2:]
        embedding = positional_embedding_for(visual.positional_embedding, (height, width), self.mode, self.patch_size)
        tokens = tokens if embedding is None else tokens + embedding
        tokens = visual.transformer(visual.ln_pre(tokens))
        features: Tensor = visual.ln_post(tokens[:, 0]) @ visual.proj
        return features
