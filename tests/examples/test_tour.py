"""The notebook runs from its first cell to its last, offline."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "tour.ipynb"
EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the cells print. Another process runs them, since the client leaves an event loop open."""
    folder = tmp_path_factory.mktemp("tour")
    command = [sys.executable, "-c", EXECUTE, str(NOTEBOOK), "executed.ipynb"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    notebook = nbformat.read(folder / "executed.ipynb", as_version=4)
    pieces = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") + str(output.get("data", {}).get("text/plain", "")) for output in pieces)


def test_the_notebook_is_kept_without_outputs() -> None:
    assert not any(cell.get("outputs") for cell in nbformat.read(NOTEBOOK, as_version=4).cells)


def test_every_cell_runs_and_finds_what_it_should(outputs: str) -> None:
    (srcc,) = re.findall(r"\{'sharpness': (\S+), 'noise': (\S+)\}", outputs)
    assert float(srcc[0]) > 0.8
    assert float(srcc[1]) < -0.8
    (trace,) = re.findall(r"score, step by step: \[(.*)\]", outputs)
    first, *_, last = map(float, trace.split(", "))
    assert last > first + 0.01
    assert [float(found) > 0.5 for found in re.findall(r"SRCC on left-out scenes (\S+)", outputs)] == [True, True]
    (own,) = re.findall(r"run \(0\.0, 1\.0\) tensor\(\[(.*)\]\)", outputs)
    sharp, dull = map(float, own.split(", "))
    assert sharp > dull + 0.2
