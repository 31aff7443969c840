"""The law that every input must obey, and the watch over one process that fuzzes."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from perceptmetrics.errors import PerceptMetricsError

__all__ = ["LawBrokenError", "Target", "fuzz", "within_limits"]

_SECONDS = 10.0
_MEGABYTES = 700
_ROUND = 200  # examples


class LawBrokenError(BaseException):
    """An input took too long, or too much memory. No guard of the package may catch it."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Something that reads what strangers may have made.

    Attributes:
        inputs: What to feed it.
        read: Reads an input; raises nothing but `PerceptMetricsError`. What it returns says how it was answered.
        running: Context in which `read` works.
    """

    inputs: st.SearchStrategy[Any]
    read: Callable[[Any], str | None]
    running: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext


@contextlib.contextmanager
def within_limits(seconds: float = _SECONDS, megabytes: float = _MEGABYTES) -> Iterator[None]:
    """Raise `LawBrokenError` if the block takes longer, or its memory grows by more at any time."""

    def expire(*_: object) -> None:
        raise LawBrokenError(f"It takes more than {seconds:g} s.")

    before = signal.signal(signal.SIGALRM, expire)
    # For code in C that never returns.
    faulthandler.dump_traceback_later(6 * seconds, exit=True, file=sys.__stderr__ or sys.stderr)
    _reset_peak()
    resident = _memory("VmRSS")
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)
    grown = (_memory("VmHWM") - resident) / 1024
    if grown > megabytes:
        raise LawBrokenError(f"Its memory grows by {grown:.0f} MB, more than {megabytes:g} MB.")


def fuzz(
    target: Target,
    *,
    seconds: float | None = None,
    examples: int | None = None,
    start: int = 0,
    note: Path | None = None,
) -> Counter[str]:
    """Feed inputs to a target.

    Args:
        target: What reads them.
        seconds: How long; None for as long as `examples` last.
        examples: How many; None for as many as `seconds` allow.
        start: Seed; the same seed gives the same inputs.
        note: File that always holds the input that is being read, for processes that do not survive.

    Returns:
        How many inputs were answered in which way: "read", or the name of an error.

    Raises:
        Exception: An input broke the law; the error carries the smallest such input that was found.
    """
    counts: Counter[str] = Counter()
    broken = False
    end = None if seconds is None else time.monotonic() + seconds

    def is_over() -> bool:
        return end is not None and time.monotonic() > end

    def once(case: Any) -> None:
        nonlocal broken
        if is_over() and not broken:  # what is broken is made smaller, however long it takes
            return
        if note is not None:
            note.write_text(repr(case), encoding="utf-8", errors="backslashreplace")
        try:
            with within_limits():
                answer = target.read(case)
        except PerceptMetricsError as error:
            answer = type(error).__name__
        except BaseException:
            broken = True
            raise
        counts[answer or "read"] += 1

    with target.running(), _quiet():
        while not is_over() and (examples is None or sum(counts.values()) < examples):
            start += 1
            size = _ROUND if examples is None else examples
            run = settings(
                max_examples=size,
                deadline=None,
                database=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
                report_multiple_bugs=False,
            )(given(target.inputs)(once))
            seed(start)(run)()
            if examples is not None:
                break
    return counts


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def _reset_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _memory(name: str) -> int:
    """A line of /proc/self/status in kB; 0 on systems without it."""
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return int(text.partition(f"{name}:")[2].split()[0])
