"""`python -m tests.fuzz --seconds 3600`: fuzz every target, each in a process of its own, and print what came out."""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import tempfile
import traceback
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

from tests.fuzz.law import fuzz
from tests.fuzz.targets import TARGETS

_SHOWN = 20_000  # characters of an input


def main() -> int:
    """Parse the command line, fuzz, print a table; 1 if an input broke the law."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long, over all targets (default: %(default)s)")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="only this one; repeat for more")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="repeats a run (default: random)")
    options = parser.parse_args()
    names = options.target or list(TARGETS)
    print(f"Seed {options.seed}, {options.seconds / len(names):g} s for each of {', '.join(names)}.", flush=True)
    broken = [name for name in names if not _fuzzed(name, options.seconds / len(names), options.seed)]
    print(f"The law is broken by {', '.join(broken)}." if broken else "No input broke the law.")
    return bool(broken)


def _fuzzed(name: str, seconds: float, start: int) -> bool:
    """Fuzz a target in another process; whether every input obeyed the law."""
    with tempfile.TemporaryDirectory(prefix="perceptmetrics-fuzz-") as folder:
        note = Path(folder) / "input"
        ours, theirs = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(target=_work, args=(theirs, name, seconds, start, note))
        process.start()
        theirs.close()
        try:
            counts, error = ours.recv()
        except EOFError:
            counts, error = Counter(), ""
        process.join()
        if process.exitcode:
            error = f"The process died ({process.exitcode})."
        if error and note.exists():  # hypothesis reads the smallest input last
            error += f"\nThe input: {note.read_text(encoding='utf-8')[:_SHOWN]}"
    answers = ", ".join(f"{answer} {count:,}" for answer, count in counts.most_common())
    print(f"{name:10} {counts.total():>9,} inputs: {answers}", flush=True)
    if error:
        print(error, file=sys.stderr, flush=True)
    return not error


def _work(pipe: Connection, name: str, seconds: float, start: int, note: Path) -> None:
    counts: Counter[str] = Counter()
    error = ""
    try:
        counts = fuzz(TARGETS[name](), seconds=seconds, start=start, note=note)
    except BaseException:  # noqa: BLE001 - the parent prints it
        error = traceback.format_exc()
    pipe.send((counts, error))


if __name__ == "__main__":
    sys.exit(main())
