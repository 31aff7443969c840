"""Draw the picture of the home page: photographs with their scores, and how scores fall as an image is degraded.

python docs/home.py
"""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

import perceptmetrics
from perceptmetrics.images.examples import blurred, compressed, noisy, sample_photographs
from perceptmetrics.reports.plots.style import LINES, MARKERS, PALETTE, figure_bytes, new_figure, styled

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

IMAGES = Path(__file__).parent / "images"
WIDTH = 1600  # pixels
SHOWN = ("coffee", "chelsea", "rocket")
COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "original": lambda image: image,
    "blurred": blurred,
    "noisy": noisy,
    "compressed": compressed,
}
LADDERS: dict[str, list[Callable[[Image.Image], Image.Image]]] = {
    "blur, radius 0 to 4 pixels": [partial(blurred, radius=radius) for radius in (0, 0.5, 1, 2, 3, 4)],
    "noise, 0 to 40 of 255": [partial(noisy, sigma=sigma) for sigma in (0, 5, 10, 20, 30, 40)],
    "JPEG, quality 95 to 5": [partial(compressed, quality=quality) for quality in (95, 60, 40, 25, 12, 5)],
}


def draw() -> None:
    """Write `home.jpg`."""
    picture = Image.open(io.BytesIO(figure_bytes(home(), "png"))).convert("RGB")
    picture.thumbnail((WIDTH, WIDTH))
    picture.save(IMAGES / "home.jpg", quality=88, optimize=True)


@styled
def home() -> Figure:
    """Scored photographs on the left; the mean scores of ladders of degradations on the right."""
    metric = perceptmetrics.create_metric("lite_iqa")
    photographs = sample_photographs()
    figure = new_figure(11, 4.4)
    left, right = figure.subfigures(1, 2, width_ratios=[1.75, 1])
    rows = left.subplots(len(SHOWN), len(COPIES))
    for axes, name in zip(rows, SHOWN, strict=True):
        for place, (title, degrade) in zip(axes, COPIES.items(), strict=True):
            show(place, degrade(photographs[name]), title if name == SHOWN[0] else "", metric)
    left.suptitle('create_metric("lite_iqa").score(image)', fontsize=11, family="DejaVu Sans Mono")
    climb(right.subplots(), list(photographs.values()), metric)
    return figure


def show(axes: Axes, image: Image.Image, title: str, metric: perceptmetrics.Metric) -> None:
    """One image with its score."""
    axes.imshow(np.asarray(ImageOps.fit(image, (360, 240))))
    axes.set_title(title)
    axes.set_axis_off()
    label = {"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": "none", "alpha": 0.9}
    score = f"{float(metric.score(image)):.2f}"
    axes.text(0.97, 0.06, score, transform=axes.transAxes, ha="right", va="bottom", fontsize=12, bbox=label)


def climb(axes: Axes, photographs: list[Image.Image], metric: perceptmetrics.Metric) -> None:
    """The mean score of all photographs at each strength of each degradation."""
    for number, (name, steps) in enumerate(LADDERS.items()):
        means = [float(np.mean([metric.score(degrade(image)) for image in photographs])) for degrade in steps]
        axes.plot(means, color=PALETTE[number], linestyle=LINES[number], marker=MARKERS[number], label=name)
    axes.set_ylim(0, 1)
    axes.set_xticks([0, len(steps) - 1], ["mildest", "strongest"])
    axes.set_ylabel("mean score of five photographs")
    axes.set_title("Degraded step by step")
    axes.legend(loc="upper right")


if __name__ == "__main__":
    draw()
