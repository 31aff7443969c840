"""Encoders: groups of equally sized, normalised pixels in, one feature vector a picture out."""

from __future__ import annotations

from perceptmetrics.models.encoders.attention import FusedAttention
from perceptmetrics.models.encoders.base import Backbone
from perceptmetrics.models.encoders.build import (
    LoadedBackbone,
    Placement,
    TowerWeights,
    build_backbone,
    build_image_tower,
    feature_size_of,
    image_tower_shapes,
    read_tower_weights,
)
from perceptmetrics.models.encoders.build_timm import is_any_size_convolutional
from perceptmetrics.models.encoders.clip_resnet import ClipResNet
from perceptmetrics.models.encoders.clip_text import TextEncoder
from perceptmetrics.models.encoders.clip_vit import ClipVisionTransformer
from perceptmetrics.models.encoders.layout import is_folded, library_state
from perceptmetrics.models.encoders.timm_pooled import TimmPooled
from perceptmetrics.models.encoders.timm_stages import TimmStages
from perceptmetrics.models.encoders.transformer import Transformer, TransformerBlock, transformer_of

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
