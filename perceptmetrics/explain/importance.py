"""Measure how much each attention head matters for a metric (PerceptCLIP, section 6).

A head's importance is the mean change of the prediction over images if the row of the class token in its attention is
replaced by a uniform one. If an image has several views, the head is changed in all of them.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from perceptmetrics.errors import InvalidImageError, InvalidOptionError
from perceptmetrics.explain.heads import Head, HeadedEncoder, by_layer, headed_encoder
from perceptmetrics.explain.saliency import check_differentiable
from perceptmetrics.images.decode import decode_ahead
from perceptmetrics.images.given import single_images
from perceptmetrics.images.sources import NamedImage
from perceptmetrics.scoring.results import ScoredImage
from perceptmetrics.scoring.stream import first_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from perceptmetrics.images.load import ImageSource
    from perceptmetrics.models.metric import Metric

    _Look: TypeAlias = Callable[[Tensor, Sequence[Head], Callable[[float], None]], tuple[Tensor, Tensor]]

__all__ = ["HeadImportance", "ImportanceMethod", "head_importance"]

ImportanceMethod = Literal["exact", "gradient", "screened"]

_SCREENED = 8  # one in this many heads is measured exactly: the strongest


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadImportance:
    """Changes of a metric's predictions by its heads, one at a time.

    Attributes:
        metric: Name of the metric.
        method: How the changes were computed.
        labels: Names of the K outputs; empty for a single score.
        shared: Whether the K outputs are probabilities that sum to 1.
        images: Names of the N images.
        failed: Images that could not be read.
        scores: Shape (N, K): the predictions.
        changes: Shape (N, L, H, K): predictions with the head changed, minus `scores`; NaN for heads not measured.
        exact: Shape (L, H): whether the changes of a head are exact rather than estimated.
    """

    metric: str
    method: ImportanceMethod
    labels: tuple[str, ...]
    shared: bool
    images: tuple[str, ...]
    failed: tuple[ScoredImage, ...]
    scores: Tensor
    changes: Tensor
    exact: Tensor

    @property
    def sizes(self) -> Tensor:
        """Shape (N, L, H): magnitude of the changes.

        For a single score, its absolute change; for probabilities that sum to 1, the fraction that moves from some
        labels to others (half the sum of the absolute changes); for other scores, the mean of the absolute changes.
        """
        absolute = self.changes.abs()
        return absolute.sum(dim=-1) / 2 if self.shared else absolute.mean(dim=-1)

    @property
    def importance(self) -> Tensor:
        """Shape (L, H): mean of `sizes` over the images."""
        return self.sizes.mean(dim=0)

    @property
    def signed(self) -> Tensor:
        """Shape (L, H, K): signed mean change. If it is positive, the head's attention lowers the score."""
        return self.changes.mean(dim=0)

    def strongest(self, count: int) -> list[Head]:
        """The `count` most important heads, the most important first."""
        heads = self.importance.shape[1]
        order = self.importance.flatten().nan_to_num(nan=-1.0).argsort(descending=True, stable=True)
        indices = [index for index in order.tolist() if not self.importance.flatten()[index].isnan()]
        return [Head(*divmod(index, heads)) for index in indices[:count]]

    def most_changed(self, heads: Iterable[Head], count: int) -> list[int]:
        """Indices of the `count` images whose predictions these heads change most, the most changed first."""
        sizes = torch.stack([self.sizes[:, head.layer, head.number] for head in heads]).amax(dim=0)
        indices: list[int] = sizes.argsort(descending=True, stable=True).tolist()
        return indices[:count]


def head_importance(
    metric: Metric,
    images: ImageSource | Iterable[ImageSource],
    *,
    method: ImportanceMethod = "exact",
    heads: Sequence[Head] | None = None,
    progress: Callable[[float], None] | None = None,
) -> HeadImportance:
    """Measure how much each attention head of a metric matters.

    Args:
        metric: A metric whose encoder is a vision transformer with a class token, or one of CLIP's ResNets.
        images: See `Metric.score`. Files that cannot be read are left out and named in the result.
        method: `"exact"` computes the change of each head, at the cost of about half a forward pass per head and image.
            `"gradient"` estimates all heads in about five forward passes per image, see `first_order`. `"screened"`
            estimates all heads and then computes the strongest eighth exactly.
        heads: The heads to measure; None for all.
        progress: Called repeatedly with the completed fraction of the work, in [0, 1].

    Returns:
        The changes for each image, and the importance.

    Raises:
        InvalidOptionError: The metric has no such heads, or no gradients where the method needs them.
        InvalidImageError: There is no readable image.

    Examples:
        >>> import torch, perceptmetrics
        >>> metric = perceptmetrics.create_metric("clipiqa", weights=None)  # random weights: RN50
        >>> perceptmetrics.head_importance(metric, torch.rand(2, 3, 64, 64)).importance.shape
        torch.Size([1, 32])
    """
    if method not in get_args(ImportanceMethod):
        raise InvalidOptionError(f"method must be one of {get_args(ImportanceMethod)}, got {method!r}.")
    encoder = headed_encoder(metric)
    chosen = sorted(set(encoder.all_heads() if heads is None else heads))
    encoder.check(chosen)
    if not chosen:
        raise InvalidOptionError("heads= is empty. Leave it out to measure all heads.")
    if method != "exact":
        check_differentiable(metric)
    run = _Run(metric, encoder, list(single_images(images)))
    tell = progress or (lambda _: None)
    if method == "exact":
        return run.measure(method, chosen, run.exact, tell)
    estimated = run.measure(
        method, chosen, run.estimated, lambda fraction: tell(fraction / (1 if method == "gradient" else 8))
    )
    if method == "gradient":
        return estimated
    strongest = sorted(estimated.strongest(math.ceil(len(chosen) / _SCREENED)))
    refined = run.measure(method, strongest, run.exact, lambda fraction: tell((1 + 7 * fraction) / 8))
    changes = torch.where(refined.exact[..., None], refined.changes, estimated.changes)
    return replace(refined, changes=changes)


class _Run:
    """Measurements on the same images."""

    def __init__(self, metric: Metric, encoder: HeadedEncoder, sources: Sequence[ImageSource | NamedImage]) -> None:
        self._metric, self._encoder, self._sources = metric, encoder, sources

    def measure(
        self, method: ImportanceMethod, heads: Sequence[Head], look: _Look, tell: Callable[[float], None]
    ) -> HeadImportance:
        """Measure each image and collect the results."""
        names, failed, scores, changes = [], [], [], []
        count = len(self._sources)
        for index, decoded in enumerate(decode_ahead(self._sources, options=self._metric.decoding)):
            name = _name(decoded.source, index)
            if decoded.pixels is None:
                failed.append(ScoredImage(name, error=str(decoded.error)))
                continue
            with torch.autocast(self._metric.device.type, enabled=False):
                own, changed = look(decoded.pixels[None], heads, partial(_tell_of_image, tell, index, count))
            names.append(name)
            scores.append(own.cpu())
            changes.append(changed.cpu())
            tell((index + 1) / count)
        if not names:
            raise InvalidImageError(f"There is no readable image to explain the metric on.{first_failure(failed)}")
        return HeadImportance(
            metric=self._metric.metric_name,
            method=method,
            labels=self._metric.labels,
            shared=self._metric.spec.score.map.gives_probabilities,
            images=tuple(names),
            failed=tuple(failed),
            scores=torch.stack(scores),
            changes=torch.stack(changes),
            exact=self._mask(heads) & (look == self.exact),
        )

    @torch.no_grad()
    def exact(self, image: Tensor, heads: Sequence[Head], tell: Callable[[float], None]) -> tuple[Tensor, Tensor]:
        """Score an image, and compute the change by each head: shapes (K,) and (L, H, K)."""
        layers = by_layer(heads)
        groups = [group.to(self._dtype) for group in self._metric.views(image)]
        work = sum(self._cost(layer) * len(numbers) for layer, numbers in layers.items()) * sum(map(len, groups))
        done = 0

        def tick(layer: int, count: int) -> None:
            nonlocal done
            done += self._cost(layer) * count
            tell(done / work)

        features, changed = zip(*(self._encoder.changed(group, layers, tick) for group in groups), strict=True)
        own = self._metric.forward_features([_promoted(group) for group in features], 1)[0]
        changes = own.new_full((*self._shape, len(own)), float("nan"))
        changes[self._mask(heads).to(own.device)] = self._rated(changed) - own
        return own, changes

    def estimated(self, image: Tensor, heads: Sequence[Head], _: Callable[[float], None]) -> tuple[Tensor, Tensor]:
        """Score an image, and estimate the change by each head: shapes (K,) and (L, H, K)."""
        with torch.no_grad():
            groups = self._metric.views(image)
            encoded = self._metric.encode(groups)
        features = [group.requires_grad_() for group in encoded]
        rows = self._metric.forward_features(features, 1)[0]
        gradients = [torch.autograd.grad(row, features, retain_graph=True) for row in rows]  # [label][group]
        found = [
            self._encoder.estimated(group.to(self._dtype), torch.stack(own).to(self._dtype))
            for group, own in zip(groups, zip(*gradients, strict=True), strict=True)
        ]
        with torch.no_grad():
            changed = self._rated([features for features, _ in found]) - rows
            changed += torch.stack([added.sum(dim=0) for _, added in found]).sum(dim=0)
        changes = changed.reshape(*self._shape, len(rows))
        return rows.detach(), torch.where(self._mask(heads).to(rows.device)[..., None], changes, float("nan"))

    def _rated(self, changed: Sequence[Tensor]) -> Tensor:
        """Turn features with M heads changed, shapes (V, M, D), into scores, shape (M, K).

        Views by heads become heads by views, as if each head were a separate image.
        """
        by_head = [_promoted(group).transpose(0, 1).flatten(0, 1) for group in changed]
        return self._metric.forward_features(by_head, changed[0].shape[1])

    @property
    def _dtype(self) -> torch.dtype:
        return next(self._metric.encoder.parameters()).dtype

    @property
    def _shape(self) -> tuple[int, int]:
        return self._encoder.num_layers, self._encoder.num_heads

    def _cost(self, layer: int) -> int:
        return self._encoder.num_layers - layer

    def _mask(self, heads: Sequence[Head]) -> Tensor:
        mask = torch.zeros(self._shape, dtype=torch.bool)
        for head in heads:
            mask[head] = True
        return mask


def _tell_of_image(tell: Callable[[float], None], index: int, count: int, fraction: float) -> None:
    """Turn the completed fraction of one image into that of all images."""
    tell((index + fraction) / count)


def _promoted(features: Tensor) -> Tensor:
    """Convert features to at least float32, the precision in which heads receive them."""
    return features.to(torch.promote_types(features.dtype, torch.float32))


def _name(source: ImageSource | NamedImage, index: int) -> str:
    if isinstance(source, NamedImage):
        return source.name
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else f"image {index}"
