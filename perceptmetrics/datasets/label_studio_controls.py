"""Which controls of a Label Studio project hold the labels, and which data of its tasks are the images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perceptmetrics.datasets.decimals import read_number
from perceptmetrics.datasets.label_studio_export import Kind
from perceptmetrics.datasets.references import is_image_reference
from perceptmetrics.errors import DatasetError, InvalidOptionError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perceptmetrics.datasets.label_studio_export import Annotation, Export

__all__ = ["Controls", "chosen_controls", "image_key", "sides"]

_SIDES = (("1", "2"), ("a", "b"), ("left", "right"), ("first", "second"))
_OPTIONS: dict[Kind, str] = {"rating": "columns", "choices": "class_column", "pairwise": "pair_column"}


@dataclass(frozen=True, kw_only=True)
class Controls:
    """The controls that hold the labels.

    Attributes:
        source: The export, for messages.
        kind: What they ask for.
        names: Their names; one for classes and for choices between images.
    """

    source: str
    kind: Kind
    names: tuple[str, ...]

    def number(self, annotation: Annotation, name: str) -> float:
        """The rating in an annotation; NaN if there is none.

        Raises:
            DatasetError: It is no number.
        """
        said = annotation.said.get(name)
        if said is None:
            return math.nan
        number = read_number(str(said.value), ".") if isinstance(said.value, (str, int, float)) else None
        if number is None or isinstance(said.value, bool):
            raise self._refusal(annotation, name, "a number")
        return number

    def class_of(self, annotation: Annotation) -> str:
        """The class in an annotation.

        Raises:
            DatasetError: There are several.
        """
        (name,) = self.names
        value = annotation.said[name].value
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise self._refusal(annotation, name, "one choice")
        return str(value)

    def outcome(self, annotation: Annotation) -> float:
        """1 if the left image was chosen, 0 if the right one, 0.5 for neither.

        Raises:
            DatasetError: It is something else.
        """
        (name,) = self.names
        outcome = {"left": 1.0, "right": 0.0, "none": 0.5, "tie": 0.5}.get(str(annotation.said[name].value).lower())
        if outcome is None:
            raise self._refusal(annotation, name, "left or right")
        return outcome

    def _refusal(self, annotation: Annotation, name: str, expected: str) -> DatasetError:
        return DatasetError(
            f"{self.source}, {annotation.place}: expected {expected} in {name!r}, got {annotation.said[name].value!r}."
        )


def chosen_controls(
    export: Export, columns: Sequence[str] | None, class_column: str | None, pair_column: str | None
) -> Controls:
    """The controls that are stated, or the only one that can be meant.

    Raises:
        DatasetError: A stated control is not there, or several can be meant.
        InvalidOptionError: More than one of the options is given.
    """
    given: list[tuple[Kind, tuple[str, ...]]] = []
    if columns is not None:
        given.append(("rating", tuple(columns)))
    if class_column is not None:
        given.append(("choices", (class_column,)))
    if pair_column is not None:
        given.append(("pairwise", (pair_column,)))
    if len(given) > 1:
        raise InvalidOptionError("State one of columns, class_column and pair_column.")
    kinds = export.kinds()
    if given:
        kind, names = given[0]
        for name in names:
            if name not in kinds:
                raise DatasetError(f"{export.path} has no answers to {name!r}. {nearest_names(name, kinds)}")
        return Controls(source=str(export.path), kind=kind, names=names)
    found = {name: kind for name, kind in kinds.items() if kind != "text"}
    if len(found) == 1:
        ((name, kind),) = found.items()
        return Controls(source=str(export.path), kind=kind, names=(name,))
    raise DatasetError(_complaint(export, found, [name for name, kind in kinds.items() if kind == "text"]))


def _complaint(export: Export, found: Mapping[str, Kind], texts: Sequence[str]) -> str:
    if not export.annotations:
        return f"{export.path} holds no annotations that were submitted."
    if found:
        shown = "; ".join(f"--option {_OPTIONS[kind]}={name}" for name, kind in found.items())
        return f"{export.path} holds answers to {len(found)} controls. Say which are the labels: {shown}."
    return (
        f"{export.path} does not say which of {', '.join(texts)} is the control. If it holds classes: --option "
        "class_column=NAME; if it holds numbers: --option columns=NAME."
    )


def image_key(export: Export, stated: str | None) -> str:
    """The name of the image in the data of the tasks.

    Raises:
        DatasetError: The stated one is not there; or none or several can be meant.
    """
    names = _image_keys(export)
    if stated is not None:
        known = {key for annotation in export.annotations for key in annotation.data}
        if stated not in known:
            raise DatasetError(f"{export.path}: no task has {stated!r}. {nearest_names(stated, known)}")
        return stated
    if len(names) != 1:
        found = f"{', '.join(names)}" if names else "none"
        raise DatasetError(
            f"{export.path}: expected one image in the data of each task, got {found}. Say which it is: --option "
            "image=NAME."
        )
    return names[0]


def sides(export: Export, left: str | None, right: str | None) -> tuple[str, str]:
    """The names of the left and the right image in the data of the tasks.

    Raises:
        DatasetError: They are not stated, and the names do not say which is which.
    """
    if left is not None and right is not None:
        return image_key(export, left), image_key(export, right)
    names = _image_keys(export)
    for one, other in _SIDES:
        pairs = [(a, b) for a in names for b in names if a.endswith(one) and a.removesuffix(one) + other == b]
        if len(pairs) == 1 and len(names) == 2 and left is None and right is None:
            return pairs[0]
    raise DatasetError(
        f"{export.path}: which image is left, and which is right ({', '.join(names) or 'none found'})? Say it: "
        "--option left=NAME --option right=NAME."
    )


def _image_keys(export: Export) -> list[str]:
    """Names that stand for an image in the data of all tasks."""
    keys = dict.fromkeys(key for annotation in export.annotations for key in annotation.data)
    return [
        key for key in keys if all(key in one.data and is_image_reference(one.data[key]) for one in export.annotations)
    ]
