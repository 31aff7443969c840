"""How long the command and the import take before anything is scored.

    python -m tests.benchmarks.start_up

Each is run ten times in a process of its own; the fastest counts.
"""

from __future__ import annotations

import subprocess
import sys
import time

COMMANDS = {
    "perceptmetrics list": "from perceptmetrics.apps.cli import main; main()",
    "import perceptmetrics": "import perceptmetrics",
    "import torch, for comparison": "import torch",
}


def main() -> None:
    """Print one line per command."""
    for title, program in COMMANDS.items():
        seconds = []
        for _ in range(10):
            start = time.perf_counter()
            command = [sys.executable, "-c", program, *(["list"] if "list" in title else [])]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - start)
        print(f"{title:30} {min(seconds):.2f} s")


if __name__ == "__main__":
    main()
