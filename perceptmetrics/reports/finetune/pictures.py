"""The pictures of the worst errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets import RenderedImage
from perceptmetrics.pages import thumbnail_or_grey
from perceptmetrics.plots import GalleryImage
from perceptmetrics.reports.finetune.errors import worst_errors
from perceptmetrics.reports.finetune.tables import figures_of

if TYPE_CHECKING:
    from PIL import Image

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune import RunResult
    from perceptmetrics.reports.finetune.errors import WorstErrors

__all__ = ["gallery_sections", "labelled_errors", "small_picture"]

WORST = 8
"""Images of each kind."""
_SIDE = 240  # pixels


def small_picture(dataset: LabelledImages, place: int) -> Image.Image:
    """The image at a place of a data set, small."""
    item = dataset.images[place]
    source = item.render().float().div(255) if isinstance(item, RenderedImage) else item
    return thumbnail_or_grey(source, _SIDE)


def labelled_errors(result: RunResult, dataset: LabelledImages) -> list[tuple[str, WorstErrors]]:
    """The worst errors of each rating, or of the classes, under headings that say which rating is meant."""
    found = []
    for label in figures_of(dataset):
        for kind in worst_errors(result, dataset, label, WORST):
            of = f"{label}: " if len(figures_of(dataset)) > 1 else ""
            found.append((f"{of}{kind.heading}", kind))
    return found


def gallery_sections(result: RunResult, dataset: LabelledImages) -> list[tuple[str, list[GalleryImage]]]:
    """The same as sections of a plot."""
    return [
        (
            heading,
            [
                GalleryImage(
                    pixels=np.asarray(small_picture(dataset, image.place)),
                    text=f"{image.predicted}, {image.truth}",
                    name=dataset.names[image.place],
                )
                for image in kind.images
            ],
        )
        for heading, kind in labelled_errors(result, dataset)
    ]
