"""Where things are printed: results on standard output, everything else on standard error."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from rich.console import Console
from rich.text import Text

from perceptmetrics._util.text import printable

__all__ = ["fail", "messages", "printable", "results"]

messages = Console(stderr=True, highlight=False, soft_wrap=True)
# A pipe has no width of its own: do not fold tables there at 80 columns.
results = Console(highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160)


def fail(message: str, status: int = 2) -> NoReturn:
    """Print an error and leave with its status."""
    messages.print(Text("Error: ", style="bold red"), Text(message), sep="")
    raise SystemExit(status)
