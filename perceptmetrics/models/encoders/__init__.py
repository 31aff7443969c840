"""Encoders: groups of equally sized, normalised pixels in, one feature vector an image out."""

from __future__ import annotations

from perceptmetrics.models.encoders.absent import AbsentEncoder
from perceptmetrics.models.encoders.attention import FusedAttention
from perceptmetrics.models.encoders.base import Encoder, EncoderBuilder, register_encoder
from perceptmetrics.models.encoders.build import (
    EncoderWeights,
    ImageAndText,
    Placement,
    build_image_and_text,
    build_image_encoder,
    encoder_shapes,
    feature_size_of,
    load_image_encoder,
    read_encoder_weights,
    text_channels_of,
)
from perceptmetrics.models.encoders.build_clip import ClipBuilder
from perceptmetrics.models.encoders.build_timm import TimmBuilder, is_any_size_convolutional
from perceptmetrics.models.encoders.clip_resnet import ClipResNet
from perceptmetrics.models.encoders.clip_text import TextEncoder
from perceptmetrics.models.encoders.clip_vit import ClipVisionTransformer
from perceptmetrics.models.encoders.layout import is_folded, library_state
from perceptmetrics.models.encoders.timm_networks import TimmBlocks, TimmPooled, TimmStages
from perceptmetrics.models.encoders.transformer import Transformer, TransformerBlock

__all__ = [
    "AbsentEncoder",
    "ClipBuilder",
    "ClipResNet",
    "ClipVisionTransformer",
    "Encoder",
    "EncoderBuilder",
    "EncoderWeights",
    "FusedAttention",
    "ImageAndText",
    "Placement",
    "TextEncoder",
    "TimmBlocks",
    "TimmBuilder",
    "TimmPooled",
    "TimmStages",
    "Transformer",
    "TransformerBlock",
    "build_image_and_text",
    "build_image_encoder",
    "encoder_shapes",
    "feature_size_of",
    "is_any_size_convolutional",
    "is_folded",
    "library_state",
    "load_image_encoder",
    "read_encoder_weights",
    "register_encoder",
    "text_channels_of",
]
