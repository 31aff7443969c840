"""Is a data set on this disk what it should be? Counts, labels, sizes, damaged files, duplicates, leaks."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from perceptmetrics.datasets.registry import dataset_info, list_datasets
from perceptmetrics.datasets.report import DatasetReport, Leak, RatingReport, SizeReport
from perceptmetrics.errors import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from perceptmetrics.datasets.labelled import ImageItem, LabelledImages, Split

__all__ = ["check_dataset"]

PARTS = ("train", "validation", "test")


def check_dataset(
    dataset: LabelledImages,
    splits: Sequence[Split] = (),
    *,
    accept_missing: bool = False,
    progress: Callable[[], object] | None = None,
) -> DatasetReport:
    """Look for what would spoil training or its figures.

    Of image files the headers are read, not the pixels; those of equal length are compared byte for byte (by hash).

    Args:
        dataset: The data set, loaded with `missing="skip"` so that the check can go on where files are missing.
        splits: Splits to search for leaks, such as those of `make_splits`.
        accept_missing: Whether missing files are no problem.
        progress: Called once for each image.

    Returns:
        What was found; `DatasetReport.problems` says in words what is wrong.
    """
    sizes: list[tuple[int, int]] = []
    unreadable: dict[int, str] = {}
    for place, image in enumerate(dataset.images):
        if isinstance(image, Path):
            try:
                sizes.append(_size(image))
            except Exception as error:  # noqa: BLE001 - Pillow raises whatever a damaged file leads it to
                unreadable[place] = first_line(error)
        if progress is not None:
            progress()
    copies = _copies({place: image for place, image in enumerate(dataset.images) if place not in unreadable})
    return DatasetReport(
        name=dataset.name,
        task=dataset.task,
        images=len(dataset),
        expected_images=dataset_info(dataset.name).images if dataset.name in list_datasets() else None,
        missing=dataset.missing,
        missing_accepted=accept_missing,
        ratings=_ratings(dataset),
        class_counts=_class_counts(dataset),
        groups=None if dataset.inseparable is None else len(set(dataset.inseparable)),
        sizes=_summary(sizes),
        rendered=sum(not isinstance(image, Path) for image in dataset.images),
        unreadable=tuple((dataset.names[place], reason) for place, reason in unreadable.items()),
        duplicates=tuple(_in_different_groups(dataset, copies)),
        splits=len(splits),
        leaks=tuple(_leaks(dataset, splits, copies)),
    )


def _size(path: Path) -> tuple[int, int]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # no pixel is decoded
        with Image.open(path) as image:
            return image.size


def _summary(sizes: Sequence[tuple[int, int]]) -> SizeReport | None:
    if not sizes:
        return None
    counts = Counter(sizes)
    ((most_frequent, count),) = counts.most_common(1)

    def pixels(size: tuple[int, int]) -> int:
        return size[0] * size[1]

    return SizeReport(
        distinct=len(counts),
        most_frequent=most_frequent,
        share=count / len(sizes),
        fewest_pixels=min(counts, key=pixels),
        most_pixels=max(counts, key=pixels),
    )


def _ratings(dataset: LabelledImages) -> tuple[RatingReport, ...]:
    if dataset.ratings is None:
        return ()
    reports = []
    for label, scale, column in zip(dataset.labels, dataset.scales, dataset.ratings.T, strict=True):
        ratings = scale.restore(column[~np.isnan(column)])
        least, mean, greatest = (
            (ratings.min(), ratings.mean(), ratings.max()) if len(ratings) else (np.nan, np.nan, np.nan)
        )
        reports.append(
            RatingReport(
                label=label,
                scale=scale,
                images=len(ratings),
                least=float(least),
                mean=float(mean),
                greatest=float(greatest),
            )
        )
    return tuple(reports)


def _class_counts(dataset: LabelledImages) -> dict[str, int]:
    if dataset.classes is None:
        return {}
    counts = np.bincount(dataset.classes, minlength=len(dataset.labels))
    return dict(zip(dataset.labels, counts.tolist(), strict=True))


def _copies(images: Mapping[int, ImageItem]) -> list[list[int]]:
    """Images of equal content, two or more together."""
    by_length: dict[int, list[tuple[int, Path]]] = {}
    by_content: dict[str, list[int]] = {}
    for place, image in images.items():
        if isinstance(image, Path):
            by_length.setdefault(image.stat().st_size, []).append((place, image))
        else:
            by_content.setdefault(image.identity, []).append(place)
    for files in by_length.values():
        if len(files) > 1:
            for place, path in files:
                by_content.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), []).append(place)
    return [places for places in by_content.values() if len(places) > 1]


def _in_different_groups(dataset: LabelledImages, copies: Iterable[Sequence[int]]) -> Iterable[tuple[str, ...]]:
    groups = dataset.inseparable or dataset.names
    for places in copies:
        if len({groups[place] for place in places}) > 1:
            yield tuple(dataset.names[place] for place in places)


def _leaks(dataset: LabelledImages, splits: Sequence[Split], copies: Sequence[Sequence[int]]) -> Iterable[Leak]:
    for number, split in enumerate(splits, start=1):
        for parts in combinations(PARTS, 2):
            first, second = (getattr(split, part) for part in parts)
            for what, names in _shared(dataset, first, second, copies).items():
                if names:
                    yield Leak(split=number, parts=parts, what=what, names=names)


def _shared(
    dataset: LabelledImages, first: NDArray[np.intp], second: NDArray[np.intp], copies: Sequence[Sequence[int]]
) -> dict[str, tuple[str, ...]]:
    here, there = set(first.tolist()), set(second.tolist())
    shared = {"image": tuple(dataset.names[place] for place in sorted(here & there))}
    if dataset.inseparable is not None:
        groups = ({dataset.inseparable[place] for place in part} for part in (here, there))
        shared["group"] = tuple(sorted(set.intersection(*groups)))
    pairs = (
        (next((place for place in places if place in here), None), [place for place in places if place in there])
        for places in copies
    )
    shared["content"] = tuple(
        f"{dataset.names[one]} = {dataset.names[others[0]]}"
        for one, places in pairs
        if one is not None and (others := [place for place in places if place != one])
    )
    return shared
