"""Running the command line in this process, where the tiny metrics are registered."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import typer.main

from perceptmetrics.apps.cli import main

_built = cache(typer.main.get_command)  # building all commands anew takes longer than most of them


class Result(NamedTuple):
    """What a command printed, and how it ended."""

    returncode: int
    stdout: str
    stderr: str


class Command:
    """`perceptmetrics ARGUMENTS`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> Result:
        self._monkeypatch.setattr("typer.main.get_command", _built)
        self._monkeypatch.setattr("sys.argv", ["perceptmetrics", *map(str, arguments)])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = self._capsys.readouterr()
        return Result(int(ended.value.code or 0), captured.out, " ".join(captured.err.split()))
