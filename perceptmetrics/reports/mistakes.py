"""Images of one class that a metric takes for another (PerceptCLIP, Fig. A.4 and A.5), and their thumbnails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceptmetrics.datasets import RenderedImage
from perceptmetrics.errors import InvalidOptionError, nearest_names
from perceptmetrics.reports.pages import thumbnail_or_grey

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from perceptmetrics.datasets import LabelledImages

__all__ = ["check_confusion", "confused_images", "small_image"]

_SIDE = 240  # pixels


def check_confusion(confusion: tuple[str, str] | None, datasets: Iterable[LabelledImages]) -> None:
    """Refuse a confusion of classes that no data set has.

    Args:
        confusion: The class of the label, and the one that is predicted for it; None for none.
        datasets: The data sets.

    Raises:
        InvalidOptionError: There is no such class in a data set with classes, or none with classes at all.
    """
    if confusion is None:
        return
    known = [dataset.labels for dataset in datasets if dataset.classes is not None]
    if not known:
        raise InvalidOptionError("confusion= goes with data sets of classes; these have ratings.")
    if not any(set(confusion) <= set(labels) for labels in known):
        unknown = next((label for label in confusion if label not in known[0]), confusion[0])
        raise InvalidOptionError(f"confusion=: there is no class {unknown!r}. {nearest_names(unknown, known[0])}")


def confused_images(
    confusion: tuple[str, str],
    labels: Sequence[str],
    tested: Iterable[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]],
) -> dict[int, float]:
    """Find the images of one class that were taken for another.

    Args:
        confusion: The class of the label, and the one that is predicted for it.
        labels: The classes.
        tested: For each test the indices of its N images, their classes, and the probabilities, shape (N, C).

    Returns:
        The highest probability of the wrong class by index of the image, the most confident mistake first.
    """
    true, predicted = (labels.index(label) for label in confusion)
    found: dict[int, float] = {}
    for images, classes, probabilities in tested:
        taken = (classes == true) & (probabilities.argmax(axis=1) == predicted)
        for index, confidence in zip(images[taken].tolist(), probabilities[taken, predicted].tolist(), strict=True):
            found[index] = max(confidence, found.get(index, 0.0))
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def small_image(dataset: LabelledImages, index: int) -> Image.Image:
    """Thumbnail of an image of a data set."""
    item = dataset.images[index]
    source = item.render().float().div(255) if isinstance(item, RenderedImage) else item
    return thumbnail_or_grey(source, _SIDE)
