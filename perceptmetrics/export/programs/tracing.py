"""Trace a metric to a program with `torch.export`."""

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

# Shape of the example input; a size at which nothing is resized or cropped would be specialised.
_EXAMPLE = (2, 3, 500, 420)


class _Program(nn.Module):
    """A metric on float32 pixels, without its checks and conversions of input; its weights are those of the program."""

    def __init__(self, metric: Metric) -> None:
        super().__init__()
        self.metric = metric.opened()
        self.size_check = _SizeCheck(metric.encoder.min_size)

    def forward(self, images: Tensor) -> Tensor:
        """Score images of shape (N, 3, H, W): shape (N,) or (N, K), float32."""
        metric = self.metric
        dtype = next(metric.encoder.parameters()).dtype
        # The encoder's check of the size would branch on it.
        groups = metric.views(images)
        features = [metric.encoder.encode(group.to(dtype)).float() for group in groups]
        scores = metric.forward_features(features, images.shape[0])
        for group in groups:
            scores = self.size_check(group, scores)
        return metric.to_output(scores)


class _SizeCheck(nn.Module):
    """Fails where a view is smaller than the encoder can take; a program knows no other way than a wrong index.

    Args:
        least: Smallest height and width.
    """

    def __init__(self, least: int) -> None:
        super().__init__()
        self.least = least

    def forward(self, view: Tensor, scores: Tensor) -> Tensor:
        """Hand the scores on, if the view of shape (N, 3, h, w) is large enough."""
        sides: tuple[int | torch.SymInt, ...] = view.shape[-2:]
        for side in sides:
            if not isinstance(side, int):  # known while tracing, and checked then
                missing = (torch.scalar_tensor(side, dtype=torch.int64) - self.least).clamp(max=0)
                # Index 0 of a single 0; or -2 and below, which does not exist.
                scores = scores + torch.zeros(1).index_select(0, 2 * missing.reshape(1))
        return scores


class _StridedSame(nn.Module):
    """A convolution of stride 2 with TensorFlow's padding, for views of unknown size.

    timm's layer computes the padding from expressions in the size, which grow from layer to layer. Here the size of
    each layer is a new symbol: n = ceil(x / 2), and the padded length is 2 n + kernel - 2.

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
        """Zeros before and after a side; if their number is odd, there is one more after it."""
        before = (kernel - 3) // 2 + length % 2
        padded = 2 * own_symbol((length + 1) // 2) + kernel - 2
        return before, padded - length - before


def check_exportable(metric: Metric) -> None:
    """Check that a metric can be exported as a program.

    Raises:
        InvalidOptionError: The metric is not on the CPU, or is quantised.
    """
    if metric.device.type != "cpu":
        raise InvalidOptionError(
            f"Programs are traced on the CPU, but this metric is on {metric.device}. Create it without device=; the "
            "program runs on any device."
        )
    if any(type(parameter.data) is not Tensor for parameter in metric.parameters()):
        raise InvalidOptionError(
            "A metric that was created with precision='int8' cannot be traced. Create it without precision=, and "
            "choose int8 when you export it as ONNX."
        )


def trace(metric: Metric, size: tuple[int, int] | None) -> ExportedProgram:
    """Trace a metric for any number of images.

    Args:
        metric: The metric, on the CPU. Its LoRA adapters must be merged, see `merged_lora`.
        size: Height and width of the images; None for images of any size.

    Returns:
        The program, from images of shape (N, 3, H, W), RGB float32 in [0, 1], to scores of shape (N,) or (N, K).

    Raises:
        InvalidOptionError: The metric does not accept images of this size, or cannot be traced for images of any size.
    """
    check_exportable(metric)
    example = torch.rand(_EXAMPLE[:2] + (size or _EXAMPLE[2:]), generator=torch.Generator().manual_seed(0))
    any_length = torch.export.Dim.DYNAMIC
    dynamic = {0: any_length} if size is not None else {0: any_length, 2: any_length, 3: any_length}
    if size is not None:
        _check_size(metric, example[:1])
    with evaluating(metric), _sizes_as_symbols(metric.encoder), torch.no_grad():
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
    """Check that the metric accepts images of a size."""
    try:
        with torch.inference_mode():
            metric(example)
    except InvalidImageError as error:
        height, width = example.shape[-2:]
        raise InvalidOptionError(_refusal(metric, (height, width), str(error))) from error


@contextmanager
def merged_lora(metric: Metric) -> Iterator[None]:
    """Merge the adapters of a metric, and restore them afterwards."""
    merged = [module for module in metric.modules() if getattr(module, "merged", False)]
    merge_lora(metric)
    try:
        yield
    finally:
        if not merged:
            unmerge_lora(metric)


@contextmanager
def _sizes_as_symbols(encoder: nn.Module) -> Iterator[None]:
    """Let the strided convolutions of an encoder accept views of unknown size, and restore them afterwards."""
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
    """Whether a layer is a `Conv2dSame` of timm that `_StridedSame` can replace."""
    odd = all(kernel % 2 and kernel > 1 for kernel in layer.kernel_size)
    return type(layer).__name__ == "Conv2dSame" and layer.stride == (2, 2) and layer.dilation == (1, 1) and odd
