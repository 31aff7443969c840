"""The examples in docstrings run and give what they show."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import perceptmetrics

PACKAGE = Path(perceptmetrics.__file__).parent
MODULES = sorted(
    ".".join(["perceptmetrics", *path.relative_to(PACKAGE).with_suffix("").parts])
    for path in PACKAGE.rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("module", MODULES)
def test_examples(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


def test_examples_stand_in_the_section_that_the_reference_knows() -> None:
    found = [str(path) for path in PACKAGE.rglob("*.py") if "\n    Example:\n" in path.read_text(encoding="utf-8")]
    assert found == [], "write Examples:, which is shown as code; Example: is shown as a quotation"
