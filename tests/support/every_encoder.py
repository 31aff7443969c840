"""Small encoders of every kind with random weights in files of their own, and metrics with a head on them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import timm
import torch
from safetensors.torch import save_file

from perceptmetrics.factory.build import Files, build_metric
from perceptmetrics.metrics.lite import LITE_IQA
from perceptmetrics.models.encoders import Placement
from perceptmetrics.models.encoders.named import encoder_width
from perceptmetrics.spec import CentreCropView, EncoderSpec, HubFile, MlpHeadSpec, TimmEncoderSpec, WholeView
from perceptmetrics.weights.resolve import ResolveOptions
from tests.support import small_clip
from tests.support.small_clip import enliven

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from perceptmetrics import Metric
    from perceptmetrics.spec import EncoderFeatures, LoraSpec, MetricSpec

VIT = "test_vit"
SIDE = 160  # that it was made for
SOMEWHERE = HubFile(repo="timm/none", filename="model.safetensors", revision="main")


def timm_network(architecture: str, seed: int = 0, **options: object) -> nn.Module:
    """timm's own network with a classifier, in eval mode, with no tensor left at zero or one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = timm.create_model(architecture, pretrained=False, **{"num_classes": 7} | options).eval()
        enliven(network)
        with torch.no_grad():
            for name, tensor in network.named_buffers():
                if name.endswith("running_mean"):
                    tensor.normal_(0, 0.3)
                if name.endswith("running_var"):
                    tensor.uniform_(0.5, 1.5)
    return network.requires_grad_(False)


def write(network: nn.Module, path: Path) -> Path:
    """Write a network's file."""
    save_file({name: tensor.clone() for name, tensor in network.state_dict().items()}, path)
    return path


def timm_spec(architecture: str, features: EncoderFeatures, lora: LoraSpec | None = None) -> EncoderSpec:
    return TimmEncoderSpec(
        architecture=architecture,
        quick_gelu=False,
        weights=SOMEWHERE,
        features=features,
        lora=lora,
    )


def with_head(backbone: EncoderSpec, name: str = "tiny", side: int | None = None) -> MetricSpec:
    """A metric with a small head on an encoder; `side` is that of the crop it sees, None for the whole image."""
    head = MlpHeadSpec(widths=(encoder_width(backbone), 8, 1), weights=None, activation="gelu")
    view = WholeView() if side is None else CentreCropView(size=side)
    return replace(LITE_IQA, name=name, encoder=backbone, head=head, views=replace(LITE_IQA.views, views=(view,)))


def assembled(spec: MetricSpec, encoder: Path, seed: int = 0) -> Metric:
    """The metric with its encoder from a file and a random head, as training starts."""
    files = Files(lookup=ResolveOptions(metric=spec.name), random=True, encoder=encoder)
    return build_metric(spec, files, Placement(), seed=seed)


def clip_spec(architecture: str, positional_embedding: str = "interpolate") -> EncoderSpec:
    return replace(small_clip.spec(architecture).encoder, positional_embedding=positional_embedding)
