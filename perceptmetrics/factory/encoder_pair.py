"""The image encoder of a metric and the text encoder of its CLIP; no more is built than is asked for.

With the features of all prompts in the cache, the text encoder is neither read nor built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceptmetrics.errors import WeightsError
from perceptmetrics.models.encoders import (
    Encoder,
    EncoderWeights,
    ImageAndText,
    Placement,
    TextEncoder,
    build_image_and_text,
    build_image_encoder,
    load_image_encoder,
)
from perceptmetrics.models.heads import HeadMaterial
from perceptmetrics.models.text_features import TextFeatures, features_of
from perceptmetrics.weights.layouts import weight_file
from perceptmetrics.weights.resolve import file_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from perceptmetrics.spec import EncoderSpec

__all__ = ["EncoderPair", "Material"]

_ANY_SCALE = 100.0  # where there is nothing to read it from, because nothing is computed


class EncoderPair:
    """The image encoder and, where it is asked for, the text encoder that belongs to it.

    Args:
        spec: The image encoder.
        file: Its file, with the text encoder of a CLIP; None for random weights.
        weights: The image encoder's tensors, where they are not those of the file: tuned ones.
        placement: Where the image encoder is wanted, and in which precision.
        seed: Seed of random weights.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        file: Path | None,
        *,
        weights: EncoderWeights | None = None,
        placement: Placement | None = None,
        seed: int = 0,
    ) -> None:
        self._spec, self._file, self._weights = spec, file, weights
        self._placement, self._seed = placement or Placement(), seed
        self._built: ImageAndText | None = None

    def text_encoder(self) -> TextEncoder:
        """The text encoder; the image encoder is built with it.

        Raises:
            InvalidSpecError: The encoder belongs to no CLIP.
            WeightsError: The text encoder is in no file at hand.
        """
        if self._built is None:
            if self._file is None and self._weights is not None:
                raise WeightsError(
                    f"The weights of {self._weights.origin} hold an image encoder, but prompts need the text "
                    "encoder of the same CLIP too. Pass its file as backbone_checkpoint=."
                )
            self._built = build_image_and_text(self._spec, self._file, self._seed, self._placement)
        return self._built.text

    def image_encoder(self) -> Encoder:
        """The image encoder, alone if it can be."""
        if self._built is not None and self._weights is None:
            return self._built.image
        if self._weights is None:
            return load_image_encoder(self._spec, self._file, self._seed, self._placement)
        return build_image_encoder(self._spec, self._weights, self._seed, self._placement)

    @property
    def identity(self) -> str | None:
        """Text that is the same exactly when the text encoder is; None for random weights."""
        if self._file is None:
            return None
        return f"{file_sha256(weight_file(self._file))} {self._spec.architecture} {self._spec.quick_gelu}"


class Material(HeadMaterial):
    """What a head is built from.

    Args:
        encoders: The encoders of the metric.
        tensors: The head's trained tensors; None for a head that starts at random.
        origin: Where they come from, for error messages.
        seed: Seed of what starts at random.
    """

    def __init__(
        self, encoders: EncoderPair, tensors: Mapping[str, Tensor] | None = None, *, origin: str = "", seed: int = 0
    ) -> None:
        self._encoders = encoders
        self.tensors, self.origin, self.seed = tensors, origin, seed

    def text_encoder(self) -> TextEncoder:
        """See `HeadMaterial.text_encoder`."""
        return self._encoders.text_encoder()

    def text_features(
        self, texts: Sequence[str], compute: Callable[[TextEncoder], TextFeatures] | None = None
    ) -> TextFeatures:
        """See `HeadMaterial.text_features`."""

        def computed() -> TextFeatures:
            text = self.text_encoder()
            if compute is not None:
                return compute(text)
            return TextFeatures(text.encode(texts), _ANY_SCALE if text.scale.is_meta else text.logit_scale)

        return features_of(texts, self._encoders.identity, computed)
