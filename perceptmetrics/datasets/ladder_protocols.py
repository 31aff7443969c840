"""Fixed ladders of degradations, for testing."""

from __future__ import annotations

from dataclasses import dataclass

from perceptmetrics.datasets.degradations import Manner

__all__ = ["PROTOCOLS", "Protocol"]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Fixed ladders for testing.

    Attributes:
        long_side: Longest side of the photographs in pixels.
        manner: Parameters of the degradations.
        strengths: Increasing strengths of each kind.
    """

    long_side: int
    manner: Manner
    strengths: dict[str, tuple[float, ...]]


PROTOCOLS = {
    "wide": Protocol(
        long_side=1280,
        manner=Manner(chroma_subsampling=2, shrink_with="bicubic", enlarge_with="bicubic", linear_light=True),
        strengths={
            "blur": (0.8, 1.6, 2.6, 4, 6),
            "noise": (0.02, 0.04, 0.08, 0.12, 0.2),
            "jpeg": (80, 50, 30, 15, 7),
            "scale": (0.75, 0.5, 0.35, 0.25, 0.15),
            "over": (0.5, 1, 1.5, 2, 2.5),
            "under": (0.5, 1, 1.5, 2, 2.5),
            "contrast": (0.3, 0.5, 0.65, 0.8, 0.9),
            "colour": (0.3, 0.5, 0.7, 0.85, 1),
        },
    ),
    "mild": Protocol(
        long_side=1280,
        manner=Manner(),
        strengths={
            "blur": (0.5, 1, 1.5, 2, 3),
            "noise": (0.01, 0.02, 0.03, 0.05, 0.08),
            "jpeg": (90, 75, 60, 40, 20),
            "scale": (0.8, 0.65, 0.5, 0.4, 0.3),
            "over": (0.3, 0.6, 0.9, 1.2, 1.5),
            "under": (0.3, 0.6, 0.9, 1.2, 1.5),
            "contrast": (0.1, 0.2, 0.3, 0.4, 0.5),
            "colour": (0.15, 0.3, 0.45, 0.6, 0.75),
        },
    ),
    "small": Protocol(
        long_side=640,
        manner=Manner(fresh_noise=False, chroma_subsampling=2, shrink_with="bilinear"),
        strengths={
            "blur": (1, 2, 3, 4, 5),
            "noise": (5 / 255, 10 / 255, 20 / 255, 30 / 255, 50 / 255),
            "jpeg": (70, 50, 30, 20, 10),
            "scale": (1 / 1.5, 1 / 2, 1 / 3, 1 / 4, 1 / 6),
            "over": (0.4, 0.8, 1.2, 1.6, 2),
            "under": (0.4, 0.8, 1.2, 1.6, 2),
            "contrast": (0.15, 0.3, 0.45, 0.6, 0.75),
            "colour": (0.2, 0.4, 0.6, 0.8, 0.95),
        },
    ),
}
