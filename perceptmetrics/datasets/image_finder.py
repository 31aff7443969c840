"""Find the images of a data set by the names or numbers that another file has for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceptmetrics._util.text import composed
from perceptmetrics.errors import DatasetError, nearest_names

if TYPE_CHECKING:
    from pathlib import Path

    from perceptmetrics.datasets.labelled import LabelledImages

__all__ = ["ImageFinder"]


class ImageFinder:
    """Finds images by name, with or without folders and suffix, or by their number in the data set's own list.

    Args:
        dataset: The data set.
        file: The file with the names, for messages.
    """

    def __init__(self, dataset: LabelledImages, file: Path) -> None:
        self._dataset, self._file = dataset, file
        self._exact = {name: index for index, name in enumerate(dataset.names)}
        self._only: dict[str, int | None] = {}
        for index, name in enumerate(dataset.names):
            for key in {_bare(name), _bare(name).rpartition(".")[0]} - {""}:
                self._only[key] = None if key in self._only else index
        self._missing = {spelling for name in dataset.missing for spelling in (name, _bare(name))}

    def __call__(self, image: str | int, where: str) -> int | None:
        """Index of an image.

        Args:
            image: Its name or number.
            where: The line of the file, such as `", line 3"`, for messages.

        Returns:
            The index; None if the image was missing and skipped.

        Raises:
            DatasetError: There is no such image, or several have the name.
        """
        if isinstance(image, int):
            return self._numbered(image)
        index = self._exact.get(image)
        index = self._only.get(_bare(image)) if index is None else index
        if index is None and not {image, _bare(image)} & self._missing:
            several = _bare(image) in self._only
            reason = "stands for several images of" if several else "is no image of"
            advice = "Write its folder too." if several else nearest_names(image, self._dataset.names)
            raise DatasetError(f"{self._file}{where}: {image!r} {reason} {self._dataset.name}. {advice}")
        return index

    def _numbered(self, number: int) -> int:
        if self._dataset.missing:
            raise DatasetError(
                f"{self._file} numbers the images, but {len(self._dataset.missing)} of {self._dataset.name} are "
                "missing, so the numbers would stand for others. Complete the download, or list names."
            )
        if not 0 <= number < len(self._dataset):
            raise DatasetError(
                f"{self._file}: there is no image number {number} in {self._dataset.name}, which has "
                f"{len(self._dataset)} (from 0)."
            )
        return number


def _bare(name: str) -> str:
    """A name without folders, in composed Unicode."""
    return composed(name.strip().replace("\\", "/")).rpartition("/")[2]
