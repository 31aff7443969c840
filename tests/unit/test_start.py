"""Entering the house: what is imported for a metric, and how much code runs until it is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import perceptmetrics
from perceptmetrics import create_metric

# Reached on 2026-11-28, before that 41 and 170. Lower them when the way gets shorter; think before raising them.
MOST_FILES, MOST_FUNCTIONS = 37, 143

LIBRARIES = ("open_clip", "transformers", "timm", "torchvision", "huggingface_hub", "matplotlib")


def entered(name: str) -> set[tuple[str, str]]:
    """Functions of the package, with their files, that run while a metric is created."""
    package = str(Path(perceptmetrics.__file__).parent)
    found: set[tuple[str, str]] = set()

    def note(frame, event, _):
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(package):
            found.add((code.co_filename.removeprefix(package), getattr(code, "co_qualname", code.co_name)))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        create_metric(name)
    finally:
        sys.setprofile(before)
    return found


def test_the_way_to_a_metric_gets_no_longer() -> None:
    create_metric("lite_iqa")  # what is done once in a process is not counted
    functions = entered("lite_iqa")
    files = {file for file, _ in functions}
    assert len(files) <= MOST_FILES, sorted(files)
    assert len(functions) <= MOST_FUNCTIONS, sorted(functions)


def test_libraries_are_imported_where_they_are_used() -> None:
    program = (
        "import sys, perceptmetrics\n"
        "for name in perceptmetrics.__all__: getattr(perceptmetrics, name)\n"
        f"libraries = {{{', '.join(map(repr, LIBRARIES))}}}\n"
        "print(*sorted(libraries & {*sys.modules}))\n"
        "perceptmetrics.create_metric('lite_iqa')\n"
        "print(*sorted(libraries & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    names, metric = (line.split() for line in done.stdout.splitlines())
    assert names == [], "imported by the public names alone"
    assert not {"open_clip", "transformers", "matplotlib"} & set(metric)
