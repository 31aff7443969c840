"""Convolutional networks strip by strip: the feature map of the whole image in the memory of a part of it.

An image is cut across its longer side, and each strip passes through all layers before the next one begins. A layer
with a window (a convolution, a pool) keeps the few rows that its next windows need, so no row is computed twice and
none differs from that of the whole image, except by rounding. Only the last feature map is held whole.

With gradients, each strip is a segment of activation checkpointing: what is stored is what the layers keep between
strips, and the activations of a single strip exist at a time.

This module knows how layers combine, not what the network is for. "Rows" are those along the side that is cut.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
import torch.nn.functional as F
from open_clip.modified_resnet import Bottleneck, ModifiedResNet
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["StripSizes", "map_in_strips"]

_ROWS, _COLUMNS = 2, 3

# Layers of open_clip's modules in the order in which they compute.
_BRANCH = "conv1 bn1 act1 conv2 bn2 act2 avgpool conv3 bn3"
_NETWORK = "conv1 bn1 act1 conv2 bn2 act2 conv3 bn3 act3 avgpool layer1 layer2 layer3 layer4 attnpool"


class StripSizes(NamedTuple):
    """When images are cut into strips, and how large those are, in pixels, height times width.

    Attributes:
        whole: The largest image that is not cut.
        strip: A strip: about as many pixels as a processor's caches like best. With gradients, a larger one needs more
            memory for its activations, and a smaller one more for what the layers keep between strips.
    """

    whole: int
    strip: int

    def rows(self, height: int, width: int, stride: int) -> int | None:
        """Rows of a strip of such an image, a multiple of the network's stride; None for an image that is not cut."""
        if height * width <= self.whole:
            return None
        return stride * max(1, self.strip // (stride * min(height, width)))


def map_in_strips(network: nn.Module, pixels: Tensor, rows: int) -> Tensor | None:
    """Compute a feature map strip by strip.

    Args:
        network: A ModifiedResNet without its attention pool, or a sequence of layers that such a network consists of.
        pixels: Shape (N, 3, H, W), normalised.
        rows: Rows, or columns, of a strip.

    Returns:
        What `network(pixels)` returns, shape (N, C, h, w), up to rounding; None if the network has layers of other
        kinds, or hooks, which must see whole feature maps.
    """
    side = _ROWS if pixels.shape[_ROWS] >= pixels.shape[_COLUMNS] else _COLUMNS
    if any(_has_hooks(module) for module in network.modules()):
        return None
    try:
        stream = _stream_of(network, side)
    except _UnknownLayerError:
        return None
    layers = list(stream.keeping())
    strips = torch.split(pixels, rows, dim=side)  # one operation, so that their gradients are put together once
    kept: Sequence[Tensor | None] = [None] * len(layers)
    found: list[Tensor] = []
    for number, strip in enumerate(strips):
        step = partial(_step, stream, layers, number == len(strips) - 1)
        if torch.is_grad_enabled():
            mapped, *kept = checkpoint(step, strip, *kept, use_reentrant=False)
        else:
            mapped, *kept = step(strip, *kept)
        if mapped is not None:
            found.append(mapped)
    return torch.cat(found, dim=side)


def _has_hooks(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)  # noqa: SLF001


def _step(
    stream: _Stream, layers: Sequence[_Keeping], last: bool, strip: Tensor, *kept: Tensor | None
) -> tuple[Tensor | None, ...]:
    """Pass one strip through all layers: from what they kept to what is mapped, and to what they keep now."""
    for layer, rows in zip(layers, kept, strict=True):
        layer.kept = rows
    mapped = stream.push(strip.contiguous(memory_format=torch.channels_last), last)
    return mapped, *(layer.kept for layer in layers)


class _Stream(ABC):
    """A layer that takes and gives rows as they come. Which ones it gives does not depend on how they are cut."""

    @abstractmethod
    def push(self, rows: Tensor | None, last: bool) -> Tensor | None:
        """Take the next rows, shape (N, C, h, w), or None for none yet; give those that are complete now.

        Args:
            rows: The rows.
            last: Whether no more will come.
        """

    def keeping(self) -> Iterator[_Keeping]:
        """The layers, of those that it consists of, that keep rows."""
        yield from ()


class _Pointwise(_Stream):
    """A layer whose outputs each see one pixel."""

    def __init__(self, layer: Callable[[Tensor], Tensor]) -> None:
        self._layer = layer

    def push(self, rows: Tensor | None, last: bool) -> Tensor | None:
        return None if rows is None else self._layer(rows)


class _Keeping(_Stream):
    """A layer that keeps rows."""

    def __init__(self, side: int) -> None:
        self.kept: Tensor | None = None
        self._side = side

    def keeping(self) -> Iterator[_Keeping]:
        yield self

    def _joined(self, *parts: Tensor) -> Tensor | None:
        """Rows after rows; None for no part."""
        if len(parts) < 2:
            return parts[0] if parts else None
        return torch.cat(parts, dim=self._side)

    def _keep(self, rows: Tensor, first: int) -> None:
        """Keep rows from one on, as a copy: a part of a tensor would hold all of it in memory."""
        count = rows.shape[self._side] - first
        tail = rows.narrow(self._side, first, count) if count > 0 else None
        self.kept = None if tail is None else tail.clone(memory_format=torch.channels_last)


class _Window(_Keeping):
    """A layer whose outputs each see a window, padded with zeros.

    Args:
        layer: The layer without padding along the side that is cut.
        window: Height of the window, stride and padding, along that side. A window that is padded is higher than its
            stride, so that something is kept from the first row on.
        side: The side.
    """

    def __init__(self, layer: Callable[[Tensor], Tensor], window: tuple[int, int, int], side: int) -> None:
        super().__init__(side)
        self._layer = layer
        self._height, self._stride, self._padding = window

    def push(self, rows: Tensor | None, last: bool) -> Tensor | None:
        joined = self._joined(*self._padded(rows, last))
        if joined is None:
            return None
        count = (joined.shape[self._side] - self._height) // self._stride + 1
        if count < 1:
            self.kept = joined
            return None
        mapped = self._layer(joined.narrow(self._side, 0, (count - 1) * self._stride + self._height))
        self._keep(joined, count * self._stride)
        return mapped

    def _padded(self, rows: Tensor | None, last: bool) -> list[Tensor]:
        """What was kept, what came, and the padding before the first row and after the last."""
        parts = [part for part in (self.kept, rows) if part is not None]
        if not parts or not self._padding:
            return parts
        shape = list(parts[0].shape)
        shape[self._side] = self._padding
        padding = parts[0].new_zeros(shape).contiguous(memory_format=torch.channels_last)
        return [padding] * (self.kept is None) + parts + [padding] * last


class _Chain(_Stream):
    """Layers one after the other."""

    def __init__(self, streams: Sequence[_Stream]) -> None:
        self._streams = streams

    def push(self, rows: Tensor | None, last: bool) -> Tensor | None:
        for stream in self._streams:
            rows = stream.push(rows, last)
        return rows

    def keeping(self) -> Iterator[_Keeping]:
        for stream in self._streams:
            yield from stream.keeping()


class _Residual(_Keeping):
    """A branch that is added to what it branches off, or to a shortcut; the one that is ahead waits."""

    def __init__(self, branch: _Stream, shortcut: _Stream, after: Callable[[Tensor], Tensor], side: int) -> None:
        super().__init__(side)
        self._branch, self._shortcut, self._after = branch, shortcut, after

    def push(self, rows: Tensor | None, last: bool) -> Tensor | None:
        mapped = self._branch.push(rows, last)
        short = self._shortcut.push(rows, last)
        waiting = self._joined(*[part for part in (self.kept, short) if part is not None])
        if mapped is None or waiting is None:
            self.kept = waiting
            return None
        count = mapped.shape[self._side]
        mapped += waiting.narrow(self._side, 0, count)
        self._keep(waiting, count)
        return self._after(mapped)

    def keeping(self) -> Iterator[_Keeping]:
        yield self
        yield from self._branch.keeping()
        yield from self._shortcut.keeping()


class _UnknownLayerError(Exception):
    """A layer that cannot be computed row by row, or of which that is not known."""


def _stream_of(layer: nn.Module, side: int) -> _Stream:
    """A layer as a stream. Types are compared exactly: a subclass may compute something else.

    Raises:
        _UnknownLayerError: It is of another kind than those of a ModifiedResNet.
    """
    kind = type(layer)
    if kind in (nn.ReLU, nn.Identity):
        return _Pointwise(layer)
    if kind is nn.Conv2d:
        return _convolution(cast("nn.Conv2d", layer), side)
    if kind is nn.AvgPool2d:
        return _pool(cast("nn.AvgPool2d", layer), side)
    if kind is nn.Sequential:
        return _Chain([_stream_of(part, side) for part in layer.children()])
    if kind is Bottleneck:
        shortcut = getattr(layer, "downsample", None) or nn.Identity()
        return _Residual(_named(layer, _BRANCH, side), _stream_of(shortcut, side), cast("nn.ReLU", layer.act3), side)
    if kind is ModifiedResNet:
        return _named(layer, _NETWORK, side)
    raise _UnknownLayerError(kind)


def _named(network: nn.Module, names: str, side: int) -> _Chain:
    return _Chain([_stream_of(network.get_submodule(name), side) for name in names.split()])


def _convolution(conv: nn.Conv2d, side: int) -> _Stream:
    along = side - _ROWS
    height, stride, padding = conv.kernel_size[along], conv.stride[along], conv.padding
    if conv.padding_mode != "zeros" or isinstance(padding, str) or conv.dilation != (1, 1):
        raise _UnknownLayerError(conv)
    if conv.kernel_size == conv.stride == (1, 1) and padding == (0, 0):
        return _Pointwise(conv)
    if height < stride or (padding[along] and height == stride):
        raise _UnknownLayerError(conv)
    across = (0, padding[1]) if side == _ROWS else (padding[0], 0)

    def convolve(rows: Tensor) -> Tensor:
        return F.conv2d(rows, conv.weight, conv.bias, conv.stride, across, groups=conv.groups)

    return _Window(convolve, (height, stride, padding[along]), side)


def _pool(pool: nn.AvgPool2d, side: int) -> _Stream:
    height, stride, padding = (
        setting if isinstance(setting, int) else setting[side - _ROWS]
        for setting in (pool.kernel_size, pool.stride, pool.padding)
    )
    if padding or pool.ceil_mode or height < stride:
        raise _UnknownLayerError(pool)
    return _Pointwise(pool) if height == stride == 1 else _Window(pool, (height, stride, 0), side)
