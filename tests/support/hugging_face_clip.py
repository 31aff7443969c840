"""Random CLIPs of transformers, as folders in the layout of the Hub: an implementation of others to compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from perceptmetrics.models.encoders.clip_text import tokenize
from tests.support import small_clip

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor
    from transformers import CLIPModel

LOGIT_SCALE = 37.5


def small_model(activation: str = "quick_gelu", seed: int = 0) -> CLIPModel:
    """A CLIP of the sizes of `small_clip.VIT_224`, with no tensor at zero or one."""
    from transformers import CLIPConfig, CLIPModel

    sizes = {"hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 2, "hidden_act": activation}
    text = sizes | {"num_hidden_layers": 2, "vocab_size": 49408, "max_position_embeddings": 77}
    text |= {"bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407}
    vision = sizes | {"num_hidden_layers": 3, "image_size": 224, "patch_size": 32}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=small_clip.FEATURE_SIZE)
        model = CLIPModel(config).eval().requires_grad_(False)
        small_clip.enliven(model)
        for name, tensor in model.named_parameters():
            if "embedding" in name:
                tensor.data.normal_(0, 1)
        model.logit_scale.data.fill_(torch.tensor(LOGIT_SCALE).log())
    return model


def write(model: CLIPModel, folder: Path) -> Path:
    """Save it as `model.safetensors` in a folder."""
    model.save_pretrained(folder)
    return folder / "model.safetensors"


def features_of(model: CLIPModel, pixels: Tensor) -> Tensor:
    """Projected embeddings of normalised pixels, not scaled to unit length."""
    output = model.get_image_features(pixel_values=pixels)
    return output if isinstance(output, torch.Tensor) else output.pooler_output


def texts_of(model: CLIPModel, texts: Sequence[str]) -> Tensor:
    """Projected embeddings of texts, not scaled to unit length."""
    output = model.get_text_features(input_ids=tokenize(texts, 77))
    return output if isinstance(output, torch.Tensor) else output.pooler_output
