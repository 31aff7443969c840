"""Read and write the files of a study: its pairs and the choices of its participants, both CSV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

from perceptmetrics._util.csv_cells import csv_line, unmarked
from perceptmetrics._util.delimited import TextTableError, read_delimited
from perceptmetrics.errors import DatasetError
from perceptmetrics.experiments.agreement import Choice
from perceptmetrics.experiments.study import Side, Study, StudyPair

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

__all__ = ["CHOICE_COLUMNS", "PAIR_COLUMNS", "read_choices", "read_pairs", "write_pairs"]

PAIR_COLUMNS = ("pair", "left", "right", "left_score", "right_score", "metric_choice", "score")
CHOICE_COLUMNS = ("study", "participant", "pair", "choice", "seconds")


def write_pairs(study: Study) -> bytes:
    """The pairs of a study as a CSV with the columns `PAIR_COLUMNS`, in UTF-8."""
    lines = [csv_line(PAIR_COLUMNS)]
    for pair in study.pairs:
        scores = (pair.left_score, pair.right_score)
        lines.append(csv_line([pair.pair, pair.left, pair.right, *scores, pair.metric_choice, study.column]))
    return "".join(lines).encode("utf-8", "surrogateescape")


def read_pairs(path: str | os.PathLike[str]) -> Study:
    """Read the pairs that `write_pairs` wrote.

    Raises:
        DatasetError: The file is missing, corrupt or of another kind.
    """
    rows = _read(path, PAIR_COLUMNS)
    try:
        pairs = tuple(
            StudyPair(
                pair=int(row["pair"]),
                left=row["left"],
                right=row["right"],
                left_score=_score(row["left_score"]),
                right_score=_score(row["right_score"]),
                metric_choice=_side(row["metric_choice"]),
            )
            for row in rows
        )
    except ValueError as error:
        raise DatasetError(f"{path} is corrupt: {error}. Make the study again, or use the original file.") from error
    if not pairs:
        raise DatasetError(f"{path} contains no pairs.")
    return Study(column=rows[0]["score"], pairs=pairs)


def read_choices(paths: Iterable[str | os.PathLike[str]], study: Study) -> list[Choice]:
    """Read the choices that participants saved from the page of a study.

    Args:
        paths: One or several files. An answer that occurs in several of them counts once.
        study: The study that they belong to.

    Returns:
        The choices.

    Raises:
        DatasetError: A file is corrupt or belongs to another study, or one person answered a pair in two ways.
    """
    answers: dict[tuple[str, int], Choice] = {}
    for path in paths:
        for row in _read(path, CHOICE_COLUMNS):
            if row["study"] != study.identity:
                raise DatasetError(
                    f"{path} belongs to the study {row['study']}, but the pairs belong to {study.identity}. "
                    "Pass the pairs.csv that was written together with the page."
                )
            try:
                choice = Choice(participant=row["participant"], pair=int(row["pair"]), choice=_side(row["choice"]))
            except ValueError as error:
                raise DatasetError(f"{path} is corrupt: {error}.") from error
            if answers.setdefault((choice.participant, choice.pair), choice) != choice:
                raise DatasetError(
                    f"{path}: {choice.participant!r} answered pair {choice.pair} in two ways. If two people have this "
                    "name, rename one of them; otherwise leave out the older file."
                )
    return list(answers.values())


def _side(text: str) -> Side:
    for side in get_args(Side):
        if text == side:
            return side  # type: ignore[no-any-return] # one of the literals
    raise ValueError(f"expected one of {', '.join(get_args(Side))}, got {text!r}")


def _score(cell: str) -> float:
    """A score, with a decimal comma where a spreadsheet saved the file so."""
    return float(cell.replace(",", "."))


def _read(path: str | os.PathLike[str], columns: Sequence[str]) -> list[dict[str, str]]:
    """The cells of the columns; cells are separated as `read_delimited` says."""
    try:
        table = read_delimited(Path(path).read_bytes(), str(path), foreign=False)
        missing = [column for column in columns if column not in table.header]
        if missing:
            raise DatasetError(f"{path} has no column {', '.join(missing)}; expected a CSV with {', '.join(columns)}.")
        rows = [dict(zip(table.header, cells, strict=False)) for _, cells in table.rows]
        return [{column: unmarked(row.get(column, "")) for column in columns} for row in rows]
    except FileNotFoundError as error:
        raise DatasetError(f"{path} does not exist.") from error
    except (OSError, TextTableError) as error:
        raise DatasetError(f"{path} cannot be read: {error}.") from error
