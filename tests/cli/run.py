"""Running the installed command as a user does: a real process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def perceptmetrics(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `perceptmetrics ARGUMENTS` without a terminal and capture what it prints."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", "from perceptmetrics.apps.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "NO_COLOR": "1", **environment},
    )
