"""The installed command as a user runs it: a real process.

Each costs the import of PyTorch, so only a few tests start one; the others run the command `in_process`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def real_process(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `perceptmetrics ARGUMENTS` without a terminal and capture what it prints."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", "from perceptmetrics.apps.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "NO_COLOR": "1", **environment},
    )
