"""Orders of emotions that data sets and metrics share."""

from __future__ import annotations

__all__ = ["EKMAN", "MIKELS", "MIKELS_POSITIVE"]

MIKELS = ("amusement", "awe", "contentment", "excitement", "anger", "disgust", "fear", "sadness")
"""Mikels' eight emotions in EmoSet's order, which is that of `perceptclip_emo`."""

MIKELS_POSITIVE = MIKELS[:4]

EKMAN = ("anger", "disgust", "fear", "joy", "sadness", "surprise")
"""Ekman's six, as EmotionROI's folders are called."""
