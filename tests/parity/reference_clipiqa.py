"""CLIP-IQA written straight from the paper on the CLIP implementation that piq carries (OpenAI's own code).

Nothing of perceptmetrics or open_clip takes part in it.
"""

from __future__ import annotations

import torch
from piq.feature_extractors import clip as openai_clip
from torch import Tensor

# Byte-pair codes of CLIP's vocabulary: <start>, "good" or "bad", "photo", ".", <end>.
GOOD_PHOTO = [49406, 886, 1125, 269, 49407]
BAD_PHOTO = [49406, 2103, 1125, 269, 49407]
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def build_reference(state: dict[str, Tensor]) -> openai_clip.CLIP:
    """RN50 CLIP with the given weights."""
    model = openai_clip.CLIP(
        embed_dim=1024,
        image_resolution=224,
        vision_layers=(3, 4, 6, 3),
        vision_width=64,
        vision_patch_size=None,
        context_length=77,
        vocab_size=49408,
        transformer_width=512,
        transformer_heads=8,
        transformer_layers=12,
    )
    model.load_state_dict(state)
    return model.eval().requires_grad_(False)


def reference_score(
    model: openai_clip.CLIP,
    images: Tensor,
    *,
    positional: bool = False,
    mean: tuple[float, ...] = MEAN,
    std: tuple[float, ...] = STD,
    scaled: bool = True,
) -> Tensor:
    """Score (N,) of images (N, 3, H, W) in [0, 1]; the keywords make the mistakes that parity must notice."""
    tokens = torch.zeros(2, 77, dtype=torch.long)
    tokens[0, :5] = torch.tensor(GOOD_PHOTO)
    tokens[1, :5] = torch.tensor(BAD_PHOTO)
    text = model.encode_text(tokens)
    text = text / text.norm(dim=-1, keepdim=True)
    pixels = (images - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    features = model.encode_image(pixels, pos_embedding=positional)
    features = features / features.norm(dim=-1, keepdim=True)
    scale = model.logit_scale.exp() if scaled else 1.0
    return (scale * features @ text.T).softmax(dim=-1)[:, 0]
