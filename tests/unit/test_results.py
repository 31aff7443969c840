"""A file of scores is whole or absent, survives odd names, and a resumed run gives what an uninterrupted one gives."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from perceptmetrics.errors import FullDiskError, InvalidOptionError
from perceptmetrics.scoring.results import ScoredImage, format_row, format_start
from perceptmetrics.scoring.results_file import ResultsFile

COLUMNS = ["lite_iqa", "clipiqa.brightness"]
ROWS = [
    ScoredImage("a.png", {"lite_iqa": 0.1234567, "clipiqa.brightness": 1.0}),
    ScoredImage('comma, "quote".png', {"lite_iqa": 0.5, "clipiqa.brightness": 0.25}),
    ScoredImage("broken.png", error='broken.png is truncated, or "worse".\nSecond line.'),
    ScoredImage("carriage\rreturn.png", {"lite_iqa": 0.75, "clipiqa.brightness": 0.5}),
    ScoredImage("no utf-8 \udcff.png", {"lite_iqa": 0.0, "clipiqa.brightness": 0.75}),
]


def write(path: Path, rows: list[ScoredImage], form: str = "csv", *, resume: bool = False) -> None:
    file = ResultsFile(path, form, COLUMNS, resume=resume)
    for row in rows:
        file.add(file.done.get(row.name, row))
    file.finish()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_finished_file_holds_every_row_and_nothing_else_is_left(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"scores.{form}"
    write(path, ROWS, form)
    expected = format_start(COLUMNS, form) + "".join(format_row(row, COLUMNS, form) for row in ROWS)
    assert path.read_bytes() == expected.encode("utf-8", "surrogateescape")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("killed_after", range(len(ROWS) + 1))
def test_resumed_equals_uninterrupted(tmp_path: Path, form: str, killed_after: int) -> None:
    whole, resumed = tmp_path / f"whole.{form}", tmp_path / f"resumed.{form}"
    write(whole, ROWS, form)
    file = ResultsFile(resumed, form, COLUMNS, resume=False)
    for row in ROWS[:killed_after]:
        file.add(row)
    file.close()
    with file.journal.open("a") as stream:
        stream.write('{"name": "half a li')
    assert not resumed.exists()
    write(resumed, ROWS, form, resume=True)
    assert resumed.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_finished_file_is_added_to_and_failures_are_tried_again(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"scores.{form}"
    write(path, ROWS, form)
    mended = ScoredImage("broken.png", {"lite_iqa": 0.9, "clipiqa.brightness": 0.1})
    new = ScoredImage("new.png", {"lite_iqa": 0.3, "clipiqa.brightness": 0.2})
    write(path, [mended, new], form, resume=True)
    kept = [row for row in ROWS if row.error is None]
    expected = format_start(COLUMNS, form) + "".join(format_row(row, COLUMNS, form) for row in [*kept, mended, new])
    assert path.read_bytes() == expected.encode("utf-8", "surrogateescape")


def test_rows_of_a_resumed_run_are_not_scored_again(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    write(path, ROWS)
    resumed = ResultsFile(path, "csv", COLUMNS, resume=True)
    resumed.close()
    assert set(resumed.done) == {row.name for row in ROWS if row.error is None}


def test_an_interrupted_run_is_neither_overwritten_nor_mixed_with_other_metrics(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    file = ResultsFile(path, "csv", COLUMNS, resume=False)
    file.add(ROWS[0])
    file.close()
    before = file.journal.read_text()
    with pytest.raises(InvalidOptionError, match="--resume, or delete it"):
        ResultsFile(path, "csv", COLUMNS, resume=False)
    with pytest.raises(InvalidOptionError, match="has the columns"):
        ResultsFile(path, "csv", ["lite_iqa"], resume=True)
    assert file.journal.read_text() == before


def test_a_failure_while_rendering_leaves_the_old_file_and_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("old")
    file = ResultsFile(path, "csv", COLUMNS, resume=False)
    file.add(ROWS[0])

    def full_disk(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("perceptmetrics.scoring.results_file.format_row", full_disk)
    with pytest.raises(OSError, match="No space left"):
        file.finish()
    assert path.read_text() == "old"
    assert json.loads(file.journal.read_text().splitlines()[1])["name"] == "a.png"
    assert {entry.name for entry in tmp_path.iterdir()} == {"scores.csv", "scores.csv.partial"}


def test_two_runs_on_one_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    first = ResultsFile(path, "csv", COLUMNS, resume=False)
    for resume in (False, True):
        with pytest.raises(InvalidOptionError, match="Another run is writing"):
            ResultsFile(path, "csv", COLUMNS, resume=resume)
    first.add(ROWS[0])
    first.finish()
    assert [entry.name for entry in tmp_path.iterdir()] == ["scores.csv"]


@pytest.mark.parametrize("first_line", ["garbage\n", "[]\n", ""])
def test_a_journal_with_a_damaged_head_is_refused(tmp_path: Path, first_line: str) -> None:
    (tmp_path / "scores.csv.partial").write_text(first_line)
    with pytest.raises(InvalidOptionError, match="is corrupt"):
        ResultsFile(tmp_path / "scores.csv", "csv", COLUMNS, resume=True)


def test_damaged_lines_of_a_journal_are_scored_again(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    file = ResultsFile(path, "csv", COLUMNS, resume=False)
    file.add(ROWS[0])
    file.add(ROWS[1])
    file.close()
    lines = file.journal.read_text().splitlines(keepends=True)
    file.journal.write_text(lines[0] + lines[1][:20] + "\n" + lines[2])
    resumed = ResultsFile(path, "csv", COLUMNS, resume=True)
    resumed.close()
    assert list(resumed.done) == [ROWS[1].name]


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("csv", "image,lite_iqa,clipiqa.brightness,error\na.png,abc,0.5,\n"),
        ("jsonl", "hello\n"),
        ("jsonl", "[1]\n"),
        ("jsonl", '{"lite_iqa": 1}\n'),
    ],
)
def test_a_file_of_another_kind_is_not_resumed_and_not_touched(tmp_path: Path, form: str, content: str) -> None:
    path = tmp_path / f"scores.{form}"
    path.write_text(content)
    with pytest.raises(InvalidOptionError, match=r"is not a file of scores|has the columns"):
        ResultsFile(path, form, COLUMNS, resume=True)
    assert path.read_text() == content


def test_a_folder_or_device_is_no_output(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match="not a regular file"):
        ResultsFile(tmp_path, "csv", COLUMNS, resume=False)


def test_a_table_in_parquet_holds_every_row_to_the_last_bit(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    write(path, ROWS[:4], "parquet")
    table = pq.read_table(path)
    assert table.column_names == ["image", *COLUMNS, "error"]
    for row, cells in zip(ROWS[:4], table.to_pylist(), strict=True):
        assert (cells["image"], cells["error"]) == (row.name, row.error)
        for column in COLUMNS:
            expected = row.scores.get(column)
            assert cells[column] == (None if expected is None else np.float32(expected))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("killed_after", range(len(ROWS)))
def test_a_resumed_table_equals_an_uninterrupted_one(tmp_path: Path, killed_after: int) -> None:
    whole, resumed = tmp_path / "whole.parquet", tmp_path / "resumed.parquet"
    write(whole, ROWS, "parquet")
    write(resumed, ROWS[:killed_after], "parquet")
    file = ResultsFile(resumed, "parquet", COLUMNS, resume=True)
    for row in ROWS[: killed_after + 1]:
        file.add(file.done.get(row.name, row))
    file.close()
    write(resumed, ROWS, "parquet", resume=True)
    assert pq.read_table(resumed).equals(pq.read_table(whole))


def test_a_table_of_other_columns_is_not_resumed(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    write(path, ROWS, "parquet")
    before = path.read_bytes()
    with pytest.raises(InvalidOptionError, match="has the columns"):
        ResultsFile(path, "parquet", ["lite_iqa"], resume=True)
    path.write_bytes(before[:100])
    with pytest.raises(InvalidOptionError, match="is not a file of scores"):
        ResultsFile(path, "parquet", COLUMNS, resume=True)


def test_the_last_window_of_an_interrupted_run_is_scored_once_more(tmp_path: Path) -> None:
    """Its images may have been batched with others whose rows were not yet written."""
    path = tmp_path / "scores.csv"
    rows = [ScoredImage(f"{number}.png", dict.fromkeys(COLUMNS, 0.5), window=number // 3) for number in range(8)]
    file = ResultsFile(path, "csv", COLUMNS, resume=False)
    for row in rows:
        file.add(row)
    file.close()
    resumed = ResultsFile(path, "csv", COLUMNS, resume=True)
    assert list(resumed.done) == [row.name for row in rows[:6]]
    resumed.close()
    again = ResultsFile(path, "csv", COLUMNS, resume=True)
    assert list(again.done) == [row.name for row in rows[:6]], "rows that were trusted once stay so"
    again.close()


WHOLE = {"a.png": 0.5, "dir/b;é.png": 0.25, "c.png": 0.125}
ORIGIN = {"the weights of lite_iqa": "1", "the precision of lite_iqa": "None"}


def one_column(path: Path, form: str, *, resume: bool = False, names: dict[str, float] = WHOLE) -> dict[str, object]:
    """Score images with one metric; returns what was known before."""
    file = ResultsFile(path, form, ["lite_iqa"], resume=resume, names=list(names))
    for name, score in names.items():
        file.add(file.done.get(name, ScoredImage(name, {"lite_iqa": score})))
    file.finish()
    return dict(file.done)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_file_cut_at_any_byte_is_completed_or_refused(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"scores.{form}"
    one_column(path, form)
    whole = path.read_bytes()
    refused = 0
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        try:
            known = one_column(path, form, resume=True)
        except InvalidOptionError:
            assert path.read_bytes() == whole[:end]
            refused += 1
            continue
        assert path.read_bytes() == whole
        assert {name: row.scores["lite_iqa"] for name, row in known.items()}.items() <= WHOLE.items()
    assert refused <= len("image,lite_iqa,error"), "only a cut header is refused"


def test_a_cut_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    one_column(path, "parquet")
    whole = path.read_bytes()
    for end in (0, 3, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(InvalidOptionError, match=r"damaged since: .*Move it away"):
            one_column(path, "parquet", resume=True)
    path.write_bytes(whole[:4] + bytes(len(whole) // 4) + whole[4 + len(whole) // 4 :])
    try:
        one_column(path, "parquet", resume=True)
    except InvalidOptionError:
        return
    assert pq.read_table(path).column("lite_iqa").to_pylist() == list(WHOLE.values())


@pytest.mark.parametrize(
    ("form", "row"),
    [
        ("csv", "c.png,,\r\n"),
        ("csv", "c.png,nan,\n"),
        ("csv", "c.png,0.1\n"),
        ("jsonl", '{"image": "c.png", "lite_iqa": NaN}\n'),
    ],
)
def test_a_row_without_a_score_is_not_scored(
    tmp_path: Path, form: str, row: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"scores.{form}"
    one_column(path, form)
    whole = path.read_text()
    path.write_text("".join(whole.splitlines(keepends=True)[:-1]) + row)
    assert "c.png" not in one_column(path, form, resume=True)
    assert path.read_text() == whole
    assert "1 rows are incomplete" in caplog.text


@pytest.mark.parametrize(
    "row", ['{"image": 3, "lite_iqa": 0.5}', '{"image": "d", "lite_iqa": "0.5"}', '{"image": "d", "lite_iqa": true}']
)
def test_a_line_with_something_else_is_refused(tmp_path: Path, row: str) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_text(row + "\n")
    with pytest.raises(InvalidOptionError, match="is not a file of scores"):
        one_column(path, "jsonl", resume=True)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_names_that_a_spreadsheet_or_a_terminal_would_obey_are_known_again(tmp_path: Path, form: str) -> None:
    names = dict.fromkeys(["=1+1.png", "\x1b[2Ja.png", "\u202egnp.png", "'=x.png", "a\tb\r\nc.png", "-1.png"], 0.5)
    path = tmp_path / f"scores.{form}"
    one_column(path, form, names=names)
    before = path.read_bytes()
    assert list(one_column(path, form, resume=True, names=names)) == list(names)
    if form != "parquet":
        assert path.read_bytes() == before
        assert not set(before.decode()) & set("\x1b\u202e\t\r")


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_rows_of_names_that_were_composed_anew_are_known_again(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"scores.{form}"
    composed, decomposed = "\u00e9.png", "e\u0301.png"
    one_column(path, form, names={"a.png": 0.25, composed: 0.5})
    assert list(one_column(path, form, resume=True, names={"a.png": 0.25, decomposed: 0.9})) == ["a.png", decomposed]
    assert (
        one_column(path, form, resume=True, names={"a.png": 0.25, decomposed: 0.9})[decomposed].scores["lite_iqa"]
        == 0.5
    )
    both = one_column(path, form, resume=True, names={decomposed: 0.5, composed: 0.75})
    assert composed not in both, "a new file whose name only looks the same is scored"


def test_a_journal_refuses_other_weights_and_options(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    file = ResultsFile(path, "csv", COLUMNS, resume=False, origin=ORIGIN)
    file.add(ROWS[0])
    file.close()
    before = file.journal.read_bytes()
    for name in ORIGIN:
        with pytest.raises(InvalidOptionError, match=f"begun with other settings: {name}. .*or write to another file"):
            ResultsFile(path, "csv", COLUMNS, resume=True, origin={**ORIGIN, name: "2"})
    assert file.journal.read_bytes() == before
    verified: list[object] = []
    ResultsFile(path, "csv", COLUMNS, resume=True, origin=ORIGIN, verify=verified.append).close()
    assert not verified, "the record suffices"
    ResultsFile(path, "csv", COLUMNS, resume=True).close()
    with pytest.raises(InvalidOptionError, match="other settings"):
        ResultsFile(path, "csv", COLUMNS, resume=True, origin={**ORIGIN, "the weights of lite_iqa": "2"})


def test_a_table_refuses_other_weights(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    file = ResultsFile(path, "parquet", COLUMNS, resume=False, origin=ORIGIN)
    file.add(ROWS[0])
    file.finish()
    before = path.read_bytes()
    with pytest.raises(InvalidOptionError, match="other settings: the weights of lite_iqa"):
        ResultsFile(path, "parquet", COLUMNS, resume=True, origin={**ORIGIN, "the weights of lite_iqa": "2"})
    assert path.read_bytes() == before
    assert {entry.name for entry in tmp_path.iterdir()} == {"scores.parquet"}


@pytest.mark.parametrize("interrupted", [False, True])
def test_scores_without_a_record_are_verified_before_anything_is_written(tmp_path: Path, interrupted: bool) -> None:
    path = tmp_path / "scores.csv"
    file = ResultsFile(path, "csv", COLUMNS, resume=False)
    file.add(ROWS[0])
    file.close() if interrupted else file.finish()
    before = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
    seen: list[str] = []

    def refuse(done: dict[str, ScoredImage]) -> None:
        seen.extend(done)
        raise InvalidOptionError("other weights")

    with pytest.raises(InvalidOptionError, match="other weights"):
        ResultsFile(path, "csv", COLUMNS, resume=True, origin=ORIGIN, verify=refuse)
    assert seen == ["a.png"]
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == before


def test_an_interrupted_run_that_replaces_a_file_takes_nothing_from_it(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    one_column(path, "csv")
    other = ResultsFile(path, "csv", ["lite_iqa"], resume=False)
    other.add(ScoredImage("a.png", {"lite_iqa": 0.9}))
    other.close()
    assert list(one_column(path, "csv", resume=True, names={"a.png": 0.9, "c.png": 0.8})) == ["a.png"]
    assert path.read_text() == "image,lite_iqa,error\na.png,0.900000,\nc.png,0.800000,\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's device that is always full")
def test_a_full_disk_says_how_to_go_on_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "scores.csv"
    file = ResultsFile(path, "csv", ["lite_iqa"], resume=False)
    file.add(ScoredImage("a.png", {"lite_iqa": 0.5}))
    whole = file.journal
    file._stream.close()
    file._stream = Path("/dev/full").open("a")  # noqa: SIM115 - closed by the file of results
    with pytest.raises(
        FullDiskError, match=r"scores.csv.partial cannot be written: No space left.*continue with --resume"
    ):
        file.add(ScoredImage("c.png", {"lite_iqa": 0.125}))
    file.close()
    assert whole.is_file()
    resumed = ResultsFile(path, "csv", ["lite_iqa"], resume=True)
    assert list(resumed.done) == ["a.png"]

    def no_room(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(FullDiskError, match=r"scores.csv cannot be written: No space left.*continue with --resume"):
        resumed.finish()
    monkeypatch.undo()
    assert not path.exists()
    assert list(one_column(path, "csv", resume=True)) == ["a.png"]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize(
    "change",
    [
        {"scores": {"lite_iqa": 0.5}},
        {"scores": {"lite_iqa": 0.5, "clipiqa.brightness": 0.5, "other": 0.5}},
        {"scores": {"lite_iqa": "0.5", "clipiqa.brightness": 0.5}},
        {"scores": {"lite_iqa": True, "clipiqa.brightness": 0.5}},
        {"scores": {"lite_iqa": None, "clipiqa.brightness": 0.5}},
        {"scores": []},
        {"scores": {}},
        {"name": ["a.png"]},
        {"name": None},
        {"error": 5},
        {"window": "1"},
        {"more": 1},
    ],
)
def test_rows_of_a_journal_that_are_no_rows_are_scored_again(tmp_path: Path, form: str, change: dict) -> None:
    path = tmp_path / f"scores.{form}"
    file = ResultsFile(path, form, COLUMNS, resume=False)
    file.add(ROWS[0])
    file.add(ROWS[1])
    file.close()
    head, first, second = file.journal.read_text().splitlines()
    file.journal.write_text(f"{head}\n{json.dumps({**json.loads(first), **change})}\n{'[' * 100_000}\n{second}\n")
    resumed = ResultsFile(path, form, COLUMNS, resume=True)
    assert set(resumed.done) == {ROWS[1].name}
    for row in ROWS:
        resumed.add(row)
    resumed.finish()
    assert path.read_bytes() == written(tmp_path / f"again.{form}", form)


def written(path: Path, form: str) -> bytes:
    write(path, ROWS, form)
    return path.read_bytes()


def test_a_parquet_file_with_any_damage_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    write(path, ROWS, "parquet")
    whole = path.read_bytes()
    refused = 0
    for position in range(0, len(whole), 2):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            ResultsFile(path, "parquet", COLUMNS, resume=True).close()
        except InvalidOptionError:
            refused += 1
        path.with_name(path.name + ".partial").unlink(missing_ok=True)
    assert refused > 100


@pytest.mark.parametrize(
    ("cells", "metadata", "reason"),
    [
        ({"image": ["a"], "lite_iqa": ["0.5"], "error": [None]}, {}, "its columns hold"),
        ({"image": [1], "lite_iqa": [0.5], "error": [None]}, {}, "its columns hold"),
        ({"image": [None], "lite_iqa": [0.5], "error": [""]}, {}, "its columns hold|without an image"),
        ({"image": ["a"], "lite_iqa": [0.5], "error": [""]}, {"perceptmetrics": "{"}, "no JSON"),
        ({"image": ["a"], "lite_iqa": [0.5], "error": [""]}, {"perceptmetrics": "[" * 100_000}, "no JSON"),
        ({"image": ["a"], "lite_iqa": [0.5], "error": [""]}, {"perceptmetrics": "[]"}, "no object"),
    ],
)
def test_a_parquet_file_of_something_else_is_refused(tmp_path: Path, cells: dict, metadata: dict, reason: str) -> None:
    path = tmp_path / "scores.parquet"
    pq.write_table(pa.table(cells).replace_schema_metadata(metadata), path)
    with pytest.raises(InvalidOptionError, match=reason):
        ResultsFile(path, "parquet", ["lite_iqa"], resume=True)


def test_rows_that_came_together_count_whole_or_not_at_all(tmp_path: Path) -> None:
    def rows(start: int, window: int) -> list[ScoredImage]:
        good = [
            ScoredImage(f"{index}.png", {"lite_iqa": index / 8}, window=window) for index in range(start, start + 3)
        ]
        return [*good, ScoredImage(f"broken {start}.png", error="no image", window=window)]

    path = tmp_path / "scores.csv"
    file = ResultsFile(path, "csv", ["lite_iqa"], resume=False)
    for number in range(3):
        file.add_all(rows(10 * number, number))
    file.close()
    with file.journal.open("r+b") as stream:
        stream.truncate(file.journal.stat().st_size - 20)
    resumed = ResultsFile(path, "csv", ["lite_iqa"], resume=True)
    assert list(resumed.done) == ["0.png", "1.png", "2.png"]  # the last whole window is scored again
    for number in range(3):
        resumed.add_all(rows(10 * number, number))
    resumed.finish()
    whole = ResultsFile(tmp_path / "whole.csv", "csv", ["lite_iqa"], resume=False)
    for row in (row for number in range(3) for row in rows(10 * number, number)):
        whole.add(row)
    whole.finish()
    assert path.read_text() == (tmp_path / "whole.csv").read_text()
