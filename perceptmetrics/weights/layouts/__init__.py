"""Published layouts of weights, converted to this package's names, and strict loading."""

from __future__ import annotations

from perceptmetrics.weights.layouts.clip import IMAGE_ENCODER, read_clip, read_image_encoder, weight_file
from perceptmetrics.weights.layouts.perceptclip import is_released_perceptclip, read_released_perceptclip
from perceptmetrics.weights.layouts.prompts import read_prompts
from perceptmetrics.weights.layouts.strict import check_shapes, load_strictly
from perceptmetrics.weights.layouts.timm import read_efficientnet_lite0, read_timm
from perceptmetrics.weights.layouts.trained import TrainedWeights, read_trained, write_trained

__all__ = [
    "IMAGE_ENCODER",
    "TrainedWeights",
    "check_shapes",
    "is_released_perceptclip",
    "load_strictly",
    "read_clip",
    "read_efficientnet_lite0",
    "read_image_encoder",
    "read_prompts",
    "read_released_perceptclip",
    "read_timm",
    "read_trained",
    "weight_file",
    "write_trained",
]
