"""A timm encoder by the features that it would give to a classifier: DINOv2, MAE and others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.models.encoders.timm_network import TimmEncoder
from perceptmetrics.models.encoders.transformer import TimmTransformer

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["TimmPooled"]

_STRIDE = 32  # of convolutional networks


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
        """Encode pictures; see `Encoder.encode`.

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
