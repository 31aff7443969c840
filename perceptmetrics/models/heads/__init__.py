"""From features to raw outputs. To add a kind of head, see `Head` and `register_head`."""

from __future__ import annotations

from perceptmetrics.models.heads.antonym import AntonymHead
from perceptmetrics.models.heads.base import Head, HeadMaterial, register_head
from perceptmetrics.models.heads.cosine import CosineHead, PromptHead
from perceptmetrics.models.heads.feature_pairs import FeaturePairsHead
from perceptmetrics.models.heads.magnitude import MagnitudeHead
from perceptmetrics.models.heads.mlp import MlpHead
from perceptmetrics.models.heads.text_grid import TextGridHead

__all__ = [
    "AntonymHead",
    "CosineHead",
    "FeaturePairsHead",
    "Head",
    "HeadMaterial",
    "MagnitudeHead",
    "MlpHead",
    "PromptHead",
    "TextGridHead",
    "register_head",
]
