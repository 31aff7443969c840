"""Draw the figure of the page on explanations: saliency of a sample photograph with lite_iqa.

python docs/explanations.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageFilter

from perceptmetrics.images.examples import sample_photographs

IMAGES = Path(__file__).parent / "images"
WIDTH = 900  # pixels


def draw() -> None:
    """Write `saliency.jpg`, for a photograph whose left half is blurred."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photograph = sample_photographs()["chelsea"].convert("RGB")
        left = (0, 0, photograph.width // 2, photograph.height)
        photograph.paste(photograph.crop(left).filter(ImageFilter.GaussianBlur(3)), left)
        photograph.save(folder / "cat.png")
        program = "from perceptmetrics.apps.cli import main; main()"
        words = ("explain", "cat.png", "--output", "saliency.png")
        subprocess.run([sys.executable, "-c", program, *words], cwd=folder, check=True)
        with Image.open(folder / "saliency.png") as figure:
            smaller = figure.convert("RGB")
            smaller.thumbnail((WIDTH, WIDTH))
            smaller.save(IMAGES / "saliency.jpg", quality=90, optimize=True)


if __name__ == "__main__":
    draw()
