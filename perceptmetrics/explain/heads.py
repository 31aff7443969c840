"""The attention heads of a metric's encoder: those of a vision transformer, or of a ResNet's attention pool.

A head is named by its layer and its number in that layer, both counted from 0 like the names of weights
(`resblocks.22`): `"22.10"`. The attention pool of CLIP's ResNets is their only layer; its query is the mean of all
tokens, which serves as the class token.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

import torch

from perceptmetrics.errors import InvalidOptionError, first_line
from perceptmetrics.explain.first_order import first_order_changes
from perceptmetrics.explain.interventions import block_inputs, changed_features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from perceptmetrics.models.encoders import ClipResNet, Encoder, Transformer
    from perceptmetrics.models.metric import Metric

__all__ = ["Head", "HeadedEncoder", "by_layer", "headed_encoder", "parse_heads", "read_heads"]

_NAME = re.compile(r"(\d+)\.(\d+)")
_ON_ACCELERATOR = 64  # views per block call where no processor cache limits them


class Head(NamedTuple):
    """An attention head: its layer and its number in that layer, both counted from 0."""

    layer: int
    number: int

    def __str__(self) -> str:
        return f"{self.layer}.{self.number}"


class HeadedEncoder(ABC):
    """An encoder whose features come from a token that attends to all others, with L layers of H heads.

    Attributes:
        num_layers: L.
        num_heads: H.
        prefix: Number of tokens before the patch tokens.
    """

    num_layers: int
    num_heads: int
    prefix: int

    @abstractmethod
    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the patch tokens of a view of this size in pixels."""

    @abstractmethod
    def seen(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in pixels, from the top left corner, that the patch tokens cover."""

    @abstractmethod
    def attention(self, pixels: Tensor, heads: Sequence[Head]) -> Tensor:
        """Rows of the class token in the attention of M heads.

        Args:
            pixels: Shape (N, 3, h, w), normalised.
            heads: The heads.

        Returns:
            Shape (N, M, T): each row sums to 1; the first `prefix` entries are not patches.
        """

    @abstractmethod
    def changed(
        self, pixels: Tensor, heads: Mapping[int, Sequence[int]], tick: Callable[[int, int], None]
    ) -> tuple[Tensor, Tensor]:
        """Compute the features, and the features with the attention of one head at a time made uniform.

        Args:
            pixels: Shape (N, 3, h, w), normalised.
            heads: Numbers of M heads by layer.
            tick: Called repeatedly with a layer and the number of (view, head) pairs completed in it.

        Returns:
            Shapes (N, D) and (N, M, D).
        """

    @abstractmethod
    def estimated(self, pixels: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate the effect of making a head's attention uniform, partly to first order.

        Args:
            pixels: Shape (N, 3, h, w), normalised.
            gradients: Shape (K, N, D): gradients of K predictions with respect to the features.

        Returns:
            Features, shape (N, L * H, D), with the heads in order; and corrections to add to the predictions from these
            features, shape (N, L * H, K).
        """

    def all_heads(self) -> list[Head]:
        """Every head, layer by layer."""
        return [Head(layer, number) for layer in range(self.num_layers) for number in range(self.num_heads)]

    def check(self, heads: Iterable[Head]) -> None:
        """Refuse heads that the encoder does not have.

        Raises:
            InvalidOptionError: A head does not exist.
        """
        for head in heads:
            if head.layer >= self.num_layers or head.number >= self.num_heads:
                raise InvalidOptionError(
                    f"There is no head {head}: the encoder has layers 0 to {self.num_layers - 1} with heads 0 to "
                    f"{self.num_heads - 1}. Write a head as LAYER.HEAD, both counted from 0."
                )


def parse_heads(text: str) -> list[Head]:
    """Parse heads such as `"22.10,23.4"`.

    Raises:
        InvalidOptionError: The text has another form.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    matches = [_NAME.fullmatch(name) for name in names]
    if not names or not all(matches):
        raise InvalidOptionError(f"Expected heads as LAYER.HEAD,LAYER.HEAD,... such as '22.10,23.4', got {text!r}.")
    return list(dict.fromkeys(Head(int(match[1]), int(match[2])) for match in matches if match))


def read_heads(path: Path) -> list[Head]:
    """Read the heads from a file that `perceptmetrics heads` wrote, the most important first.

    Raises:
        InvalidOptionError: The file is missing or of another kind.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["heads"]
        heads = [(Head(int(row["layer"]), int(row["head"])), float(row["importance"])) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidOptionError(
            f"Expected the .json that `perceptmetrics heads` writes, got {str(path)!r}: {first_line(error)}."
        ) from error
    return [head for head, _ in sorted(heads, key=lambda row: -row[1])]


def by_layer(heads: Iterable[Head]) -> dict[int, list[int]]:
    """Group heads by layer, in order."""
    layers: dict[int, list[int]] = {}
    for head in sorted(heads):
        layers.setdefault(head.layer, []).append(head.number)
    return layers


def headed_encoder(metric: Metric, encoder: Encoder | None = None) -> HeadedEncoder:
    """Give access to the attention heads of a metric's encoder.

    Args:
        metric: The metric.
        encoder: Another encoder of the same architecture; None for the metric's own.

    Raises:
        InvalidOptionError: The encoder has no attention heads, or none that are supported.
    """
    encoder = metric.encoder if encoder is None else encoder
    if encoder.attention_pool is not None:
        return _PoolHeads(cast("ClipResNet", encoder))
    try:
        return _TransformerHeads(encoder, encoder.transformer())
    except InvalidOptionError as error:
        raise InvalidOptionError(
            f"{metric.metric_name!r} has no attention heads to explain. {error} Saliency explains any metric, and "
            "crops explain metrics with several views of an image."
        ) from error


class _TransformerHeads(HeadedEncoder):
    def __init__(self, encoder: Encoder, transformer: Transformer) -> None:
        self._encoder, self._transformer = encoder, transformer
        self.num_layers = len(transformer.blocks)
        self.num_heads = transformer.blocks[0].num_heads
        self.prefix = transformer.prefix

    def grid(self, height: int, width: int) -> tuple[int, int]:
        return self._transformer.grid(height, width)

    def seen(self, height: int, width: int) -> tuple[int, int]:
        rows, columns = self.grid(height, width)
        return rows * self._transformer.patch_size, columns * self._transformer.patch_size

    @torch.no_grad()
    def attention(self, pixels: Tensor, heads: Sequence[Head]) -> Tensor:
        rows: dict[Head, list[Tensor]] = {head: [] for head in heads}
        for some in torch.split(pixels, self._part(pixels)):
            inputs = block_inputs(self._transformer, some)
            for layer, numbers in by_layer(heads).items():
                query, key, _ = self._transformer.blocks[layer].project(inputs[layer])
                logits = query[:, numbers, :1] @ key[:, numbers].mT * query.shape[-1] ** -0.5
                for number, row in zip(numbers, logits.softmax(dim=-1)[:, :, 0].unbind(1), strict=True):
                    rows[Head(layer, number)].append(row)
        return torch.stack([torch.cat(rows[head]) for head in heads], dim=1)

    @torch.no_grad()
    def changed(
        self, pixels: Tensor, heads: Mapping[int, Sequence[int]], tick: Callable[[int, int], None]
    ) -> tuple[Tensor, Tensor]:
        own, others = [], []
        part = self._part(pixels)
        for some in torch.split(pixels, max(1, part // self.num_heads)):
            inputs = block_inputs(self._transformer, some)
            class_token = self._transformer.blocks[-1].through(inputs[-1], queries=1)[:, 0]
            own.append(self._transformer.read(class_token))
            tick_all = partial(_tick_views, tick, len(some))
            others.append(changed_features(self._transformer, inputs, heads, part, tick_all))
        return torch.cat(own), torch.cat(others)

    def estimated(self, pixels: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
        part = max(1, self._part(pixels) // len(gradients))  # gradients are kept for all blocks
        parts = zip(torch.split(pixels, part), torch.split(gradients, part, dim=1), strict=True)
        features, added = zip(*(first_order_changes(self._transformer, some, own) for some, own in parts), strict=True)
        return torch.cat(features), torch.cat(added)

    def _part(self, pixels: Tensor) -> int:
        """Number of views per block call."""
        if pixels.device.type != "cpu":
            return _ON_ACCELERATOR
        return self._encoder.cache_sized_part(*pixels.shape[-2:])


def _tick_views(tick: Callable[[int, int], None], views: int, layer: int, heads: int) -> None:
    """Count heads of several views."""
    tick(layer, views * heads)


class _PoolHeads(HeadedEncoder):
    num_layers = 1
    prefix = 1

    def __init__(self, encoder: ClipResNet) -> None:
        self._encoder = encoder
        self.num_heads = encoder.pool.num_heads

    def grid(self, height: int, width: int) -> tuple[int, int]:
        return height // self._encoder.min_size, width // self._encoder.min_size

    def seen(self, height: int, width: int) -> tuple[int, int]:
        rows, columns = self.grid(height, width)
        return rows * self._encoder.min_size, columns * self._encoder.min_size

    @torch.no_grad()
    def attention(self, pixels: Tensor, heads: Sequence[Head]) -> Tensor:
        pool = self._encoder.pool
        attention = pool.attention(pool.tokens(self._encoder.feature_map(pixels)))
        return attention[:, [head.number for head in heads]]

    @torch.no_grad()
    def changed(
        self, pixels: Tensor, heads: Mapping[int, Sequence[int]], tick: Callable[[int, int], None]
    ) -> tuple[Tensor, Tensor]:
        pool = self._encoder.pool
        tokens = pool.tokens(self._encoder.feature_map(pixels))
        attention = pool.attention(tokens)
        features = []
        for number in heads.get(0, ()):
            uniform = attention.clone()
            uniform[:, number] = 1 / attention.shape[-1]
            features.append(pool.mix(tokens, uniform))
            tick(0, len(pixels))
        return pool.mix(tokens, attention), torch.stack(features, dim=1)

    def estimated(self, pixels: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the exact effect, since nothing follows the pool."""
        _, changed = self.changed(pixels, {0: range(self.num_heads)}, lambda _layer, _done: None)
        return changed, changed.new_zeros(len(pixels), self.num_heads, len(gradients))
