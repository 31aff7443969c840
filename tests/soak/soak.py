"""Scoring many images through the real command, stopped again and again.

    python -m tests.soak.soak --images 20000 --stops 6

An uninterrupted run gives the counts, the memory and the file to compare with. A second run is stopped at seeded
moments, by interrupts and kills in turn, and resumed each time.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.soak.images import make_images

# Where tests run in the background, interrupts are ignored and programs inherit that; a user's terminal does not.
PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from perceptmetrics.apps.cli import main; main()"
)
MEBIBYTE = 2**20


@dataclass(frozen=True, kw_only=True)
class Report:
    """What happened. Memory is resident, in MiB, as (share of the images done, memory)."""

    given: int
    broken: int
    scored: int
    failed: int
    stops: tuple[str, ...]
    same_file: bool
    memory: tuple[tuple[float, float], ...]
    seconds: float

    def peak(self, start: float, end: float) -> float:
        """Highest memory while the share of images done was in a range."""
        return max(size for share, size in self.memory if start <= share <= end)


class Run:
    """`perceptmetrics score FOLDER -o OUTPUT` in a process, watched through its journal."""

    def __init__(self, folder: Path, output: Path, *options: str) -> None:
        self._journal = output.with_name(output.name + ".partial")
        self._errors = output.with_suffix(".log").open("a")
        command = [sys.executable, "-c", PROGRAM, "score", str(folder), "-o", str(output), *options]
        self.process = subprocess.Popen(command, stderr=self._errors, env={**os.environ, "OMP_NUM_THREADS": "1"})
        self._position = self._lines = 0

    def rows(self) -> int:
        """Number of rows in the journal."""
        if self._journal.exists():
            with self._journal.open("rb") as stream:
                stream.seek(self._position)
                new = stream.read()
            self._position += len(new)
            self._lines += new.count(b"\n")
        return max(0, self._lines - 1)

    def memory(self) -> float:
        """Resident memory in MiB; 0 when the process has ended."""
        try:
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError, IndexError):
            return 0.0
        return pages * resource.getpagesize() / MEBIBYTE

    def ended(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    def close(self) -> int:
        """Wait for the end; the exit status."""
        status = self.process.wait()
        self._errors.close()
        return status


def soak(folder: Path, images: int, stops: int, seed: int, one_broken_in: int = 100) -> Report:
    """Make the images, score them in one go and with stops, and compare.

    Args:
        folder: An empty folder.
        images: Number of files.
        stops: How often the second run is stopped.
        seed: Of the moments.
        one_broken_in: See `make_images`.
    """
    start = time.monotonic()
    broken = make_images(folder / "images", images, one_broken_in)
    memory = _uninterrupted(folder, images)
    stopped = _interrupted(folder, images, stops, seed)
    whole = (folder / "whole.csv").read_bytes()
    with (folder / "whole.csv").open(newline="") as stream:
        failed = [bool(row["error"]) for row in csv.DictReader(stream)]
    return Report(
        given=images,
        broken=broken,
        scored=failed.count(False),
        failed=failed.count(True),
        stops=tuple(stopped),
        same_file=(folder / "stopped.csv").read_bytes() == whole,
        memory=tuple(memory),
        seconds=time.monotonic() - start,
    )


def _uninterrupted(folder: Path, images: int) -> list[tuple[float, float]]:
    run = Run(folder / "images", folder / "whole.csv")
    memory = []
    while not run.ended():
        if 0 < (rows := run.rows()) < images and (size := run.memory()):  # at its exit PyTorch imports more modules
            memory.append((rows / images, size))
        time.sleep(0.05)
    if (status := run.close()) != 1:  # some cannot be scored
        raise RuntimeError(f"The uninterrupted run ended with status {status}.")
    return memory


def _interrupted(folder: Path, images: int, stops: int, seed: int) -> list[str]:
    chosen = random.Random(seed)
    moments = sorted(chosen.sample(range(images // 20, images - images // 20), stops))
    stopped = []
    for number, moment in enumerate(moments):
        run = Run(folder / "images", folder / "stopped.csv", *(["--resume"] if number else []))
        while run.rows() < moment and not run.ended():
            time.sleep(0.002)
        time.sleep(chosen.random() * 0.05)
        sent = (signal.SIGINT, signal.SIGKILL)[number % 2]
        run.process.send_signal(sent)
        expected = 130 if sent == signal.SIGINT else -signal.SIGKILL
        if (status := run.close()) != expected or (folder / "stopped.csv").exists():
            raise RuntimeError(f"After {sent.name} at row {moment} the run ended with status {status}.")
        stopped.append(f"{sent.name} after {run.rows()} rows")
    if (status := Run(folder / "images", folder / "stopped.csv", "--resume").close()) != 1:
        raise RuntimeError(f"The last run ended with status {status}.")
    return stopped


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--stops", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = soak(Path(folder), arguments.images, arguments.stops, arguments.seed)
    print(f"| files given, of them broken | {report.given:,}, {report.broken:,} |")
    print(f"| scored + failed | {report.scored:,} + {report.failed:,} = {report.scored + report.failed:,} |")
    print(f"| resident memory, first tenth to fifth | {report.peak(0.1, 0.2):.0f} MiB |")
    print(f"| resident memory, last tenth | {report.peak(0.9, 1.0):.0f} MiB |")
    print(f"| stopped | {'; '.join(report.stops)} |")
    print(f"| file after the last resume | {'the same, byte for byte' if report.same_file else 'DIFFERS'} |")
    print(f"\n{report.seconds:.0f} s")


if __name__ == "__main__":
    main()
