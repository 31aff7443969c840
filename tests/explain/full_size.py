"""PerceptCLIP's memorability with random weights at full size, beside a watched copy of open_clip's own encoder."""

from __future__ import annotations

import torch

from perceptmetrics import create_metric
from perceptmetrics.models.encoders import ClipVisionTransformer
from tests.explain.brute_force import watched_clip
from tests.explain.cases import amplify


def random_perceptclip():
    """The metric, the watched encoder, its attentions."""
    import open_clip

    torch.manual_seed(0)
    visual = open_clip.create_model("ViT-L-14-quickgelu", pretrained=None).visual.eval().requires_grad_(False)
    for block in visual.transformer.resblocks:
        block.attn.in_proj_weight.mul_(2)  # heads that look somewhere; of more, 24 layers make a chaos of rounding
    reference, attentions = watched_clip(visual)
    metric = create_metric("perceptclip_mem", weights=None)
    metric.encoder = ClipVisionTransformer(visual, "keep")
    amplify(metric.head)
    return metric, reference, attentions
