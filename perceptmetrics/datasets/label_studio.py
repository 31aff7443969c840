"""Images that were rated, classified or compared in Label Studio, from its export.

Layout: a folder of images with the export as JSON, JSON-MIN or CSV (the only `.json` in it, otherwise the only `.csv`).
An image is the file with the name that the export gives it: the end of a path, of an address or of
`/data/local-files/?d=PATH`; for uploads with or without the eight digits before the name.

Labels: the mean of the annotators' ratings (controls Rating and Number), the class that most of them chose (Choices),
or Bradley-Terry scores of their choices between two images (Pairwise), see `choices`. Annotations that were cancelled
are left out, as are predictions and drafts. Not verified against an export of the Enterprise edition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceptmetrics.datasets.answers import with_mean_ratings, with_most_votes
from perceptmetrics.datasets.comparisons import Apart, Choice, compared_images, with_win_rates
from perceptmetrics.datasets.csv_file import check_task
from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.label_studio_controls import Controls, chosen_controls, image_key, sides
from perceptmetrics.datasets.label_studio_export import Annotation, Export, read_export
from perceptmetrics.datasets.listing import Listing, Missing, assemble
from perceptmetrics.datasets.raters import Answers, Repeats, Ties
from perceptmetrics.datasets.rating_scales import End, Ends
from perceptmetrics.datasets.references import find_references, path_of
from perceptmetrics.errors import DatasetError, InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from perceptmetrics.datasets.labelled import LabelledImages
    from perceptmetrics.spec import Task

__all__ = ["INFO", "read"]

INFO = DatasetInfo(
    name="label_studio",
    title="an export of Label Studio",
    task="quality",
    paper="your own",
    licence="your own",
    obtain="the images that the export names",
    scale="options lower, upper, lower_is_better; choices 0..1",
    splits="10 drawn, 80/20",
)


def read(
    root: Path,
    missing: Missing,
    *,
    table: str | None = None,
    image: str | None = None,
    columns: Sequence[str] | None = None,
    class_column: str | None = None,
    pair_column: str | None = None,
    left: str | None = None,
    right: str | None = None,
    lower: End = None,
    upper: End = None,
    lower_is_better: bool = False,
    positive_labels: Sequence[str] = (),
    repeats: Repeats = "error",
    ties: Ties = "error",
    prior: float = 0.1,
    apart: Apart = "error",
    task: Task | None = None,
) -> LabelledImages:
    """Read a folder and an export.

    Args:
        root: The folder.
        missing: See `load_dataset`.
        table: The export, a path relative to the folder; None for the only `.json`, otherwise the only `.csv` in it.
        image: Name of the image in the data of a task; None for the only text there that names an image.
        columns: Controls whose numbers are the ratings (Rating, Number, or Choices of numbers); None for the only one.
        class_column: Control whose choices are classes.
        pair_column: Control by which one of two images is chosen.
        left: Name of the left one of two images in the data of a task.
        right: Name of the right one.
        lower: Lower end of the scale, one number or one per control.
        upper: Upper end of the scale, likewise.
        lower_is_better: Whether the lower end is the good one.
        positive_labels: For classes that are emotions, the pleasant ones.
        repeats: What counts where one person annotated an image more than once, see `csv`.
        ties: What happens to images for which several classes have the most votes, see `csv`.
        prior: See `choices`.
        apart: See `choices`.
        task: Task of the labels; None for quality, attribute (several controls) or emotion (classes).
    """
    check_task(task)
    export = read_export(_export_path(root, table))
    stated = [columns] if isinstance(columns, str) else columns
    controls = chosen_controls(export, stated, class_column, pair_column)
    ends = Ends(lower=lower, upper=upper, lower_is_better=lower_is_better)
    if controls.kind != "rating" and ends.stated:
        raise InvalidOptionError("lower, upper and lower_is_better are for ratings; classes and choices have no scale.")
    if controls.kind != "choices" and positive_labels:
        raise InvalidOptionError("positive_labels needs class_column.")
    if controls.kind == "pairwise":
        return _compared(export, controls, root, missing, (left, right), prior=prior, apart=apart, task=task)
    answers, annotations = _answers(export, controls, image)
    listing = _listing(answers.names, root, task)
    if controls.kind == "choices":
        votes = [controls.class_of(annotation) for annotation in annotations]
        listing = with_most_votes(
            listing, answers, votes, positive_labels=positive_labels, repeats=repeats, ties=ties, notes=_notes(export)
        )
        return assemble(listing, missing)
    ratings = {name: [controls.number(annotation, name) for annotation in annotations] for name in controls.names}
    return assemble(with_mean_ratings(listing, answers, ratings, ends, repeats=repeats, notes=_notes(export)), missing)


def _export_path(root: Path, table: str | None) -> Path:
    if not root.is_dir():
        raise DatasetError(
            f"Expected a folder with an export of Label Studio, got {str(root)!r}, which is not a folder."
        )
    if table is not None:
        return root / table
    for suffix in ("json", "csv"):
        found = sorted(root.glob(f"*.{suffix}"))
        if len(found) > 1:
            names = ", ".join(path.name for path in found[:8])
            raise DatasetError(f"{root} holds several files ({names}). Say which is the export: --option table=NAME.")
        if found:
            return found[0]
    raise DatasetError(f"Expected an export of Label Studio (.json or .csv) in {root}, got none. Put it there.")


def _listing(references: Sequence[str], root: Path, task: Task | None) -> Listing:
    """The images of an export, by their path in the folder; if they are missing, by that in the export."""
    files = find_references(references, root)
    paths = [
        path_of(reference) if file is None else file.relative_to(root).as_posix()
        for reference, file in zip(references, files, strict=True)
    ]
    names = tuple(path if paths.count(path) == 1 else one for path, one in zip(paths, references, strict=True))
    return Listing(info=INFO, names=names, images=tuple(files), labels=(), task=task)


def _answers(export: Export, controls: Controls, image: str | None) -> tuple[Answers, list[Annotation]]:
    """The annotations with an answer, and whose they are."""
    used = [annotation for annotation in export.annotations if set(controls.names) & annotation.said.keys()]
    if not used:
        raise DatasetError(f"{export.path} holds no answers to {', '.join(controls.names)}.")
    key = image_key(export, image)
    raters = [annotation.rater for annotation in used]
    return (
        Answers(
            source=str(export.path),
            images=tuple(_reference(export, annotation, key) for annotation in used),
            raters=tuple(raters) if all(raters) else None,
            places=tuple(annotation.place for annotation in used),
        ),
        used,
    )


def _reference(export: Export, annotation: Annotation, key: str) -> str:
    if key not in annotation.data:
        raise DatasetError(f"{export.path}, {annotation.place}: the task has no {key!r}.")
    return annotation.data[key]


def _compared(
    export: Export,
    controls: Controls,
    root: Path,
    missing: Missing,
    stated: tuple[str | None, str | None],
    *,
    prior: float,
    apart: Apart,
    task: Task | None,
) -> LabelledImages:
    (name,) = controls.names
    left, right = sides(export, *stated)
    choices = [
        Choice(
            first=_reference(export, annotation, left),
            second=_reference(export, annotation, right),
            outcome=controls.outcome(annotation),
            rater=annotation.rater,
            place=annotation.place,
        )
        for annotation in export.annotations
        if name in annotation.said
    ]
    listing = _listing(compared_images(choices, str(export.path)), root, task)
    by_name = dict(zip(compared_images(choices, str(export.path)), listing.names, strict=True))
    return assemble(
        with_win_rates(
            listing,
            [_renamed(choice, by_name) for choice in choices],
            str(export.path),
            label=name,
            prior=prior,
            apart=apart,
            notes=(f"left is {left!r}, right is {right!r}", *_notes(export)),
        ),
        missing,
    )


def _renamed(choice: Choice, names: dict[str, str]) -> Choice:
    return Choice(
        first=names[choice.first],
        second=names[choice.second],
        outcome=choice.outcome,
        rater=choice.rater,
        place=choice.place,
    )


def _notes(export: Export) -> tuple[str, ...]:
    counts = ((export.cancelled, "cancelled annotations left out"), (export.empty, "tasks without an annotation"))
    return tuple(f"{count} {what}" for count, what in counts if count)
