"""Run the scripts of `examples/gallery` and write the page that shows them: text, script, output, picture.

python docs/example_gallery.py
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from perceptmetrics.images.examples import blurred, compressed, noisy, sample_photographs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).parents[1]
SCRIPTS, PAGE, PICTURES = (ROOT / name for name in ("examples/gallery", "docs/gallery.md", "docs/images/gallery"))
WIDTH, HEIGHT, SIDE = 1000, 560, 256  # pixels: of pictures, and of the long side of the photographs
ORDER = {
    "score_a_table": "",
    "rank_photographs": "ranking/rank.png",
    "degradation_ladder": "ladders/ladder.png",
    "compare_methods": "methods/compare.png",
    "attributes_radar": "attributes/radar.png",
    "explain_a_score": "saliency.png",
    "image_as_parameter": "before_and_after.png",
    "find_broken_images": "outputs.png",
    "train_on_ratings": "runs/mine/plots/scatter_csv.png",
}
KINDS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "sharp": lambda image: image,
    "slightly_blurred": partial(blurred, radius=1.2),
    "jpeg_30": partial(compressed, quality=30),
    "noisy": noisy,
    "blurred": blurred,
}
HEAD = """# Example gallery

Short scripts, what they print, and a picture of what they write. They run offline in a folder `photos/` with a folder
for each kind of degradation of the same photographs. The scripts are in `examples/gallery`;
`python docs/example_gallery.py` makes the folder, runs them and writes this page.
"""


def write() -> None:
    """Run all scripts; write the page and the pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    outputs = {}
    for stem, picture in ORDER.items():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_photographs(folder)
            outputs[stem] = run(SCRIPTS / f"{stem}.py", folder)
            if picture:
                shrink(folder / picture, PICTURES / f"{stem}.jpg")
    PAGE.write_text(page(outputs), encoding="utf-8")


def make_photographs(folder: Path) -> None:
    """Write small copies of the sample photographs, degraded in each way, below `folder/photos`."""
    for kind, degrade in KINDS.items():
        (folder / "photos" / kind).mkdir(parents=True)
        for title, photograph in sample_photographs().items():
            photograph.thumbnail((SIDE, SIDE))
            degrade(photograph).save(folder / "photos" / kind / f"{title}.png")


def run(script: Path, folder: Path) -> str:
    """What a script prints."""
    return subprocess.run([sys.executable, script], cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def shrink(source: Path, target: Path) -> None:
    """Save a picture as a JPEG for the page."""
    with Image.open(source) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((WIDTH, HEIGHT))
    picture.save(target, quality=88, optimize=True)


def page(outputs: Mapping[str, str]) -> str:
    """The page: a section for each script."""
    return HEAD + "".join(section(stem, outputs[stem]) for stem in ORDER)


def section(stem: str, output: str) -> str:
    """Title and text from the script's docstring, the script without it, its output, its picture."""
    source = (SCRIPTS / f"{stem}.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    title, text = (ast.get_docstring(tree) or "").split("\n\n", 1)
    code = "\n".join(source.splitlines()[tree.body[0].end_lineno or 0 :]).strip()
    picture = f"\n![{title}](images/gallery/{stem}.jpg)\n" if ORDER[stem] else ""
    return f"\n## {title.rstrip('.')}\n\n{text}\n\n```py\n{code}\n```\n\n```\n{output.rstrip()}\n```\n{picture}"


if __name__ == "__main__":
    write()
