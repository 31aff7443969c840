"""Many image files of mixed sizes, some of them broken, made of few by hard links."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.encoded_images import encode, noise, png_file, sixteen_bit_png
from tests.support.rated_data import data_folder

SIZES = ((64, 48), (48, 64), (72, 72), (96, 40))


def broken_files() -> dict[str, bytes]:
    """Every kind of file that cannot be scored, by a name for it."""
    samples = np.full((40, 50), 0.5, np.float32)
    samples[0, 0] = float("nan")
    cut = {
        "jpeg": encode(noise(40, 60), "JPEG"),
        "png": encode(noise(40, 60), "PNG"),
        "png16": sixteen_bit_png(noise(20, 30, dtype=np.uint16)),
    }
    return {
        **{f"cut_{name}": content[: len(content) // 2] for name, content in cut.items()},
        **{f"header_of_{name}": content[:20] for name, content in cut.items()},
        "empty": b"",
        "text": b"Hello, this is a text.",
        "zeros": b"\0" * 500,
        "svg": b"<svg></svg>",
        "raw_pixels": noise().tobytes()[1:],
        "bomb": png_file(60000, 60000, 8, 2, [b"\0" * 100]),
        "not_a_number": encode(samples, "TIFF"),
        "out_of_range": encode(samples * 0 + 300.5, "TIFF"),
        "integers_out_of_range": encode(np.array([[-1, 5]], np.int32), "TIFF"),
        "too_small": encode(noise(5, 4), "PNG"),
    }


def make_images(folder: Path, count: int, one_broken_in: int) -> int:
    """Fill a folder with images.

    Args:
        folder: Where to; subfolders hold a thousand each.
        count: Number of files.
        one_broken_in: Of so many files one is broken; the kinds take turns.

    Returns:
        How many of them cannot be scored.
    """
    stock = folder.parent / f"{folder.name}_stock"
    stock.mkdir(parents=True)
    good, broken = itertools.cycle(_good_files(stock)), itertools.cycle(_broken_files(stock))
    number_broken = 0
    for number in range(count):
        target = folder / f"{number // 1000:03d}" / f"{number:06d}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        is_broken = number % one_broken_in == one_broken_in // 2
        number_broken += is_broken
        source = next(broken) if is_broken else next(good)
        if source.exists():
            os.link(source, target)
        else:
            target.symlink_to(source)
    return number_broken


def _good_files(stock: Path) -> list[Path]:
    """Small copies of real photographs; the size changes with each."""
    photographs = sorted(data_folder("biq2021").rglob("*.jpg"))
    files = []
    for number, path in enumerate(photographs[:50]):
        files.append(stock / f"good_{number:02d}.{'jpg' if number % 3 else 'png'}")
        with Image.open(path) as photograph:
            photograph.convert("RGB").resize(SIZES[number % len(SIZES)]).save(files[-1])
    return files


def _broken_files(stock: Path) -> list[Path]:
    files = [stock / "gone.png"]
    for name, content in broken_files().items():
        files.append(stock / f"{name}.png")
        files[-1].write_bytes(content)
    return files
