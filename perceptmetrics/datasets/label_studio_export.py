"""Read what Label Studio exports (JSON, JSON-MIN, CSV) as a list of annotations; knows nothing of files of images.

JSON holds tasks with their annotations, each with results `{"from_name", "type", "value"}`. JSON-MIN and CSV hold a
record for each annotation, with the data of the task and the results by the name of their control; a cell of the CSV is
JSON, or the text of a single choice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from perceptmetrics.datasets.table import read_table
from perceptmetrics.errors import DatasetError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Annotation", "Export", "Kind", "Said", "read_export"]

Kind: TypeAlias = Literal["rating", "choices", "pairwise", "text"]
"""What a control asks for: a number, classes, one of two images; `text` is data of the task, or a single class."""

META = frozenset(
    ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "was_cancelled", "agreement")
)
_VALUES: dict[str, Kind] = {"rating": "rating", "number": "rating", "choices": "choices", "selected": "pairwise"}


@dataclass(frozen=True)
class Said:
    """What a person said with a control.

    Attributes:
        kind: What it asks for.
        value: A number, the name of a class, `"left"` or `"right"`; or several of them.
    """

    kind: Kind
    value: Any


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """What one person said of one task.

    Attributes:
        place: Where it is in the file.
        data: The texts among the task's data.
        rater: Who said it; empty where the export does not say.
        said: By the name of the control; may hold data of the task as `text`.
    """

    place: str
    data: Mapping[str, str]
    rater: str
    said: Mapping[str, Said] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Export:
    """An export.

    Attributes:
        path: The file.
        annotations: Those that were submitted.
        cancelled: Number of those that were skipped by the annotator.
        empty: Number of tasks without any.
    """

    path: Path
    annotations: tuple[Annotation, ...]
    cancelled: int = 0
    empty: int = 0

    def kinds(self) -> dict[str, Kind]:
        """The controls, by name, with what they ask for."""
        found: dict[str, Kind] = {}
        for annotation in self.annotations:
            for name, said in annotation.said.items():
                if found.setdefault(name, said.kind) == "text":
                    found[name] = said.kind
        return found


def read_export(path: Path) -> Export:
    """Read an export.

    Raises:
        DatasetError: It does not exist, cannot be read, or has another form.
    """
    if path.suffix.lower() != ".json":
        table = read_table(path)
        if not {"annotation_id", "annotator"} & set(table.header):
            raise _other_form(path, f"a table with the columns {', '.join(table.header)}")
        records = [{name: _parsed(cell) for name, cell in row.items() if cell} for row in table.rows]
        return _of_records(path, records, [f"line {line}" for line in table.lines])
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise DatasetError(f"{path} does not exist; expected an export of Label Studio.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} cannot be read as JSON: {first_line(error)}.") from error
    tasks = [content] if isinstance(content, dict) else content
    if not isinstance(tasks, list) or not tasks or not all(isinstance(task, dict) for task in tasks):
        raise _other_form(path, f"{type(content).__name__} {str(content)[:60]!r}")
    if all("annotations" in task or "completions" in task for task in tasks):
        return _of_tasks(path, tasks)
    if any("annotation_id" in task or "annotator" in task for task in tasks):
        places = [f"record {number}" for number in range(1, len(tasks) + 1)]
        return _of_records(path, tasks, places)
    raise _other_form(path, f"objects with {', '.join(map(str, list(tasks[0])[:8]))}")


def _other_form(path: Path, got: str) -> DatasetError:
    return DatasetError(
        f"{path} is no export of annotations by Label Studio: got {got}. Export the project as JSON, JSON-MIN or CSV."
    )


def _of_tasks(path: Path, tasks: list[dict[str, Any]]) -> Export:
    annotations, cancelled, empty = [], 0, 0
    for number, task in enumerate(tasks, start=1):
        given = task.get("annotations", task.get("completions"))
        data = task.get("data")
        if not isinstance(given, list) or not isinstance(data, dict):
            raise _other_form(path, f"a task without data or a list of annotations (task {task.get('id', number)})")
        valid = [one for one in given if isinstance(one, dict) and not _is_cancelled(one)]
        cancelled += len(given) - len(valid)
        texts = {str(key): value for key, value in data.items() if isinstance(value, str)}
        made = [_of_annotation(path, task.get("id", number), one, texts) for one in valid]
        empty += not any(one.said for one in made)
        annotations += [one for one in made if one.said]
    return Export(path=path, annotations=tuple(annotations), cancelled=cancelled, empty=empty)


def _is_cancelled(annotation: Mapping[str, Any]) -> bool:
    marks = (annotation.get("was_cancelled"), annotation.get("skipped"))
    return any(mark is True or str(mark).lower() == "true" for mark in marks)


def _of_annotation(path: Path, task: object, annotation: dict[str, Any], data: Mapping[str, str]) -> Annotation:
    place = f"task {task}, annotation {annotation.get('id', '?')}"
    said: dict[str, Said] = {}
    results = annotation.get("result")
    for result in results if isinstance(results, list) else []:
        if not isinstance(result, dict) or not isinstance(result.get("value"), dict):
            continue
        name, one = str(result.get("from_name")), _of_value(result["value"])
        if one is not None:
            if name in said:
                raise DatasetError(
                    f"{path}, {place}: {name!r} is answered more than once. Answers about regions of an image are not "
                    "labels of the image; export a project without perRegion."
                )
            said[name] = one
    return Annotation(place=place, data=data, rater=_name(annotation.get("completed_by")), said=said)


def _name(person: object) -> str:
    """Address or number of an annotator."""
    if isinstance(person, dict):
        person = person.get("email") or person.get("id")
    return "" if person is None else str(person)


def _of_records(path: Path, records: list[dict[str, Any]], places: list[str]) -> Export:
    annotations = []
    kept = [(record, place) for record, place in zip(records, places, strict=True) if not _is_cancelled(record)]
    for record, place in kept:
        said = dict(_said(path, place, record))
        data = {name: one.value for name, one in said.items() if one.kind == "text" and isinstance(one.value, str)}
        annotations.append(Annotation(place=place, data=data, rater=_name(record.get("annotator")), said=said))
    return Export(path=path, annotations=tuple(annotations), cancelled=len(records) - len(kept))


def _said(path: Path, place: str, record: Mapping[str, Any]) -> Iterator[tuple[str, Said]]:
    for name, value in record.items():
        if name in META:
            continue
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            several = [one for one in map(_of_value, value) if one is not None]
            if len(several) > 1:
                raise DatasetError(f"{path}, {place}: {name!r} is answered more than once, for regions of an image.")
            if several:
                yield name, several[0]
        elif isinstance(value, dict):
            one = _of_value(value)
            if one is not None:
                yield name, one
        elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
            yield name, Said("text", value)


def _of_value(value: Mapping[str, Any]) -> Said | None:
    """What the value of a result says; None if it says something else, such as a region."""
    for key, kind in _VALUES.items():
        if key in value:
            content = value[key]
            if isinstance(content, list) and len(content) == 1:
                content = content[0]
            return Said(kind, tuple(content) if isinstance(content, list) else content)
    return None


def _parsed(cell: str) -> object:
    """A cell of the CSV: JSON of results, otherwise text."""
    if cell[:1] not in ("[", "{"):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell
