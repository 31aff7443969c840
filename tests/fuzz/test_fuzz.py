"""A few inputs for every target, and proof that the watch sees what it watches for."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from hypothesis import strategies as st

from perceptmetrics.errors import InvalidImageError
from tests.fuzz import __main__ as command
from tests.fuzz.law import LawBrokenError, Target, fuzz, within_limits
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_inputs_are_answered_or_refused(name: str) -> None:
    counts = fuzz(TARGETS[name](), examples=60)
    assert counts.total() >= 60
    assert len(counts) > 1  # some are read and some refused


def test_errors_of_ours_are_answers() -> None:
    def refuse(number: int) -> None:
        if number % 2:
            raise InvalidImageError("odd")

    assert set(fuzz(Target(inputs=st.integers(), read=refuse), examples=50)) == {"read", "InvalidImageError"}


def test_other_errors_break_the_law_and_the_smallest_input_is_told() -> None:
    def fail(number: int) -> None:
        if number > 1000:
            raise KeyError(number)

    with pytest.raises(KeyError) as caught:
        fuzz(Target(inputs=st.integers(0, 10**6), read=fail), examples=200)
    assert caught.value.args == (1001,)


def test_hanging_breaks_the_law() -> None:
    with pytest.raises(LawBrokenError, match=r"more than 0\.1 s"), within_limits(seconds=0.1):
        time.sleep(5)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_growing_breaks_the_law() -> None:
    with within_limits(megabytes=50):
        bytearray(10_000_000)
    with pytest.raises(LawBrokenError, match="more than 50 MB"), within_limits(megabytes=50):
        bytearray(b"x" * 200_000_000)


def test_no_guard_of_the_package_can_hide_that_the_law_is_broken() -> None:
    assert not issubclass(LawBrokenError, Exception)


@pytest.mark.parametrize(("kind", "told"), [("error", "KeyError"), ("death", "died (-9)")])
def test_the_command_says_what_broke_the_law(
    kind: str, told: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def read(number: int) -> None:
        if kind == "death":
            os.kill(os.getpid(), signal.SIGKILL)
        raise KeyError("no error of ours")

    monkeypatch.setattr(command, "TARGETS", {"bad": lambda: Target(inputs=st.integers(), read=read)})
    monkeypatch.setattr("sys.argv", ["fuzz", "--seconds", "1", "--seed", "3"])
    assert command.main() == 1
    printed = capfd.readouterr()
    assert told in printed.err
    assert "The input: 0" in printed.err
    assert "The law is broken by bad." in printed.out


def test_the_command_prints_counts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "TARGETS", {"good": lambda: Target(inputs=st.binary(), read=lambda _: None)})
    monkeypatch.setattr("sys.argv", ["fuzz", "--seconds", "0.5", "--seed", "3"])
    assert command.main() == 0
    assert "No input broke the law." in capsys.readouterr().out
    assert Path(command.__file__).name == "__main__.py"
