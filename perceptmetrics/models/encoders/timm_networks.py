"""Encoders of timm's networks: by statistics of stages or of blocks, or by the features that a classifier would get."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.models.encoders.base import Encoder, channels_last
from perceptmetrics.models.encoders.fold import can_fold, fold_batch_norms
from perceptmetrics.models.encoders.transformer import TimmTransformer

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["TimmBlocks", "TimmEncoder", "TimmPooled", "TimmStages"]

_STRIDE = 32  # of convolutional networks
_VARIANCE_FLOOR = 1e-6  # keeps the gradient of the standard deviation finite where a channel is constant


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

    def laid_out(self, pixels: Tensor) -> Tensor:
        """Pixels in the memory format of the weights."""
        return channels_last(pixels) if self.convolutional else pixels


class TimmStages(TimmEncoder):
    """Mean and standard deviation over space of every channel of every stage, any size from 32 x 32.

    Args:
        network: timm network built with `features_only=True`, with its weights.
    """

    min_size = _STRIDE

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network, convolutional=True)
        self.feature_size = 2 * sum(network.feature_info.channels())  # type: ignore[union-attr,operator]

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode images: for each stage its C means, then its C standard deviations."""
        _fix_size(pixels)
        statistics = [_mean_and_deviation(stage) for stage in self.network(self.laid_out(pixels))]
        return torch.cat(statistics, dim=-1)


class TimmBlocks(TimmEncoder):
    """Mean and standard deviation over space of every channel of every block, any size from 32 x 32.

    Args:
        network: timm's EfficientNet built with `features_only=True`, with its weights.
    """

    min_size = _STRIDE

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network, convolutional=True)
        channels = [_channels(block) for stage in network.blocks for block in stage]  # type: ignore[union-attr]
        self.feature_size = 2 * sum(channels)

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode images: for each block its C means, then its C standard deviations."""
        _fix_size(pixels)
        shown = self.network.bn1(self.network.conv_stem(self.laid_out(pixels)))  # type: ignore[operator]
        statistics: list[Tensor] = []
        for stage in self.network.blocks:  # type: ignore[union-attr]
            for block in stage:
                shown = checkpoint(block, shown, use_reentrant=False) if self.checkpointing else block(shown)
                statistics.append(_mean_and_deviation(shown))
        return torch.cat(statistics, dim=-1)


def _channels(block: nn.Module) -> int:
    """Channels of a block's output, which are those of its last convolution."""
    *_, last = (module for module in block.modules() if isinstance(module, nn.Conv2d))
    return last.out_channels


def _mean_and_deviation(feature_map: Tensor) -> Tensor:
    """Mean and standard deviation over space of each of C channels: shape (N, 2C)."""
    variance, mean = torch.var_mean(feature_map, dim=(-2, -1), correction=0)
    return torch.cat([mean, (variance + _VARIANCE_FLOOR).sqrt()], dim=-1)


def _fix_size(pixels: Tensor) -> None:
    """Let `torch.compile` compile again for each size of images, in seconds.

    It would otherwise make a program for images of any size, whose padding is a formula of the size that grows with
    every layer: working it out takes more than minutes. Programs that are exported are not compiled here.
    """
    if torch.compiler.is_compiling() and all(isinstance(length, int) for length in pixels.shape):
        for length in pixels.shape[-2:]:
            operator.index(length)  # asks for the number itself, which the compiler guards


class TimmPooled(TimmEncoder):
    """The pooled features of a timm network, just before its classifier.

    A vision transformer that interpolates its positional embedding takes any size from one patch; what is left over at
    the right and bottom edge (fewer pixels than a patch) is not seen. Other transformers take their training size only.

    Args:
        network: timm network built with `num_classes=0`, with its weights.
        convolutional: Whether it is a convolutional network, which takes any size from 32 x 32.
        any_size: Whether a transformer was built with `dynamic_img_size=True`.
    """

    def __init__(self, network: nn.Module, *, convolutional: bool, any_size: bool) -> None:
        super().__init__(network, convolutional=convolutional)
        self.feature_size = int(network.head_hidden_size)  # type: ignore[arg-type]
        self.patch_size = 1
        self.only_size: tuple[int, int] | None = None
        if any_size:
            self.patch_size = int(network.patch_embed.feat_ratio())  # type: ignore[union-attr,operator]
            self.min_size = self.patch_size
        elif convolutional:
            self.min_size = _STRIDE
        else:
            _, height, width = network.default_cfg["input_size"]  # type: ignore[index]
            self.only_size = (int(height), int(width))
            self.min_size = min(self.only_size)

    def transformer(self) -> TimmTransformer:
        """See `Encoder.transformer`."""
        return TimmTransformer(self)

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode images; see `Encoder.encode`.

        Raises:
            InvalidImageError: The network takes another size only.
        """
        height, width = pixels.shape[-2:]
        if self.only_size is not None and self.only_size != (height, width):
            raise InvalidImageError(
                f"This encoder takes images of {self.only_size[0]} x {self.only_size[1]} pixels only, got "
                f"{height} x {width} (height x width). Resize and crop the image."
            )
        whole = pixels[..., : height - height % self.patch_size, : width - width % self.patch_size]
        tokens = self.network.forward_features(self.laid_out(whole))  # type: ignore[operator]
        features: Tensor = self.network.forward_head(tokens, pre_logits=True).flatten(1)  # type: ignore[operator]
        return features
