"""Render self-contained HTML pages from templates and images; knows nothing of metrics and experiments.

Needs the extra `plots`. Templates extend `templates/base.html`.
"""

from __future__ import annotations

from perceptmetrics.reports.pages.embed import faithful_uri, jpeg_uri, png_uri, thumbnail, thumbnail_or_grey
from perceptmetrics.reports.pages.render import render_page

__all__ = ["faithful_uri", "jpeg_uri", "png_uri", "render_page", "thumbnail", "thumbnail_or_grey"]
