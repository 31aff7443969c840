"""Check a data set on disk: counts, labels, sizes, corrupt files, duplicates, leaks between splits."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics._util.files import open_regular
from perceptmetrics.datasets.registry import dataset_info, list_datasets
from perceptmetrics.datasets.report import DatasetReport, Leak, RatingReport, SizeReport
from perceptmetrics.datasets.twins import find_twins
from perceptmetrics.errors import InvalidImageError, first_line
from perceptmetrics.images.opening import open_image
from perceptmetrics.images.options import DEFAULT_DECODING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from perceptmetrics.datasets.labelled import LabelledImages, Split
    from perceptmetrics.datasets.twins import ImageIndex

__all__ = ["check_dataset"]

PARTS = ("train", "validation", "test")


def check_dataset(
    dataset: LabelledImages,
    splits: Sequence[Split] = (),
    *,
    accept_missing: bool = False,
    progress: Callable[[], object] | None = None,
) -> DatasetReport:
    """Look for problems that would invalidate training or its results.

    Of image files the headers are checked; small versions of their pixels tell which images show the same, see
    `perceptmetrics.datasets.twins`.

    Args:
        dataset: The data set, loaded with `missing="skip"` so that the check continues if files are missing.
        splits: Splits to search for leaks, such as those of `make_splits`.
        accept_missing: Whether to accept missing files.
        progress: Called for each image file that is looked at.

    Returns:
        The report; `DatasetReport.problems` lists the problems in words.
    """
    sizes: list[tuple[int, int]] = []
    unreadable: dict[int, str] = {}
    for index, image in enumerate(dataset.images):
        if isinstance(image, Path):
            try:
                sizes.append(_size(image))
            except (InvalidImageError, OSError) as error:
                unreadable[index] = first_line(error)
    twins = find_twins([dataset], progress)
    copies, alike = (_readable(groups, unreadable) for groups in (twins.copies, twins.alike))
    lookalikes = [indices for indices in alike if indices not in copies]
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
        unreadable=tuple((dataset.names[index], reason) for index, reason in unreadable.items()),
        duplicates=tuple(_in_different_groups(dataset, copies)),
        lookalikes=tuple(_in_different_groups(dataset, lookalikes)),
        splits=len(splits),
        leaks=tuple(_leaks(dataset, splits, copies, lookalikes)),
        pooled=dataset.pooled,
    )


def _size(path: Path) -> tuple[int, int]:
    with open_regular(path) as stream, open_image(stream, str(path), DEFAULT_DECODING) as image:
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
        fraction=count / len(sizes),
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


def _readable(groups: Iterable[Sequence[ImageIndex]], unreadable: Collection[int]) -> list[list[int]]:
    """Groups of two or more images that can be read, as indices into the only data set."""
    readable = ([index for _, index in group if index not in unreadable] for group in groups)
    return [indices for indices in readable if len(indices) > 1]


def _in_different_groups(dataset: LabelledImages, copies: Iterable[Sequence[int]]) -> Iterable[tuple[str, ...]]:
    groups = dataset.inseparable or dataset.names
    for indices in copies:
        if len({groups[index] for index in indices}) > 1:
            yield tuple(dataset.names[index] for index in indices)


def _leaks(
    dataset: LabelledImages, splits: Sequence[Split], copies: Sequence[Sequence[int]], alike: Sequence[Sequence[int]]
) -> Iterable[Leak]:
    for number, split in enumerate(splits, start=1):
        for parts in combinations(PARTS, 2):
            here, there = (set(getattr(split, part).tolist()) for part in parts)
            shared = {
                "image": tuple(dataset.names[index] for index in sorted(here & there)),
                "group": _shared_groups(dataset, here, there),
                "content": tuple(_pairs(dataset, here, there, copies)),
                "picture": tuple(_pairs(dataset, here, there, alike)),
            }
            for what, names in shared.items():
                if names:
                    yield Leak(split=number, parts=parts, what=what, names=names)


def _shared_groups(dataset: LabelledImages, here: set[int], there: set[int]) -> tuple[str, ...]:
    if dataset.inseparable is None:
        return ()
    groups = ({dataset.inseparable[index] for index in part} for part in (here, there))
    return tuple(sorted(set.intersection(*groups)))


def _pairs(dataset: LabelledImages, here: set[int], there: set[int], twins: Iterable[Sequence[int]]) -> Iterable[str]:
    """For each group of twins that has an image in both parts, one image of each."""
    for indices in twins:
        one = next((index for index in indices if index in here), None)
        other = next((index for index in indices if index in there and index != one), None)
        if one is not None and other is not None:
            yield f"{dataset.names[one]} = {dataset.names[other]}"
