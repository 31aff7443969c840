"""What the encoders that timm builds have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from perceptmetrics.models.encoders.base import Encoder
from perceptmetrics.models.encoders.fold import can_fold, fold_batch_norms

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["TimmEncoder"]


class TimmEncoder(Encoder):
    """A network of timm.

    Batch normalisations are folded where this release knows the convolutions that they follow. Elsewhere they keep
    the statistics that they were trained with, also while the encoder is trained.

    Args:
        network: The network, with its weights.
        convolutional: Whether its weights are best laid out channels last.
    """

    library_prefix = "network."

    def __init__(self, network: nn.Module, *, convolutional: bool) -> None:
        super().__init__()
        self.network = network.eval()
        self.convolutional = convolutional
        if can_fold(network):
            fold_batch_norms(network)
        if convolutional:
            network.to(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode, except for batch normalisations."""
        super().train(mode)
        for module in self.network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - the class of all of them
                module.eval()
        return self

    def _switch_checkpointing(self, wanted: bool) -> None:
        """As timm does it, which has networks that cannot."""
        try:
            self.network.set_grad_checkpointing(wanted)  # type: ignore[operator]
        except (AttributeError, AssertionError):
            super()._switch_checkpointing(wanted)

    def laid_out(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels in the memory format of the weights."""
        return pixels.contiguous(memory_format=torch.channels_last) if self.convolutional else pixels
