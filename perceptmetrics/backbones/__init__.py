"""Encoders: groups of equally sized, normalised pixels in, one feature vector a picture out."""

from __future__ import annotations

from perceptmetrics.backbones.attention import FusedAttention
from perceptmetrics.backbones.base import Backbone
from perceptmetrics.backbones.build import (
    LoadedBackbone,
    Placement,
    TowerWeights,
    build_backbone,
    build_image_tower,
    feature_size_of,
    image_tower_shapes,
    read_tower_weights,
)
from perceptmetrics.backbones.build_timm import is_any_size_convolutional
from perceptmetrics.backbones.clip_resnet import ClipResNet
from perceptmetrics.backbones.clip_text import TextEncoder
from perceptmetrics.backbones.clip_vit import ClipVisionTransformer
from perceptmetrics.backbones.layout import is_folded, library_state
from perceptmetrics.backbones.timm_pooled import TimmPooled
from perceptmetrics.backbones.timm_stages import TimmStages
from perceptmetrics.backbones.transformer import Transformer, TransformerBlock, transformer_of

__all__ = [
    "Backbone",
    "ClipResNet",
    "ClipVisionTransformer",
    "FusedAttention",
    "LoadedBackbone",
    "Placement",
    "TextEncoder",
    "TimmPooled",
    "TimmStages",
    "TowerWeights",
    "Transformer",
    "TransformerBlock",
    "build_backbone",
    "build_image_tower",
    "feature_size_of",
    "image_tower_shapes",
    "is_any_size_convolutional",
    "is_folded",
    "library_state",
    "read_tower_weights",
    "transformer_of",
]
