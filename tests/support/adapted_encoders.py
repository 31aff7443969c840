"""Tiny encoders with adapters that are switched on."""

from __future__ import annotations

import timm
import torch

from perceptmetrics.models.encoders import ClipVisionTransformer
from perceptmetrics.models.lora import Adapter, LoraProjection, attach_lora
from perceptmetrics.spec.encoders import LoraSpec
from tests.support import small_clip
from tests.support.small_clip import VIT


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def switch_on(module, seed=0):
    """Draw the matrices that start at zero."""
    for number, adapter in enumerate(child for child in module.modules() if isinstance(child, Adapter)):
        adapter.up.weight.copy_(0.3 * random(*adapter.up.weight.shape, seed=seed + number))
    return module


def spec_of(targets=("q", "k", "v"), rank=4, alpha=8.0, dropout=0.0):
    return LoraSpec(rank=rank, alpha=alpha, dropout=dropout, targets=targets)


def clip(dropout=0.0, targets=("q", "k", "v")):
    """A tiny encoder with adapters that are switched on."""
    encoder = ClipVisionTransformer(small_clip.build(VIT).visual, "keep")
    paths = attach_lora(encoder, spec_of(targets, dropout=dropout))
    return switch_on(encoder), paths


def timm_vit(seed=0, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return timm.create_model("vit_tiny_patch16_224", pretrained=False, depth=2, num_classes=0, **options).eval()


def with_lora(module, spec=None):
    attach_lora(module, spec or spec_of())
    return module


def matrices_of(module):
    """Name, down and up of every adapter inside."""
    for path, projection in module.named_modules():
        if isinstance(projection, LoraProjection):
            for part, (down, up) in projection.updates().items():
                yield f"{path}.{part}", down, up
