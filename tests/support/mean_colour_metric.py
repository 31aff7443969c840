"""A metric small enough to compute by hand: mean colour, a linear layer, a score."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from perceptmetrics.metrics.lite import LITE_IQA
from perceptmetrics.models.encoders import Encoder
from perceptmetrics.models.heads import MlpHead
from perceptmetrics.models.metric import Metric
from perceptmetrics.models.views import Views
from perceptmetrics.spec import IdentityMap, MlpHeadSpec, WholeView

WHOLE = WholeView()
MEAN, STD = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)


class MeanColour(Encoder):
    """Four numbers from the mean of each channel, after a dropout that only training mode would show."""

    feature_size = 4
    min_size = 2

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.linear = nn.Linear(3, 4)

    def encode(self, pixels):
        return self.linear(self.dropout(pixels.mean(dim=(-2, -1))))


def tiny_spec(labels=(), views=(WHOLE,), **score):
    return replace(
        LITE_IQA,
        name="tiny",
        views=replace(LITE_IQA.views, views=views, mean=MEAN, std=STD),
        head=MlpHeadSpec(widths=(4, 5, max(1, len(labels))), weights=LITE_IQA.head.weights),
        score=replace(LITE_IQA.score, **{"map": IdentityMap(), "labels": labels} | score),
    )


def tiny_metric(**options):
    """A metric with the same random weights at every call."""
    spec = tiny_spec(**options)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Metric(spec, Views(spec.views), MeanColour(), MlpHead(spec.head))


def by_hand(metric, image):
    """Raw outputs for one whole image (3, H, W), in float64 and without any module of the package."""
    weights = {name: value.double() for name, value in metric.state_dict().items()}
    colour = image.double().mean(dim=(1, 2))
    colour = torch.tensor([(c - m) / s for c, m, s in zip(colour.tolist(), MEAN, STD, strict=True)]).double()
    features = weights["encoder.linear.weight"] @ colour + weights["encoder.linear.bias"]
    hidden = (weights["head.layers.0.weight"] @ features + weights["head.layers.0.bias"]).clamp(min=0)
    return weights["head.layers.2.weight"] @ hidden + weights["head.layers.2.bias"]
