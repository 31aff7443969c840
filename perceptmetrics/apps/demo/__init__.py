"""A page to try metrics in the browser: `perceptmetrics demo`. Only the page itself needs the extra `demo`."""

from __future__ import annotations

from perceptmetrics.apps.demo.offers import Offer, offers
from perceptmetrics.apps.demo.studio import DemoLimits, Studio

__all__ = ["DemoLimits", "Offer", "Studio", "offers"]
