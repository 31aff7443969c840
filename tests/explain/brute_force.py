"""The reference: a pass from the pixels up for every head, with attention written out in plain torch."""

from __future__ import annotations

import copy

import torch
from torch import nn

from perceptmetrics.models.encoders.positional import positional_embedding_for


class WatchedAttention(nn.Module):
    """Self-attention with an explicit softmax, whose first row can be made uniform in one head.

    Args:
        weight: Shape (3 C, C), and its bias: queries, keys and values.
        bias: Shape (3 C,).
        out: What the heads' outputs go through.
        heads: Number of heads.
    """

    def __init__(self, weight, bias, out, heads):
        super().__init__()
        self.weight, self.bias, self.out, self.heads = weight, bias, out, heads
        self.uniform = None
        self.rows = None

    def forward(self, tokens, *_args, **_options):
        count, length, width = tokens.shape
        query, key, value = (
            part.reshape(count, length, self.heads, width // self.heads).transpose(1, 2)
            for part in (tokens @ self.weight.T + self.bias).chunk(3, dim=-1)
        )
        attention = torch.softmax(query @ key.transpose(2, 3) / (width // self.heads) ** 0.5, dim=-1)
        self.rows = attention[:, :, 0].clone()
        if self.uniform is not None:
            attention[:, self.uniform, 0] = 1 / length
        return self.out((attention @ value).transpose(1, 2).reshape(count, length, width))


class Tuple(nn.Module):
    """open_clip's blocks expect the attention and its weights."""

    def __init__(self, attention):
        super().__init__()
        self.attention = attention

    def forward(self, *arguments, **options):
        return self.attention(*arguments, **options), None


class AnySize(nn.Module):
    """open_clip's vision transformer, whose positional embedding is interpolated."""

    def __init__(self, visual):
        super().__init__()
        self.visual, self.table = visual, visual.positional_embedding
        self.transformer = visual.transformer

    def forward(self, pixels):
        patch = self.visual.patch_size[0]
        grid = (pixels.shape[-2] // patch, pixels.shape[-1] // patch)
        table = positional_embedding_for(self.table.detach(), grid, "interpolate", patch)
        self.visual.positional_embedding = nn.Parameter(table, requires_grad=False)
        return self.visual(pixels)


def watched_clip(visual):
    """A copy of open_clip's own vision transformer, and its attentions, layer by layer."""
    visual = copy.deepcopy(visual)
    attentions = []
    for block in visual.transformer.resblocks:
        own = block.attn
        attention = WatchedAttention(own.in_proj_weight, own.in_proj_bias, own.out_proj, own.num_heads)
        attentions.append(attention)
        block.attn = Tuple(attention)
    return AnySize(visual), attentions


def watched_timm(network):
    """A copy of timm's own vision transformer, and its attentions, layer by layer."""
    network = copy.deepcopy(network)
    attentions = []
    for block in network.blocks:
        own = block.attn
        attention = WatchedAttention(own.qkv.weight, own.qkv.bias, own.proj, own.num_heads)
        attentions.append(attention)
        block.attn = attention
    return network, attentions


@torch.no_grad()
def changes(encode, attentions, score, groups):
    """Change of the scores for each head, one pass each.

    Args:
        encode: The watched encoder.
        attentions: Its attentions.
        score: From the features of all groups to scores, shape (K,).
        groups: Views of an image.

    Returns:
        The scores, and shape (L, H, K).
    """

    def scores():
        return score([encode(group) for group in groups])

    own = scores()
    table = torch.empty(len(attentions), attentions[0].heads, len(own))
    for layer, attention in enumerate(attentions):
        for head in range(attention.heads):
            attention.uniform = head
            table[layer, head] = scores() - own
        attention.uniform = None
    return own, table
