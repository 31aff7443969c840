"""Features of photographs and of their ladders, computed once and cached: the encoder is frozen.

The encoder and the view are those of the metric itself, so training sees exactly what scoring sees.
"""

from __future__ import annotations

import csv
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import scipy.io
import torch
from degradations import KINDS, Manner, Pixels, ladder, random_manner, random_strengths, resize
from torch import Tensor

from perceptmetrics.io import load_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from perceptmetrics.metric import Metric

SEED = 2024
# What is shown of a photograph: whole, shrunk, a crop, and whole but mirrored; the last for the kinds that are
# hardest to see.
PHOTO_PASSES = {"whole": KINDS, "shrunk": KINDS, "crop": KINDS, "mirrored": ("jpeg", "noise")}


@dataclass(frozen=True)
class Ladders:
    """Features (L, 6, D) of L ladders, the untouched image first; kind and source image of each."""

    features: Tensor
    kind: Tensor
    source: Tensor


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A fixed set of ladders to evaluate on: size of the photographs, manner, strengths of each kind."""

    long_side: int
    manner: Manner
    strengths: dict[str, tuple[float, ...]]


_MILD = Manner(
    new_noise_each_step=True,
    grey_noise=False,
    chroma_subsampling=0,
    shrink_with="area",
    enlarge_with="bilinear",
    linear_light=False,
    eight_bit=False,
)
PROTOCOLS = {
    "wide": Protocol(
        long_side=1280,
        manner=replace(
            _MILD,
            chroma_subsampling=2,
            shrink_with="bicubic",
            enlarge_with="bicubic",
            linear_light=True,
            eight_bit=True,
        ),
        strengths={
            "blur": (0.8, 1.6, 2.6, 4, 6),
            "noise": (0.02, 0.04, 0.08, 0.12, 0.2),
            "jpeg": (80, 50, 30, 15, 7),
            "scale": (0.75, 0.5, 0.35, 0.25, 0.15),
            "over": (0.5, 1, 1.5, 2, 2.5),
            "under": (0.5, 1, 1.5, 2, 2.5),
        },
    ),
    "mild": Protocol(
        long_side=1280,
        manner=_MILD,
        strengths={
            "blur": (0.5, 1, 1.5, 2, 3),
            "noise": (0.01, 0.02, 0.03, 0.05, 0.08),
            "jpeg": (90, 75, 60, 40, 20),
            "scale": (0.8, 0.65, 0.5, 0.4, 0.3),
            "over": (0.3, 0.6, 0.9, 1.2, 1.5),
            "under": (0.3, 0.6, 0.9, 1.2, 1.5),
        },
    ),
    "small": Protocol(
        long_side=640,
        manner=replace(_MILD, new_noise_each_step=False, chroma_subsampling=2, shrink_with="bilinear", eight_bit=True),
        strengths={
            "blur": (1, 2, 3, 4, 5),
            "noise": (5 / 255, 10 / 255, 20 / 255, 30 / 255, 50 / 255),
            "jpeg": (70, 50, 30, 20, 10),
            "scale": (1 / 1.5, 1 / 2, 1 / 3, 1 / 4, 1 / 6),
            "over": (0.4, 0.8, 1.2, 1.6, 2),
            "under": (0.4, 0.8, 1.2, 1.6, 2),
        },
    ),
}


class FeatureBanks:
    """Computes banks of features with a metric's encoder, or reads them from a cache.

    Args:
        metric: The metric whose encoder and view are used.
        data: Folder of the data sets.
        cache: Folder where the banks are kept; delete it when the encoder, the view or a ladder changes.
    """

    def __init__(self, metric: Metric, data: Path, cache: Path) -> None:
        self._metric = metric
        self._cache = cache
        self.livec_paths, self.livec_mos = read_livec(data / "livec" / "ChallengeDB_release")
        self.biq = read_biq(data / "biq2021")
        self.photos = sorted((data / "photos").glob("*.jpg"))

    def livec(self) -> Tensor:
        """Features (N, D) of the LIVEC photographs."""
        return self._cached("livec", lambda: self._of_files(self.livec_paths))

    def livec_mirrored(self) -> Tensor:
        """The same, mirrored."""
        return self._cached("livec_mirrored", lambda: self._of_files(self.livec_paths, mirror=True))

    def biq2021(self) -> Tensor:
        """Features (N, D) of the BIQ2021 photographs, which are for reporting only."""
        return self._cached("biq2021", lambda: self._of_files([path for path, _ in self.biq]))

    def photo_ladders(self) -> Ladders:
        """Random ladders of the photographs, for training."""
        return join([self._cached(f"photos_{name}", lambda name=name: self._photos(name)) for name in PHOTO_PASSES])

    def livec_ladders(self) -> Ladders:
        """Two random ladders of each LIVEC photograph, for training."""
        return self._cached("livec_ladders", self._livec_ladders)

    def protocol(self, name: str) -> Ladders:
        """Fixed ladders of the photographs, for evaluation."""
        return self._cached(f"protocol_{name}", lambda: self._protocol(PROTOCOLS[name]))

    def _cached(self, name: str, make: Callable[[], object]) -> object:
        path = self._cache / f"{name}.pt"
        if not path.exists():
            start = time.monotonic()
            made = make()
            self._cache.mkdir(parents=True, exist_ok=True)
            torch.save(vars(made) if isinstance(made, Ladders) else made, path)
            print(f"features of {name}: {time.monotonic() - start:.0f} s", flush=True)
        loaded = torch.load(path, weights_only=True)
        return Ladders(**loaded) if isinstance(loaded, dict) else loaded

    @torch.inference_mode()
    def _encode(self, images: Sequence[Pixels]) -> Tensor:
        batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        return torch.cat([self._metric.backbone(self._metric.views(image)[0]) for image in batch.split(1)])

    def _of_files(self, paths: Sequence[Path], *, mirror: bool = False) -> Tensor:
        return torch.cat([self._encode([np.ascontiguousarray(i[:, ::-1]) if mirror else i]) for i in read_all(paths)])

    def _photos(self, view: str) -> Ladders:
        rows = []
        for number, image in enumerate(read_all(self.photos)):
            rng = np.random.default_rng([SEED, 1, list(PHOTO_PASSES).index(view), number])
            shown = show(image, view, rng)
            untouched = self._encode([shown])
            for kind in PHOTO_PASSES[view]:
                strengths, manner = random_strengths(kind, rng), random_manner(rng)
                rows.append((self._ladder(shown, untouched, kind, strengths, manner, rng), kind, number))
        return as_ladders(rows)

    def _livec_ladders(self) -> Ladders:
        rows = []
        for number, image in enumerate(read_all(self.livec_paths)):
            rng = np.random.default_rng([SEED, 3, number])
            untouched = self._encode([image])
            kinds = rng.choice(KINDS, 2, replace=False) if number % 3 < 2 else ("over", rng.choice(["jpeg", "scale"]))
            for kind in map(str, kinds):
                strengths, manner = random_strengths(kind, rng), random_manner(rng)
                rows.append((self._ladder(image, untouched, kind, strengths, manner, rng), kind, number))
        return as_ladders(rows)

    def _protocol(self, protocol: Protocol) -> Ladders:
        rows = []
        for number, image in enumerate(read_all(self.photos)):
            rng = np.random.default_rng([SEED, 2, number])
            shown = shrink(image, protocol.long_side / max(image.shape))
            untouched = self._encode([shown])
            for kind in KINDS:
                features = self._ladder(shown, untouched, kind, protocol.strengths[kind], protocol.manner, rng)
                rows.append((features, kind, number))
        return as_ladders(rows)

    def _ladder(
        self,
        image: Pixels,
        untouched: Tensor,
        kind: str,
        strengths: Sequence[float],
        manner: Manner,
        rng: np.random.Generator,
    ) -> Tensor:
        return torch.cat([untouched, self._encode(ladder(image, kind, strengths, manner, rng))])


def show(image: Pixels, view: str, rng: np.random.Generator) -> Pixels:
    """Whole, shrunk to a long side of 480 to 960 pixels, a crop of 384 to 640 pixels, or mirrored."""
    if view == "shrunk":
        return shrink(image, rng.uniform(480, 960) / max(image.shape))
    if view == "crop":
        height, width = (min(side, int(rng.integers(384, 641))) for side in image.shape[:2])
        top = rng.integers(0, image.shape[0] - height + 1)
        left = rng.integers(0, image.shape[1] - width + 1)
        return np.ascontiguousarray(image[top : top + height, left : left + width])
    return np.ascontiguousarray(image[:, ::-1]) if view == "mirrored" else image


def shrink(image: Pixels, scale: float) -> Pixels:
    """Shrink by a factor, rounded to 8 bits as a file would hold it; never enlarge."""
    if scale >= 1:
        return image
    small = resize(image, (round(image.shape[0] * scale), round(image.shape[1] * scale)))
    return (np.round(np.clip(small, 0, 1) * 255) / 255).astype(np.float32)


def read_all(paths: Sequence[Path]) -> Iterator[Pixels]:
    """Decode images as the library does."""
    for path in paths:
        yield load_image(path).permute(1, 2, 0).numpy()


def as_ladders(rows: Sequence[tuple[Tensor, str, int]]) -> Ladders:
    """Stack (features, kind, source) rows."""
    features, kinds, sources = zip(*rows, strict=True)
    return Ladders(torch.stack(features), torch.tensor([KINDS.index(kind) for kind in kinds]), torch.tensor(sources))


def join(parts: Sequence[Ladders]) -> Ladders:
    """Concatenate ladders."""
    return Ladders(*(torch.cat([getattr(part, name) for part in parts]) for name in ("features", "kind", "source")))


def read_livec(folder: Path) -> tuple[list[Path], Tensor]:
    """LIVEC's photographs that are present, without its seven training images, and their MOS / 100."""
    names = scipy.io.loadmat(folder / "Data" / "AllImages_release.mat")["AllImages_release"].ravel()[7:]
    scores = scipy.io.loadmat(folder / "Data" / "AllMOS_release.mat")["AllMOS_release"].ravel()[7:]
    present = {path.name.lower(): path for path in (folder / "Images").iterdir()}
    pairs = [(str(name[0]).lower(), score) for name, score in zip(names, scores, strict=True)]
    found = [(present[name], score / 100) for name, score in pairs if name in present]
    return [path for path, _ in found], torch.tensor([score for _, score in found], dtype=torch.float32)


def read_biq(folder: Path) -> list[tuple[Path, float]]:
    """BIQ2021's photographs and their MOS in 0..1."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as stream:
        return [(folder / "Images" / row["image"], float(row["mos"])) for row in csv.DictReader(stream)]
