"""Where samples come from: images that are read and varied, or features that a frozen encoder computed once.

    pixels (3, H, W) uint8 --prepare, always the same--> pixels --draw, from a seed--> one tensor for each view

What is not varied goes through the metric's own views, so that training sees what scoring sees. Features are kept on
disk, so that a head trains in seconds: of each image the metric's own views and their mirror images, as far as the
recipe mirrors. Where scoring looks at crops, training draws one of them.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import torch

from perceptmetrics._util.atomic import replacing
from perceptmetrics.errors import DatasetError, InvalidImageError, WeightsError
from perceptmetrics.images.decode import default_workers
from perceptmetrics.images.load import load_pixels
from perceptmetrics.models.views import Variation
from perceptmetrics.spec.plain import to_plain
from perceptmetrics.weights.tensor_files import read_tensors, save_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from typing import TypeVar

    from torch import Tensor

    from perceptmetrics.datasets import ImageItem, LabelledImages
    from perceptmetrics.finetune.data import Draw
    from perceptmetrics.finetune.processes import Processes
    from perceptmetrics.finetune.recipe_sections import AugmentationRecipe
    from perceptmetrics.models.metric import Metric
    from perceptmetrics.models.views import Views

    T = TypeVar("T")

__all__ = [
    "FeatureFeed",
    "Feed",
    "PixelFeed",
    "Sample",
    "TrainingViews",
    "can_be_kept",
    "draw_sides",
    "in_order",
    "mirror_images",
    "read_item",
]

Sample: TypeAlias = "list[Tensor]"
"""What is shown of an image: for each view, shape (V, 3, h, w) as pixels, or (V, D) as features."""

_AHEAD = 2  # batches
_CHUNK = 64  # images of a file


class TrainingViews:
    """Shows images as a recipe says.

    Args:
        views: The metric's views.
        recipe: What is varied.
    """

    def __init__(self, views: Views, recipe: AugmentationRecipe) -> None:
        self.views = views
        self._recipe = recipe
        self._variation = Variation(recipe.random_crop, recipe.random_resized_crop)

    def prepare(self, pixels: Tensor) -> Tensor:
        """What is the same at each showing, and worth keeping; what several views show begins with the image."""
        return pixels if self.views.only is None else self.views.only.prepare(pixels)

    def fixed(self, prepared: Tensor) -> Sample:
        """The metric's own views: shapes (V, 3, h, w)."""
        shown: Sample = self.views(prepared[None])
        return shown

    def draw(self, prepared: Tensor, seed: Sequence[int]) -> Sample:
        """The views of one showing, drawn from a seed: shapes (V, 3, h, w). Several views are not varied."""
        rng = np.random.default_rng(list(seed))
        sides = draw_sides(self._recipe, rng)
        pixels = prepared.flip(sides) if sides else prepared
        if self.views.only is None:
            return self.fixed(pixels)
        return [self.views.only.draw(pixels, self.views.normalization, self._variation, rng)]


def mirror_images(recipe: AugmentationRecipe) -> list[tuple[int, ...]]:
    """The ways in which an image may be mirrored, each as the dimensions that are turned round; none first."""
    across = [(), (-1,)] if recipe.horizontal_flip else [()]
    upside_down = [(), (-2,)] if recipe.vertical_flip else [()]
    return [(*one, *other) for other in upside_down for one in across]


def draw_sides(recipe: AugmentationRecipe, rng: np.random.Generator) -> tuple[int, ...]:
    """Draw one of `mirror_images`, all of them alike in probability."""
    across, upside_down = rng.random(2) < 0.5
    return (-1,) * bool(recipe.horizontal_flip and across) + (-2,) * bool(recipe.vertical_flip and upside_down)


class Feed(Protocol):
    """Gives the samples of a data set."""

    encoded: bool
    """Whether samples are features."""

    def drawn(self, draw: Draw) -> Sample:
        """An image as it is shown in training."""

    def fixed(self, index: int) -> Sample:
        """An image as it is scored."""


class PixelFeed:
    """Reads images. What was read is kept as far as there is room.

    Args:
        dataset: The images.
        views: How they are shown.
        room: Bytes that may be kept in memory.
    """

    encoded = False

    def __init__(self, dataset: LabelledImages, views: TrainingViews, room: int) -> None:
        self._dataset = dataset
        self._views = views
        self._room = room
        self._kept: dict[int, Tensor] = {}
        self._lock = Lock()

    def drawn(self, draw: Draw) -> Sample:
        """See `Feed`."""
        return self._views.draw(self._prepared(draw.index), draw.seed)

    def fixed(self, index: int) -> Sample:
        """See `Feed`."""
        return self._views.fixed(self._prepared(index))

    def _prepared(self, index: int) -> Tensor:
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        pixels = self._views.prepare(read_item(self._dataset, index))
        with self._lock:
            if index not in self._kept and pixels.nbytes <= self._room:
                self._room -= pixels.nbytes
                self._kept[index] = pixels
        return pixels


def read_item(dataset: LabelledImages, index: int) -> Tensor:
    """Read an image: shape (3, H, W), uint8, or float32 in [0, 1] when the file has more than 8 bits.

    Raises:
        DatasetError: It cannot be read; the message names data set and image.
    """
    item: ImageItem = dataset.images[index]
    try:
        return load_pixels(item) if isinstance(item, Path) else item.render()
    except InvalidImageError as error:
        raise DatasetError(f"{dataset.name}: the image {dataset.names[index]!r} cannot be used: {error}") from error


def in_order(tasks: Iterable[Sequence[Callable[[], T]]], *, threads: bool = True) -> Iterator[list[T]]:
    """Carry out tasks and give their results back batch by batch.

    Args:
        tasks: The tasks of each batch.
        threads: Whether they are carried out in threads, a few batches ahead; not worth it for features at hand.

    Yields:
        The results of a batch, in order.
    """
    if not threads:
        yield from ([task() for task in batch] for batch in tasks)
        return
    with ThreadPoolExecutor(default_workers(), thread_name_prefix="perceptmetrics-feed") as pool:
        ahead: deque[list[Future[T]]] = deque()
        try:
            for batch in tasks:
                ahead.append([pool.submit(task) for task in batch])
                if len(ahead) > _AHEAD:
                    yield [future.result() for future in ahead.popleft()]
            while ahead:
                yield [future.result() for future in ahead.popleft()]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def can_be_kept(recipe: AugmentationRecipe) -> bool:
    """Whether the variations of an image are few, so that all of them can be encoded."""
    return not recipe.random_resized_crop and recipe.random_crop is None


class FeatureFeed:
    """Gives features of images, see `Feed`.

    Args:
        dataset: The images.
        metric: The metric whose encoder and views are used.
        views: Its views, on the processor.
        recipe: How images are mirrored.
        identity: Text that is the same exactly when the encoder's weights are.
        processes: The processes that share the work.
        folder: Where features are kept.
        observe: Called with the numbers of images done and of all.
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
        self._dataset = dataset
        self._folder = folder
        self._recipe = recipe
        self._metric = metric
        self._views = views
        self._mirrored = mirror_images(recipe)
        self._draws_one = views.only is not None and views.only.draws_one
        self._key = json.dumps([identity, to_plain(views.spec), views.seed, self._mirrored])
        chunks = [range(start, min(start + _CHUNK, len(dataset))) for start in range(0, len(dataset), _CHUNK)]
        for number, chunk in enumerate(chunks):
            if number % processes.world == processes.rank and self._read(chunk) is None:
                self._write(chunk)
            observe(chunk.stop, len(dataset))
        processes.wait()
        read = [self._read(chunk) or self._write(chunk) for chunk in chunks]
        self._bank = [torch.cat([part[name] for part in read]) for name in sorted(read[0])]
        del self._metric  # which would keep the encoder of the first training in memory

    def drawn(self, draw: Draw) -> Sample:
        """See `Feed`."""
        rng = np.random.default_rng(list(draw.seed))
        variant = self._mirrored.index(draw_sides(self._recipe, rng))
        shown = [features[draw.index, variant] for features in self._bank]
        if self._draws_one:
            crop = int(rng.integers(len(shown[0])))
            return [shown[0][crop : crop + 1]]
        return shown

    def fixed(self, index: int) -> Sample:
        """See `Feed`."""
        return [features[index, 0] for features in self._bank]

    def _read(self, chunk: range) -> dict[str, Tensor] | None:
        try:
            return read_tensors(self._path(chunk))
        except WeightsError:  # not there yet, or damaged
            return None

    def _write(self, chunk: range) -> dict[str, Tensor]:
        first: dict[str, int] = {}  # of equal images, such as the untouched rungs of a photograph's ladders
        identities = [json.dumps(_identity_of(self._dataset, index)) for index in chunk]
        for identity, index in zip(identities, chunk, strict=True):
            first.setdefault(identity, index)
        encoded = dict(zip(first, self._encoded(first.values()), strict=True))
        samples = [encoded[identity] for identity in identities]
        found = {f"view{number:02d}": torch.stack(view) for number, view in enumerate(zip(*samples, strict=True))}
        with replacing(self._path(chunk)) as temporary:
            save_tensors(found, temporary)
        return found

    def _encoded(self, indices: Iterable[int]) -> Iterator[list[Tensor]]:
        """Features of each image: for each view, shape (F, V, D) of F mirror images."""
        tasks = ([lambda index=index: self._shown(index)] for index in indices)
        with torch.inference_mode():
            for (shown,) in in_order(tasks):
                encoded = []
                for view in shown:
                    pixels = view.flatten(0, 1).to(self._metric.device)
                    (features,) = self._metric.encode([pixels])
                    encoded.append(features.reshape(*view.shape[:2], -1).cpu().clone())
                yield encoded

    def _shown(self, index: int) -> list[Tensor]:
        """For each view, shape (F, V, 3, h, w)."""
        pixels = read_item(self._dataset, index)
        mirrored = [self._views((pixels.flip(sides) if sides else pixels)[None]) for sides in self._mirrored]
        return [torch.stack(view) for view in zip(*mirrored, strict=True)]

    def _path(self, chunk: range) -> Path:
        identities = [_identity_of(self._dataset, index) for index in chunk]
        digest = hashlib.sha256(json.dumps([self._key, identities]).encode()).hexdigest()
        return self._folder / digest[:2] / f"{digest}.safetensors"


def _identity_of(dataset: LabelledImages, index: int) -> list[object]:
    item = dataset.images[index]
    if not isinstance(item, Path):
        return [item.identity]
    status = item.stat()
    return [str(item.resolve()), status.st_size, status.st_mtime_ns]
