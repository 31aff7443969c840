"""Features that a frozen encoder gives, computed once and kept on disk, so that a head trains in seconds.

Of each image are kept the metric's own views and their mirror images, as far as the recipe mirrors. Where scoring looks
at crops, training draws one of them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from perceptmetrics._util.atomic import replacing
from perceptmetrics.errors import WeightsError
from perceptmetrics.finetune.augmentation import draw_sides, mirror_images
from perceptmetrics.finetune.feeds import in_order, read_item
from perceptmetrics.spec import CropsView
from perceptmetrics.spec.plain import to_plain
from perceptmetrics.weights.tensor_files import read_tensors, save_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune.augmentation import Sample
    from perceptmetrics.finetune.batches import Draw
    from perceptmetrics.finetune.processes import Processes
    from perceptmetrics.finetune.recipe_sections import AugmentationRecipe
    from perceptmetrics.models.metric import Metric
    from perceptmetrics.models.views import Views

__all__ = ["FeatureFeed", "can_be_kept"]

_CHUNK = 64  # images of a file


def can_be_kept(recipe: AugmentationRecipe) -> bool:
    """Whether the variations of an image are few, so that all of them can be encoded."""
    return not recipe.random_resized_crop and recipe.random_crop is None


class FeatureFeed:
    """Gives features of images, see `feeds.Feed`.

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
        self._one_view = len(views.spec.views) == 1 and isinstance(views.spec.views[0], CropsView)
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
        """See `feeds.Feed`."""
        rng = np.random.default_rng(list(draw.seed))
        variant = self._mirrored.index(draw_sides(self._recipe, rng))
        shown = [features[draw.index, variant] for features in self._bank]
        if self._one_view:
            crop = int(rng.integers(len(shown[0])))
            return [shown[0][crop : crop + 1]]
        return shown

    def fixed(self, index: int) -> Sample:
        """See `feeds.Feed`."""
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
