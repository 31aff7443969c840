"""From a metric to a traced program (`torch.export`)."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perceptmetrics._util.modules import evaluating
from perceptmetrics.errors import InvalidImageError, InvalidOptionError, first_line
from perceptmetrics.functional.image import own_symbol
from perceptmetrics.models.lora import merge_lora, unmerge_lora

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.export import ExportedProgram

    from perceptmetrics.models.metric import Metric

__all__ = ["INPUT", "OUTPUT", "check_exportable", "merged_lora", "trace"]

INPUT = "images"
OUTPUT = "scores"

# Sizes by which a program is traced; one for which nothing is resized or cropped would be a special case.
_EXAMPLE = (2, 3, 500, 420)


class _Program(nn.Module):
    """A metric on float32 pixels, and nothing of what it does for its users."""

    def __init__(self, metric: Metric) -> None:
        super().__init__()
        self.metric = metric

    def forward(self, images: Tensor) -> Tensor:
        """Score images of shape (N, 3, H, W): shape (N,) or (N, K), float32."""
        metric = self.metric
        dtype = next(metric.backbone.parameters()).dtype
        # The encoder's own check of the size would branch on it.
        features = [metric.backbone.encode(group.to(dtype)).float() for group in metric.views(images)]
        return metric.to_output(metric.score_features(features, images.shape[0]))


class _StridedSame(nn.Module):
    """A convolution of stride 2 that pads as TensorFlow does, for pictures whose size is not known.

    timm's layer computes the padding from formulas of the size, which pile up from layer to layer. Here each layer's
    size is a symbol of its own: n = ceil(x / 2), and what is padded is 2 n + kernel - 2 long.

    Args:
        convolution: timm's layer.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, pixels: Tensor) -> Tensor:
        """Convolve (N, C, H, W): shape (N, C', ceil(H / 2), ceil(W / 2))."""
        layer = self.convolution
        padding = [
            amount
            for length, kernel in zip(pixels.shape[:1:-1], layer.kernel_size[::-1], strict=True)
            for amount in self._padding(length, kernel)
        ]
        return F.conv2d(F.pad(pixels, padding), layer.weight, layer.bias, layer.stride, groups=layer.groups)

    @staticmethod
    def _padding(length: int, kernel: int) -> tuple[int, int]:
        """Zeros before and after a side; of an odd number of them, the larger half after it."""
        before = (kernel - 3) // 2 + length % 2
        padded = 2 * own_symbol((length + 1) // 2) + kernel - 2
        return before, padded - length - before


def check_exportable(metric: Metric) -> None:
    """Check that a metric can become a program.

    Raises:
        InvalidOptionError: It is not on the CPU, or was quantised.
    """
    if metric.device.type != "cpu":
        raise InvalidOptionError(
            f"Programs are traced on the CPU, and this metric is on {metric.device}. Create it without device=; the "
            "program runs anywhere."
        )
    if any(type(parameter.data) is not Tensor for parameter in metric.parameters()):
        raise InvalidOptionError(
            "A metric that was created with precision='int8' cannot be traced. Create it without, and ask for int8 "
            "when you export it as ONNX."
        )


def trace(metric: Metric, size: tuple[int, int] | None) -> ExportedProgram:
    """Trace a metric for any number of images.

    Args:
        metric: The metric, on the CPU. What trains it (LoRA) must be merged, see `merged_lora`.
        size: Height and width of the images; None for images of any size.

    Returns:
        The program, from images of shape (N, 3, H, W), RGB float32 in [0, 1], to scores of shape (N,) or (N, K).

    Raises:
        InvalidOptionError: The metric cannot see images of this size, or cannot be traced for images of any size.
    """
    check_exportable(metric)
    example = torch.rand(_EXAMPLE[:2] + (size or _EXAMPLE[2:]), generator=torch.Generator().manual_seed(0))
    any_length = torch.export.Dim.DYNAMIC
    dynamic = {0: any_length} if size is not None else {0: any_length, 2: any_length, 3: any_length}
    if size is not None:
        _check_size(metric, example[:1])
    with evaluating(metric), _sizes_as_symbols(metric.backbone), torch.no_grad():
        try:
            return torch.export.export(_Program(metric), (example,), dynamic_shapes=({**dynamic},))
        except (RuntimeError, ValueError, TypeError, AttributeError, NotImplementedError) as error:
            reason = str(error) if isinstance(error, InvalidImageError) else first_line(error)
            raise InvalidOptionError(_refusal(metric, size, reason)) from error


def _refusal(metric: Metric, size: tuple[int, int] | None, reason: str) -> str:
    if size is None:
        return (
            f"{metric.metric_name!r} cannot be exported for images of any size: {reason} Fix the size of the images "
            "with --size HEIGHTxWIDTH (size=(height, width))."
        )
    return f"{metric.metric_name!r} cannot be exported for images of {size[0]} x {size[1]} pixels: {reason}"


def _check_size(metric: Metric, example: Tensor) -> None:
    """Check that the metric itself takes images of a size."""
    try:
        with torch.inference_mode():
            metric(example)
    except InvalidImageError as error:
        height, width = example.shape[-2:]
        raise InvalidOptionError(_refusal(metric, (height, width), str(error))) from error


@contextmanager
def merged_lora(metric: Metric) -> Iterator[None]:
    """A metric with its adapters merged; afterwards they are as they were."""
    merged = [module for module in metric.modules() if getattr(module, "merged", False)]
    merge_lora(metric)
    try:
        yield
    finally:
        if not merged:
            unmerge_lora(metric)


@contextmanager
def _sizes_as_symbols(encoder: nn.Module) -> Iterator[None]:
    """An encoder whose strided convolutions take pictures of unknown size; afterwards it is as it was."""
    replaced = [
        (parent, name, layer)
        for parent in encoder.modules()
        for name, layer in parent.named_children()
        if isinstance(layer, nn.Conv2d) and _pads_as_tensorflow(layer)
    ]
    for parent, name, layer in replaced:
        setattr(parent, name, _StridedSame(layer))
    try:
        yield
    finally:
        for parent, name, layer in replaced:
            setattr(parent, name, layer)


def _pads_as_tensorflow(layer: nn.Conv2d) -> bool:
    """Whether a layer is timm's `Conv2dSame`, as `_StridedSame` computes it."""
    odd = all(kernel % 2 and kernel > 1 for kernel in layer.kernel_size)
    return type(layer).__name__ == "Conv2dSame" and layer.stride == (2, 2) and layer.dilation == (1, 1) and odd
