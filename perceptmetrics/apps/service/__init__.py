"""Scores over HTTP: `perceptmetrics serve`. Needs the extra `serve`."""

from __future__ import annotations

from perceptmetrics.apps.service.app import create_app, serve
from perceptmetrics.apps.service.settings import ServiceSettings

__all__ = ["ServiceSettings", "create_app", "serve"]
