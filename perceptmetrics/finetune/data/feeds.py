"""Sources of samples: images that are read and augmented, or features that a frozen encoder computed once.

    pixels (3, H, W) uint8 --prepare, always the same--> pixels --draw, from a seed--> one tensor for each view

Without augmentation, an image goes through the metric's own views, so that training sees what scoring sees. Features
are cached on disk, so that a head trains in seconds: for each image those of the metric's own views, and of the mirror
images that the recipe allows. Where scoring uses several crops, training draws one of them.
"""

from __future__ import annotations

import hashlib
import json
import logging
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import torch

from perceptmetrics._util.threads import run_ahead
from perceptmetrics.errors import DatasetError, InvalidImageError
from perceptmetrics.images.decode import default_workers
from perceptmetrics.images.load import load_pixels
from perceptmetrics.images.options import current_decoding
from perceptmetrics.models.views import Variation
from perceptmetrics.spec.plain import to_plain
from perceptmetrics.weights.cached_tensors import keep_tensors, recall_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeVar

    from torch import Tensor

    from perceptmetrics.datasets import ImageItem, LabelledImages
    from perceptmetrics.finetune.data.batches import Draw
    from perceptmetrics.finetune.processes import Processes
    from perceptmetrics.finetune.recipe import AugmentationRecipe
    from perceptmetrics.models.metric import Metric
    from perceptmetrics.models.views import Views

    T = TypeVar("T")

__all__ = [
    "FeatureFeed",
    "Feed",
    "PixelFeed",
    "Sample",
    "TrainingViews",
    "can_cache_features",
    "draw_flip",
    "in_order",
    "possible_flips",
    "read_image",
]

Sample: TypeAlias = "list[Tensor]"
"""One image as the model sees it: for each view, pixels of shape (V, 3, h, w), or features of shape (V, D)."""

_log = logging.getLogger(__name__)

_BATCHES_AHEAD = 2
_CHUNK = 64  # images in a file of the cache


class TrainingViews:
    """Applies views and augmentation to images.

    Args:
        views: The metric's views.
        recipe: The augmentation.
    """

    def __init__(self, views: Views, recipe: AugmentationRecipe) -> None:
        self.views = views
        self._recipe = recipe
        self._variation = Variation(recipe.random_crop, recipe.random_resized_crop, recipe.random_fragments)

    def prepare(self, pixels: Tensor) -> Tensor:
        """Apply what is the same for every sample of an image, so that the result can be kept in memory."""
        return pixels if self.views.only is None else self.views.only.prepare(pixels)

    def fixed(self, prepared: Tensor) -> Sample:
        """The metric's own views: shapes (V, 3, h, w)."""
        shown: Sample = self.views(prepared[None])
        return shown

    def draw(self, prepared: Tensor, seed: Sequence[int]) -> Sample:
        """Augmented views, drawn from a seed: shapes (V, 3, h, w). Of several views, only fragments are drawn."""
        rng = np.random.default_rng(list(seed))
        flip = draw_flip(self._recipe, rng)
        pixels = prepared.flip(flip) if flip else prepared
        normalization = self.views.normalization
        if self.views.only is not None:
            return [self.views.only.draw(pixels, normalization, self._variation, rng)]
        drawn = ["random_fragments" in view.spec.variations for view in self.views.views]
        return [
            view.draw(pixels, normalization, self._variation, rng) if vary else view.show(pixels[None], normalization)
            for view, vary in zip(self.views.views, drawn, strict=True)
        ]


def possible_flips(recipe: AugmentationRecipe) -> list[tuple[int, ...]]:
    """All flips that a recipe allows, each as the dimensions that are flipped; the first is no flip."""
    horizontal = [(), (-1,)] if recipe.horizontal_flip else [()]
    vertical = [(), (-2,)] if recipe.vertical_flip else [()]
    return [(*one, *other) for other in vertical for one in horizontal]


def draw_flip(recipe: AugmentationRecipe, rng: np.random.Generator) -> tuple[int, ...]:
    """Draw one of the `possible_flips`, each with equal probability."""
    horizontal, vertical = rng.random(2) < 0.5
    return (-1,) * bool(recipe.horizontal_flip and horizontal) + (-2,) * bool(recipe.vertical_flip and vertical)


class Feed(Protocol):
    """Source of the samples of a data set."""

    encoded: bool
    """Whether samples are features instead of pixels."""

    def training_sample(self, draw: Draw) -> Sample:
        """An image as training shows it."""

    def scoring_sample(self, index: int) -> Sample:
        """An image as scoring shows it."""


class PixelFeed:
    """Reads images, and keeps them in memory as long as there is room.

    Args:
        dataset: The images.
        views: How they are shown.
        max_bytes: Size of the images that may be kept in memory.
    """

    encoded = False

    def __init__(self, dataset: LabelledImages, views: TrainingViews, max_bytes: int) -> None:
        self._dataset = dataset
        self._views = views
        self._free_bytes = max_bytes
        self._kept: dict[int, Tensor] = {}
        self._lock = Lock()

    def training_sample(self, draw: Draw) -> Sample:
        """See `Feed`."""
        return self._views.draw(self._prepared(draw.index), draw.seed)

    def scoring_sample(self, index: int) -> Sample:
        """See `Feed`."""
        return self._views.fixed(self._prepared(index))

    def _prepared(self, index: int) -> Tensor:
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        pixels = self._views.prepare(read_image(self._dataset, index))
        with self._lock:
            if index not in self._kept and pixels.nbytes <= self._free_bytes:
                self._free_bytes -= pixels.nbytes
                self._kept[index] = pixels
        return pixels


def read_image(dataset: LabelledImages, index: int) -> Tensor:
    """Read an image of a data set: shape (3, H, W), uint8, or float32 in [0, 1] if the file has more than 8 bits.

    Raises:
        DatasetError: It cannot be read; the message names data set and image.
    """
    item: ImageItem = dataset.images[index]
    try:
        return load_pixels(item) if isinstance(item, Path) else item.render()
    except InvalidImageError as error:
        raise DatasetError(f"{dataset.name}: cannot use the image {dataset.names[index]!r}: {error}") from error


def in_order(tasks: Iterable[Sequence[Callable[[], T]]], *, threads: bool = True) -> Iterator[list[T]]:
    """Run the tasks of each batch and yield their results in order, with `threads` a few batches ahead."""
    workers = default_workers() if threads else 0
    return run_ahead(tasks, workers=workers, ahead=_BATCHES_AHEAD, name="perceptmetrics-feed")


def can_cache_features(recipe: AugmentationRecipe) -> bool:
    """Whether an image has so few variants that all of them can be encoded in advance."""
    return not recipe.random_resized_crop and recipe.random_crop is None and not recipe.random_fragments


class FeatureFeed:
    """Reads features from the cache, after computing those that are missing; see `Feed`.

    Args:
        dataset: The images.
        metric: The metric whose encoder computes them.
        views: Its views, on the CPU.
        recipe: How images are mirrored.
        identity: Identity of the encoder: the same text exactly if its weights are the same.
        processes: The processes that divide the work.
        folder: Folder of the cache.
        observe: Called with the number of images done, and of all images.
    """

    encoded = True

    def __init__(
        self,
        dataset: LabelledImages,
        metric: Metric,
        views: Views,
        recipe: AugmentationRecipe,
        *,
        identity: str,
        processes: Processes,
        folder: Path,
        observe: Callable[[int, int], None],
    ) -> None:
        self._dataset, self._metric, self._views, self._recipe = dataset, metric, views, recipe
        self._folder, self._flips = folder, possible_flips(recipe)
        self._draws_one = views.only is not None and views.only.draws_one
        self._key = json.dumps([identity, to_plain(views.spec), views.seed, self._flips, current_decoding().icc])
        self._unwritten: dict[int, dict[str, Tensor]] = {}
        chunks = [range(start, min(start + _CHUNK, len(dataset))) for start in range(0, len(dataset), _CHUNK)]
        for number, chunk in enumerate(chunks):
            if number % processes.world == processes.rank and self._read(chunk) is None:
                self._write(chunk)
            observe(chunk.stop, len(dataset))
        processes.wait()
        read = [self._read(chunk) or self._write(chunk) for chunk in chunks]
        self._features = [torch.cat([part[name] for part in read]) for name in sorted(read[0])]
        del self._metric, self._unwritten  # they would stay in memory as long as the first training

    def training_sample(self, draw: Draw) -> Sample:
        """See `Feed`."""
        rng = np.random.default_rng(list(draw.seed))
        variant = self._flips.index(draw_flip(self._recipe, rng))
        shown = [features[draw.index, variant] for features in self._features]
        if self._draws_one:
            crop = int(rng.integers(len(shown[0])))
            return [shown[0][crop : crop + 1]]
        return shown

    def scoring_sample(self, index: int) -> Sample:
        """See `Feed`."""
        return [features[index, 0] for features in self._features]

    def _read(self, chunk: range) -> dict[str, Tensor] | None:
        return self._unwritten.get(chunk.start) or recall_tensors(self._path(chunk))

    def _write(self, chunk: range) -> dict[str, Tensor]:
        first: dict[str, int] = {}  # of equal images, such as the undegraded rungs of a photograph's ladders
        identities = [json.dumps(_image_identity(self._dataset, index)) for index in chunk]
        for identity, index in zip(identities, chunk, strict=True):
            first.setdefault(identity, index)
        encoded = dict(zip(first, self._encode(first.values()), strict=True))
        samples = [encoded[identity] for identity in identities]
        tensors = {f"view{number:02d}": torch.stack(view) for number, view in enumerate(zip(*samples, strict=True))}
        try:
            keep_tensors(self._path(chunk), tensors)
        except OSError as error:
            _log.warning("The features of %d images could not be kept: %s.", len(chunk), error)
            self._unwritten[chunk.start] = tensors
        return tensors

    def _encode(self, indices: Iterable[int]) -> Iterator[list[Tensor]]:
        """Compute the features of each image: for each view, shape (F, V, D) of F mirror images."""
        tasks = ([partial(self._mirror, index)] for index in indices)
        with torch.inference_mode():
            for (mirrored,) in in_order(tasks):
                encoded = []
                for view in mirrored:
                    pixels = view.flatten(0, 1).to(self._metric.device)
                    (features,) = self._metric.encode([pixels])
                    encoded.append(features.reshape(*view.shape[:2], -1).cpu().clone())
                yield encoded

    def _mirror(self, index: int) -> list[Tensor]:
        """The mirror images of an image: for each view, shape (F, V, 3, h, w)."""
        pixels = read_image(self._dataset, index)
        mirrored = [self._views((pixels.flip(flip) if flip else pixels)[None]) for flip in self._flips]
        return [torch.stack(view) for view in zip(*mirrored, strict=True)]

    def _path(self, chunk: range) -> Path:
        identities = [_image_identity(self._dataset, index) for index in chunk]
        digest = hashlib.sha256(json.dumps([self._key, identities]).encode()).hexdigest()
        return self._folder / digest[:2] / f"{digest}.safetensors"


def _image_identity(dataset: LabelledImages, index: int) -> list[object]:
    item = dataset.images[index]
    if not isinstance(item, Path):
        return [item.identity]
    status = item.stat()
    return [str(item.resolve()), status.st_size, status.st_mtime_ns]
