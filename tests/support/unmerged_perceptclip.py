"""PerceptCLIP whose adapters lie beside the encoder's own weights and train."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import nn

from perceptmetrics import Metric, metric_info
from perceptmetrics.factory.tuned_encoder import cached_encoder, read_tuned
from perceptmetrics.models.encoders import EncoderWeights, build_image_encoder
from perceptmetrics.models.heads import MlpHead
from perceptmetrics.models.lora import LoraProjection, attach_lora, load_lora
from perceptmetrics.models.views import Views
from perceptmetrics.weights.layouts import read_image_encoder

__all__ = ["trainable_parameters", "unmerged_metric"]


def unmerged_metric(file: Path, name: str, *, dropout: float | None = None) -> Metric:
    """A metric with its adapters beside the encoder's own weights, all of it frozen.

    Args:
        file: A released file or a slim one, whose encoder is in the cache.
        name: The metric.
        dropout: Of the adapters and of the head; None for the published ones.
    """
    spec = metric_info(name)
    trained = read_tuned(file, spec).trained
    base = cached_encoder(trained.base)
    backbone = build_image_encoder(
        replace(spec.encoder, lora=None), EncoderWeights(read_image_encoder(base), {}, str(base))
    )
    attach_lora(backbone, spec.encoder.lora if dropout is None else replace(spec.encoder.lora, dropout=dropout))
    load_lora(backbone, trained.lora)
    head = MlpHead(spec.head)
    head.load_state_dict(trained.head)
    for layer in head.modules():
        if isinstance(layer, nn.Dropout) and dropout is not None:
            layer.p = dropout
    return Metric(spec, Views(spec.views), backbone, head)


def trainable_parameters(metric: Metric) -> dict[str, nn.Parameter]:
    """Let adapters and head train, nothing else: their parameters by name."""
    metric.requires_grad_(True)  # opens it: single weights of a frozen metric cannot be thawed
    metric.encoder.requires_grad_(False)
    metric.head.requires_grad_(True)
    for module in metric.encoder.modules():
        if isinstance(module, LoraProjection):
            module.adapters.requires_grad_(True)
    metric.train()
    return {name: parameter for name, parameter in metric.named_parameters() if parameter.requires_grad}
