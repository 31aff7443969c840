"""A restoration network of a few numbers, and losses on encoders of every kind to train it with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from perceptmetrics import PerceptualLoss
from tests.support.photographs import photographs
from tests.support.registered_metrics import build

NAMES = ("lite_iqa", "clipiqa", "perceptclip_iqa", "perceptclip_emo")
DISTRIBUTED = ("lite_iqa", "clipiqa", "perceptclip_emo")  # in processes, where each takes its time
SIDE = 48


def made_loss(name: str, **options: object) -> PerceptualLoss:
    """A loss with the same weights at every call; CLIP is a tiny random one."""
    if name == "perceptclip_emo":
        options = {"loss_target": {"contentment": 0.7, "awe": 0.3}} | options
    if name == "perceptclip_iqa":
        options = {"crops": 2} | options
    loss = build(name, as_loss=True, **options)
    assert isinstance(loss, PerceptualLoss)
    return loss


def network() -> nn.Module:
    """Two convolutions around a residual; the same weights at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Residual()


class Residual(nn.Module):
    """Adds a correction to the picture."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 3, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        return images + 0.1 * self.layers(images)


def pictures(count: int = 4) -> Tensor:
    """Photographs, shape (count, 3, 48, 48)."""
    return photographs(SIDE, SIDE)[:count]


def gradients(restorer: nn.Module) -> list[Tensor]:
    """A copy of the gradient of every parameter."""
    found = [parameter.grad.clone() for parameter in restorer.parameters()]
    assert all(gradient.isfinite().all() and gradient.abs().max() > 0 for gradient in found)
    return found
