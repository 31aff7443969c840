"""Metrics on tiny transformers, each beside a watched copy of its library's own network."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import timm
import torch
from torch import nn

from perceptmetrics import Metric
from perceptmetrics.models.encoders import ClipVisionTransformer, TimmPooled
from perceptmetrics.models.heads import MlpHead
from perceptmetrics.models.views import Views
from perceptmetrics.spec import IdentityMap, TimmEncoderSpec
from tests.explain.brute_force import watched_clip, watched_timm
from tests.support import small_clip
from tests.support.every_encoder import SOMEWHERE, with_head
from tests.support.registered_metrics import build
from tests.support.small_clip import enliven

CLIP_CASES = ("perceptclip_iqa", "perceptclip_mem", "perceptclip_emo", "clipiqa", "clip_uiqa")
TIMM_CASES = ("timm", "registers")


def metric_and_reference(name):
    """A metric, the watched encoder, its attentions. Its scores move visibly when a head changes."""
    if name in TIMM_CASES:
        return _timm(with_registers=name == "registers")
    with tempfile.TemporaryDirectory() as folder:
        small_clip.register(Path(folder))
    architecture = small_clip.VIT_224 if name.startswith("perceptclip") else small_clip.VIT
    model = small_clip.build(architecture)
    with torch.no_grad():
        for block in model.visual.transformer.resblocks:
            block.attn.in_proj_weight.mul_(5)  # heads that look somewhere
    visual, attentions = watched_clip(model.visual)
    metric = _on_vit(name, ClipVisionTransformer(model.visual, "interpolate"))
    return metric, visual, attentions


def _on_vit(name, backbone):
    metric = build(name, **({"crops": 3} if name == "perceptclip_iqa" else {}))
    metric.encoder = backbone.requires_grad_(False)
    amplify(metric.head)
    return metric


def amplify(head):
    """Let the scores depend on the features more than random weights do."""
    layers = [layer for layer in head.modules() if isinstance(layer, nn.Linear)]
    for layer in layers:
        layer.weight.data.mul_(4 if layer is not layers[-1] else 2)


def _timm(*, with_registers):
    options = {"init_values": 0.5, "reg_tokens": 2, "qkv_bias": True} if with_registers else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = timm.create_model(
            "test_vit", pretrained=False, num_classes=0, dynamic_img_size=True, **options
        ).eval()
        enliven(network)
        with torch.no_grad():
            for block in network.blocks:
                block.attn.qkv.weight.mul_(20)
    network.requires_grad_(False)
    reference, attentions = watched_timm(network)
    backbone = TimmPooled(network, convolutional=False, any_size=True)
    encoder = TimmEncoderSpec(architecture="test_vit", quick_gelu=False, weights=SOMEWHERE, features="pooled")
    spec = with_head(encoder)
    spec = replace(spec, score=replace(spec.score, map=IdentityMap(), strict_range=False))
    torch.manual_seed(0)
    metric = Metric(spec, Views(spec.views), backbone, MlpHead(spec.head))
    amplify(metric.head)
    return metric, reference, attentions
