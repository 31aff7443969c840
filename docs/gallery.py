"""Draw the plots of the page on experiments, with its commands, from scikit-image's photographs.

python docs/gallery.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import ImageFilter

from perceptmetrics.images.examples import sample_photographs

IMAGES = Path(__file__).parent / "images"


def draw() -> None:
    """Write `ladder.png` and `compare.png`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in ("sharp", "blurred"):
            (folder / kind).mkdir()
        for title, photograph in sample_photographs().items():
            photograph.save(folder / "sharp" / f"{title}.png")
            photograph.filter(ImageFilter.GaussianBlur(1.5)).save(folder / "blurred" / f"{title}.png")
        run(folder, "ladder", "sharp", "--attribute", "sharpness", "--attribute", "noise", "--output", "ladder.png")
        run(folder, "compare", "sharp", "blurred", "--output", "compare.png")
        for plot in ("ladder.png", "compare.png"):
            (IMAGES / plot).write_bytes((folder / plot).read_bytes())


def run(folder: Path, *words: str) -> None:
    """Run a command of perceptmetrics in a folder."""
    program = "from perceptmetrics.apps.cli import main; main()"
    subprocess.run([sys.executable, "-c", program, *words], cwd=folder, check=True)


if __name__ == "__main__":
    draw()
