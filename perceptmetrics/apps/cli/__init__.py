"""The `perceptmetrics` command: parse, call the library, print."""

from __future__ import annotations

from perceptmetrics.apps.cli.app import main

__all__ = ["main"]
