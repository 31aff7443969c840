"""Published layouts of weights, converted to this package's names, and strict loading."""

from __future__ import annotations

from perceptmetrics.weights.layouts.clip import IMAGE_ENCODER, clip_shapes, read_clip, read_image_encoder, weight_file
from perceptmetrics.weights.layouts.perceptclip import (
    is_released_perceptclip,
    read_released_perceptclip,
    released_signature,
)
from perceptmetrics.weights.layouts.prompts import prompt_signatures, read_prompts
from perceptmetrics.weights.layouts.signature import FileSignature, Shapes
from perceptmetrics.weights.layouts.strict import check_shapes, load_strictly
from perceptmetrics.weights.layouts.timm import read_efficientnet_lite0, read_timm
from perceptmetrics.weights.layouts.trained import TrainedWeights, read_trained, write_trained

__all__ = [
    "IMAGE_ENCODER",
    "FileSignature",
    "Shapes",
    "TrainedWeights",
    "check_shapes",
    "clip_shapes",
    "is_released_perceptclip",
    "load_strictly",
    "prompt_signatures",
    "read_clip",
    "read_efficientnet_lite0",
    "read_image_encoder",
    "read_prompts",
    "read_released_perceptclip",
    "read_timm",
    "read_trained",
    "released_signature",
    "weight_file",
    "write_trained",
]
