"""A page to try metrics on, in the browser: `perceptmetrics demo`. Needs the extra `demo` to be shown."""

from __future__ import annotations

from perceptmetrics.apps.demo.offers import Offer, offers
from perceptmetrics.apps.demo.studio import DemoLimits, Studio

__all__ = ["DemoLimits", "Offer", "Studio", "offers"]
