"""Published heads at full size: random weights, compared with open_clip's own models and torchvision's transforms."""

from __future__ import annotations

import gc
import itertools

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

from perceptmetrics import create_metric
from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD
from tests.support.full_size_clip import random_vit_clip_state
from tests.support.photographs import photographs

pytestmark = pytest.mark.slow

PROMPTS = ["A photo of an astronaut.", "A cat on a sofa.", "A cup of coffee."]
PLACES = (0, 2, 4, 6, 7)
BICUBIC = Compose(
    [
        Resize(224, interpolation=InterpolationMode.BICUBIC),
        CenterCrop(224),
        ToTensor(),
        Normalize(CLIP_MEAN, CLIP_STD),
    ]
)


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    pixels = photographs(300, 420)[:3].mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(image) for image in np.ascontiguousarray(pixels)]


def features_and_texts(architecture, path, images, *, quick_gelu):
    """Embeddings by open_clip, whose weights are written to a file."""
    state = random_vit_clip_state(architecture, side=224 if architecture == "ViT-B-32" else 98)
    save_file(state, path)
    model = open_clip.CLIP(**open_clip.get_model_config(architecture), quick_gelu=quick_gelu).eval()
    model.load_state_dict(state, assign=True)
    with torch.inference_mode():
        features = model.encode_image(torch.stack([BICUBIC(image) for image in images]))
        texts = model.encode_text(open_clip.get_tokenizer(architecture)(PROMPTS))
    del model, state
    gc.collect()
    return features, texts


def test_laion_aes_and_clip_score_on_vit_l_14(images, tmp_path):
    path, head_path = tmp_path / "clip.safetensors", tmp_path / "head.safetensors"
    features, texts = features_and_texts("ViT-L-14", path, images, quick_gelu=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        widths = (768, 1024, 128, 64, 16, 1)
        layers = [nn.Linear(inputs, outputs) for inputs, outputs in itertools.pairwise(widths)]
    layers[0].weight.data.mul_(100)
    tensors = {
        f"layers.{place}.{kind}": getattr(layer, kind).data
        for place, layer in zip(PLACES, layers, strict=True)
        for kind in ("weight", "bias")
    }
    save_file(tensors, head_path)
    with torch.inference_mode():
        expected = nn.Sequential(*layers)(F.normalize(features, dim=-1))[:, 0]
    metric = create_metric("laion_aes", checkpoint=head_path, backbone_checkpoint=path)
    torch.testing.assert_close(metric.score(images), expected, rtol=0, atol=1e-4)
    assert expected.std() > 1e-3
    del metric
    gc.collect()
    cosines = 100 * F.cosine_similarity(features, texts).clamp(min=0)
    scores = create_metric("clip_score", backbone_checkpoint=path).score(images, PROMPTS)
    torch.testing.assert_close(scores, cosines, rtol=0, atol=1e-3)


def test_pickscore_on_vit_h_14(images, tmp_path):
    path = tmp_path / "clip.safetensors"
    features, texts = features_and_texts("ViT-H-14", path, images, quick_gelu=False)
    expected = 100 * F.cosine_similarity(features, texts)
    scores = create_metric("pickscore", backbone_checkpoint=path).score(images, PROMPTS)
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-3)
    assert expected.std() > 1e-2
