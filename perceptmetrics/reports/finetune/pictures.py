"""The pictures of the worst errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets import RenderedImage
from perceptmetrics.reports.finetune.errors import worst_errors
from perceptmetrics.reports.finetune.tables import figures_of
from perceptmetrics.reports.pages import thumbnail_or_grey
from perceptmetrics.reports.plots import GalleryImage

if TYPE_CHECKING:
    from PIL import Image

    from perceptmetrics.datasets import LabelledImages
    from perceptmetrics.finetune import RunResult

__all__ = ["WORST", "gallery_sections", "small_picture"]

WORST = 8
"""Images of each kind."""
_SIDE = 240  # pixels


def small_picture(dataset: LabelledImages, place: int) -> Image.Image:
    """The image at a place of a data set, small."""
    item = dataset.images[place]
    source = item.render().float().div(255) if isinstance(item, RenderedImage) else item
    return thumbnail_or_grey(source, _SIDE)


def gallery_sections(result: RunResult, dataset: LabelledImages) -> list[tuple[str, list[GalleryImage]]]:
    """The worst errors of each rating, or of the classes, as sections of a plot."""
    labels = figures_of(dataset)
    return [
        (
            f"{label}: {kind.heading}" if len(labels) > 1 else kind.heading,
            [
                GalleryImage(
                    pixels=np.asarray(small_picture(dataset, image.place)),
                    text=f"{image.predicted}\n{image.truth}",
                    name=dataset.names[image.place],
                )
                for image in kind.images
            ],
        )
        for label in labels
        for kind in worst_errors(result, dataset, label, WORST)
    ]
