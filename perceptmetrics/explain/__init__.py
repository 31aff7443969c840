"""Explain scores by attention heads, saliency and views; knows nothing of pages, plots and files."""

from __future__ import annotations

from perceptmetrics.explain.attention import AttentionMap, attention_maps
from perceptmetrics.explain.crops import ViewScore, ViewScores, view_scores
from perceptmetrics.explain.explanations import METHODS, ExplainMethod, explain_images
from perceptmetrics.explain.heads import Head, HeadedEncoder, headed_encoder, parse_heads, read_heads
from perceptmetrics.explain.importance import HeadImportance, ImportanceMethod, head_importance
from perceptmetrics.explain.results import ExplainedHead, ExplainedImage, Explanations
from perceptmetrics.explain.saliency import Saliency, SaliencyMethod, saliency_map
from perceptmetrics.factory.create import create_pretrained_encoder

__all__ = [
    "METHODS",
    "AttentionMap",
    "ExplainMethod",
    "ExplainedHead",
    "ExplainedImage",
    "Explanations",
    "Head",
    "HeadImportance",
    "HeadedEncoder",
    "ImportanceMethod",
    "Saliency",
    "SaliencyMethod",
    "ViewScore",
    "ViewScores",
    "attention_maps",
    "create_pretrained_encoder",
    "explain_images",
    "head_importance",
    "headed_encoder",
    "parse_heads",
    "read_heads",
    "saliency_map",
    "view_scores",
]
