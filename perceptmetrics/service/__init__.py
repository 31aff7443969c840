"""Scores over HTTP: `perceptmetrics serve`. Needs the extra `serve`."""

from __future__ import annotations

from perceptmetrics.service.app import create_app
from perceptmetrics.service.run import serve
from perceptmetrics.service.settings import ServiceSettings

__all__ = ["ServiceSettings", "create_app", "serve"]
