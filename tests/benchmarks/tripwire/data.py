"""Photographs, their breakages and other healthy images as rows of features, kept in a file."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from perceptmetrics.tripwire.exact import fault_of_pixels
from perceptmetrics.tripwire.features import features_of
from tests.benchmarks.tripwire import breakages, healthy

SEED = 20_261
HARD, OTHERS = 2, 5  # breakages of each photograph
HARDEST = ("swapped_channels", "gamma_twice", "washed_out", "veiled")  # hard to tell from photographs
DRAWN = 60
PER_BREAKAGE = 50
SAVED_AGAIN = 0.35


@dataclass(frozen=True)
class Row:
    """One image.

    Attributes:
        source: Where it comes from: `livec`, `photos`, ...; or what drew it.
        kind: Kind of its fault; empty for a healthy one.
        breakage: Name of the breakage; empty for a healthy one.
        group: Index of the photograph that it is made of.
    """

    source: str
    kind: str
    breakage: str
    group: int
    pixels: np.ndarray


def photographs(data: Path, *, training: bool) -> list[tuple[str, Path]]:
    folders = (
        {"livec": "livec/ChallengeDB_release/Images", "photos": "photos"}
        if training
        else {"biq2021": "biq2021/Images", "oasis": "oasis/images", "savoias": "savoias_scenes/images"}
    )
    found = [
        (name, file)
        for name, folder in folders.items()
        for file in sorted((data / folder).rglob("*"))
        if file.suffix.lower() in (".jpg", ".jpeg", ".png", ".bmp")
    ]
    assert found, f"{data} holds none of {', '.join(folders.values())}"
    return found


def opened(file: Path, longest: int = 1024) -> np.ndarray:
    image = Image.open(file).convert("RGB")
    image.thumbnail((longest, longest))
    return np.asarray(image)


def saved_again(image: np.ndarray, rng: np.random.Generator, low: int = 70) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, format="JPEG", quality=int(rng.integers(low, 96)))
    return np.asarray(Image.open(buffer).convert("RGB"))


def variant(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A healthy photograph made of another: cut, mirrored, resized, grey, or saved again."""
    height, width = image.shape[:2]
    share = rng.uniform(0.5, 1)
    top, left = (int(rng.uniform(0, 1 - share) * length) for length in (height, width))
    image = image[top : top + int(share * height), left : left + int(share * width)]
    image = image[:, ::-1] if rng.random() < 0.5 else image
    if rng.random() < 0.5:
        scale = rng.uniform(0.6, 1.4)
        image = np.asarray(
            Image.fromarray(np.ascontiguousarray(image)).resize(
                (max(64, int(image.shape[1] * scale)), max(64, int(image.shape[0] * scale))), Image.Resampling.BICUBIC
            )
        )
    if rng.random() < 0.08:
        image = np.repeat(np.rint(image.mean(2, keepdims=True)).astype(np.uint8), 3, 2)
    return saved_again(image, rng, 50) if rng.random() < 0.5 else image


def edited(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A healthy photograph as people publish it: another size, tone curve and saturation, sharpened, saved again."""
    scale = rng.uniform(0.5, 1.5)
    size = (max(64, int(image.shape[1] * scale)), max(64, int(image.shape[0] * scale)))
    made = Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)
    power = rng.uniform(0.8, 1.25)
    made = made.point([round(255 * (level / 255) ** power) for level in range(256)] * 3)
    for kind in (ImageEnhance.Contrast, ImageEnhance.Color, ImageEnhance.Sharpness):
        if rng.random() < 0.6:
            made = kind(made).enhance(float(rng.uniform(0.85, 1.5)))
    return saved_again(np.asarray(made), rng, 50) if rng.random() < 0.7 else np.asarray(made)


def broken(name: str, known: dict, image: np.ndarray, rng: np.random.Generator, *, training: bool) -> np.ndarray:
    made = known[name][1](image, rng, breakages.strength_of(rng, training=training))
    return saved_again(made, rng) if rng.random() < SAVED_AGAIN else np.ascontiguousarray(made)


def training_rows(data: Path) -> Iterator[Row]:
    others = [name for name in breakages.TRAINING if name not in HARDEST]
    files = photographs(data, training=True)
    for group, (source, file) in enumerate(files):
        rng = np.random.default_rng([SEED, 0, group])
        image = opened(file)
        yield Row(source, "", "", group, image)
        for _ in range(2):
            yield Row(source, "", "", group, variant(image, rng))
        for name in [*rng.choice(HARDEST, HARD, replace=False), *rng.choice(others, OTHERS, replace=False)]:
            base = image if rng.random() < 0.5 else variant(image, rng)
            kind = breakages.TRAINING[name][0]
            yield Row(source, kind, name, group, broken(name, breakages.TRAINING, base, rng, training=True))
    for index in range(DRAWN):
        for name, draw in healthy.TRAINING.items():
            rng = np.random.default_rng([SEED, 1, index, len(name)])
            made = draw(rng)
            yield Row(name, "", "", len(files) + index, saved_again(made, rng) if rng.random() < 0.3 else made)
    for group, (source, file) in enumerate(files):
        rng = np.random.default_rng([SEED, 4, group])
        yield Row(source, "", "", group, edited(opened(file), rng))


def test_rows(data: Path) -> Iterator[Row]:
    files = photographs(data, training=False)
    for group, (source, file) in enumerate(files):
        yield Row(source, "", "", group, opened(file))
    known = {**breakages.TRAINING, **breakages.LEFT_OUT}
    for number, (name, (kind, _)) in enumerate(known.items()):
        rng = np.random.default_rng([SEED, 2, number])
        for group in rng.choice(len(files), PER_BREAKAGE, replace=False):
            source, file = files[group]
            yield Row(source, kind, name, int(group), broken(name, known, opened(file), rng, training=False))
    for index in range(60):
        for name, (source, draw) in healthy.TEST.items():
            rng = np.random.default_rng([SEED, 3, index, len(name)])
            made = draw(rng)
            yield Row(source, "", "", -1, saved_again(made, rng) if rng.random() < 0.3 else made)
    for image in healthy.sample_images().values():
        yield Row("scientific", "", "", -1, np.asarray(image))


def features(file: Path, rows: Callable[[], Iterator[Row]]) -> dict[str, np.ndarray]:
    """Features of rows with their labels, read from a file if it exists, otherwise computed and kept in it."""
    if not file.exists():
        columns: dict[str, list] = {name: [] for name in ("source", "kind", "breakage", "group", "exact", "features")}
        for number, row in enumerate(rows()):
            if number % 1000 == 0:
                print(f"{file.name}: {number}", flush=True)
            for name in ("source", "kind", "breakage", "group"):
                columns[name].append(getattr(row, name))
            pixels = np.ascontiguousarray(row.pixels.transpose(2, 0, 1))
            finding = fault_of_pixels(pixels)
            columns["exact"].append("" if finding is None else finding.kind)
            columns["features"].append(features_of(pixels))
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, **{name: np.array(values) for name, values in columns.items()})
    return dict(np.load(file))
