"""Where the real labelled images are; they are not part of the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("PERCEPTMETRICS_DATA", Path(__file__).parents[3] / "shared" / "data"))


def data_folder(name: str) -> Path:
    """Folder of a data set; skips the calling test where it is absent."""
    folder = ROOT / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent; set PERCEPTMETRICS_DATA to the folder of data sets")
    return folder
