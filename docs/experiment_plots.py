"""Draw the plots of the page on experiments, with its commands, from scikit-image's photographs.

python docs/experiment_plots.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import ImageFilter

from perceptmetrics.images.examples import blurred, compressed, noisy, sample_photographs

IMAGES = Path(__file__).parent / "images"


def draw() -> None:
    """Write `ladder.png`, `compare.png`, `compare_methods.png` and `attributes.png`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in ("sharp", "blurred", "jpeg_30", "jpeg_25"):
            (folder / kind).mkdir()
        for title, photograph in sample_photographs().items():
            photograph.save(folder / "sharp" / f"{title}.png")
            photograph.filter(ImageFilter.GaussianBlur(1.5)).save(folder / "blurred" / f"{title}.png")
            for quality in (30, 25):
                photograph.convert("RGB").save(folder / f"jpeg_{quality}" / f"{title}.jpg", quality=quality)
        run(folder, "ladder", "sharp", "--attribute", "sharpness", "--attribute", "noise", "--output", "ladder.png")
        run(folder, "compare", "sharp", "blurred", "--output", "compare.png")
        folders = ("sharp", "blurred", "jpeg_30", "jpeg_25")
        run(folder, "compare", *folders, "--output", "compare_methods.png")
        draw_attributes(folder)
        for plot in ("ladder.png", "compare.png", "compare_methods.png", "attributes.png"):
            (IMAGES / plot).write_bytes((folder / plot).read_bytes())


def draw_attributes(folder: Path) -> None:
    """Write `attributes.png` into a folder: a photograph, and what blur, noise and compression do to it."""
    cat = sample_photographs()["chelsea"]
    images = {"cat": cat, "blurred": blurred(cat), "noisy": noisy(cat), "compressed": compressed(cat)}
    for title, image in images.items():
        image.save(folder / f"{title}.png")
    run(folder, "attributes", *(f"{title}.png" for title in images), "--output", "attributes.png")


def run(folder: Path, *words: str) -> None:
    """Run a command of perceptmetrics in a folder."""
    program = "from perceptmetrics.apps.cli import main; main()"
    subprocess.run([sys.executable, "-c", program, *words], cwd=folder, check=True)


if __name__ == "__main__":
    draw()
