"""Features into a multilayer perceptron."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perceptmetrics.functional.score import signed_log
from perceptmetrics.models.heads.base import Head, HeadMaterial, register_head
from perceptmetrics.spec import MlpHeadSpec
from perceptmetrics.weights.layouts import FileSignature, TrainedWeights, check_shapes, load_strictly
from perceptmetrics.weights.tensor_files import read_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from typing_extensions import Self

    from perceptmetrics.spec import HeadLayout
    from perceptmetrics.spec.heads import Activation

__all__ = ["MlpHead"]

_OWN_PARTS = ("head.", "lora.", "encoder.")
_ACTIVATIONS: dict[Activation, type[nn.Module] | None] = {"relu": nn.ReLU, "gelu": nn.GELU, "none": None}


class MlpHead(Head):
    """Features into a multilayer perceptron.

    Args:
        spec: Sizes, activation, and what is done to the features first.
    """

    spec_class = MlpHeadSpec

    def __init__(self, spec: MlpHeadSpec) -> None:
        super().__init__()
        self.feature_map = spec.feature_map
        self.joined_views = spec.joined_views
        self.standardises = spec.standardise
        self.input_dropout = nn.Dropout(spec.input_dropout)
        if spec.standardise:
            self.register_buffer("feature_mean", torch.zeros(spec.widths[0]))
            self.register_buffer("feature_std", torch.ones(spec.widths[0]))
        activation = _ACTIVATIONS[spec.activation]
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(spec.widths):
            if layers:
                layers += [] if activation is None else [activation()]
                layers += [nn.Dropout(spec.dropout)] if spec.dropout else []
            layers.append(nn.Linear(inputs, outputs))
        self.layers = nn.Sequential(*layers)

    @classmethod
    def build(cls, spec: MlpHeadSpec, material: HeadMaterial) -> Self:
        """See `Head.build`."""
        if material.tensors is None:
            return cls(spec)
        with torch.device("meta"):  # no memory before the shapes have been compared
            head = cls(spec)
        load_strictly(head, material.tensors, material.origin)
        return head

    @classmethod
    def read_published(cls, path: Path, spec: MlpHeadSpec) -> TrainedWeights | None:
        """Read a file of the published layout, for a head that has one."""
        if spec.layout is None:
            return None
        tensors = read_tensors(path)
        if all(name.startswith(_OWN_PARTS) for name in tensors):
            return None
        return _in_own_layout(tensors, spec, spec.layout, str(path))

    @classmethod
    def published_files(cls, spec: MlpHeadSpec, channels: int | None) -> list[FileSignature]:
        """The layout, for a head that has one."""
        if spec.layout is None:
            return []
        names, shapes = _published_names(spec, spec.layout), cls.trained_shapes(spec)
        prefix = spec.layout.encoder_prefix
        return [
            FileSignature(
                what="a head with its encoder" if prefix else "a head",
                shapes={names[own]: shape for own, shape in shapes.items() if own in names},
                others=(prefix,) if prefix else (),
            )
        ]

    @classmethod
    def trained_shapes(cls, spec: MlpHeadSpec) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the state."""
        with torch.device("meta"):
            return {name: tuple(tensor.shape) for name, tensor in cls(spec).state_dict().items()}

    def map_features(self, features: Tensor) -> Tensor:
        """Features with their long tails tamed, or of unit length for each view, where the head was trained so."""
        if self.feature_map == "l2":
            return F.normalize(features.unflatten(-1, (self.joined_views, -1)), dim=-1).flatten(-2)  # type: ignore[no-untyped-call]
        return signed_log(features) if self.feature_map == "signed_log" else features

    @torch.no_grad()
    def for_many(self) -> Callable[[Tensor], Tensor]:
        """Layers without activations are multiplied out: a dot product in place of a million multiplications a row."""
        layers = [layer for layer in self.layers if not isinstance(layer, nn.Dropout)]
        linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
        if self.training or len(linear) < max(2, len(layers)):
            return self
        weight, bias = _collapsed(linear)
        return lambda features: F.linear(self.standardise(features), weight, bias)

    def standardise(self, features: Tensor) -> Tensor:
        """Map features and, where the head was trained so, standardise them.

        Args:
            features: Shape (..., widths[0]).

        Returns:
            Same shape, in the head's precision.
        """
        features = self.map_features(features.to(next(self.layers.parameters()).dtype))
        return (features - self.feature_mean) / self.feature_std if self.standardises else features

    def forward(self, features: Tensor, texts: Tensor | None = None) -> Tensor:
        """Predict.

        Args:
            features: Shape (N, widths[0]).
            texts: Not read.

        Returns:
            Shape (N, widths[-1]).
        """
        outputs: Tensor = self.layers(self.input_dropout(self.standardise(features)))
        return outputs


def _collapsed(layers: list[nn.Linear]) -> tuple[Tensor, Tensor]:
    """Linear layers with nothing between them as one: its weight and bias, multiplied in float64."""
    weight, bias = layers[0].weight.double(), layers[0].bias.double()
    for layer in layers[1:]:
        weight, bias = layer.weight.double() @ weight, layer.weight.double() @ bias + layer.bias.double()
    return weight.to(layers[0].weight), bias.to(layers[0].weight)


def _published_names(spec: MlpHeadSpec, layout: HeadLayout) -> dict[str, str]:
    """Names in a published file by this package's own."""
    own = list(MlpHead.trained_shapes(spec))
    return {
        **dict(zip((name for name in own if name.endswith("weight")), layout.weights, strict=True)),
        **dict(zip((name for name in own if name.endswith("bias")), layout.biases, strict=True)),
    }


def _in_own_layout(tensors: Mapping[str, Tensor], spec: MlpHeadSpec, layout: HeadLayout, origin: str) -> TrainedWeights:
    """The head, and the encoder that may lie beside it, under this package's names."""
    published = _published_names(spec, layout)
    given = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    head = {name: given.pop(theirs) for name, theirs in published.items() if theirs in given}
    head = {name: tensor.reshape(1) if tensor.ndim == 0 else tensor for name, tensor in head.items()}
    prefix = layout.encoder_prefix
    encoder = {} if prefix is None else {name: given.pop(name) for name in list(given) if name.startswith(prefix)}
    check_shapes({**head, **given}, MlpHead.trained_shapes(spec), origin, "its published layout")
    return TrainedWeights(head=head, encoder={name.removeprefix(prefix or ""): encoder[name] for name in encoder})


register_head(MlpHead)
