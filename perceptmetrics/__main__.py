"""`python -m perceptmetrics` is the command `perceptmetrics`."""

from __future__ import annotations

from perceptmetrics.apps.cli import main

if __name__ == "__main__":
    main()
