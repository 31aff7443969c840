"""A tripwire for images that a fault of a program has broken: `find_broken`, `check_images`.

Knows pixels and the encoder of `lite_iqa`, offline. It does not judge quality: a poor photograph is healthy.
"""

from __future__ import annotations

from perceptmetrics.tripwire.find import check_images, find_broken
from perceptmetrics.tripwire.verdicts import KINDS, Verdict

__all__ = ["KINDS", "Verdict", "check_images", "find_broken"]
