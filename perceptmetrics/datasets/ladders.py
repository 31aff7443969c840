"""Ladders of degradations: any folder of photographs, each degraded with increasing strength in six ways.

Layout: a folder of photographs at any depth. Nothing is written: degraded photographs are rendered when they are read.

Each photograph has random ladders for training. For each way of showing it (whole; shrunk to a long side of 480 to 960
pixels; a crop of 384 to 640 pixels; whole and mirrored) and each kind (blur, noise, JPEG, scaling down and up, over-
and under-exposure) there is an undegraded rung and five rungs of increasing strength. Strengths and manner (filters,
chroma subsampling, linear light, ...) are drawn for each ladder. The ladders of three fixed protocols are for testing
only: "wide" and "mild" show photographs at a long side of 1280 pixels, "small" at 640.

Scale: 0 for the undegraded rung, 4 to 8 for the degraded ones, lower is better; rungs are comparable only within a
ladder. The first step is the largest because it is the hardest to see and the most important: whether the image was
degraded at all. Splits: none are published; random splits keep all ladders of a photograph together.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets.degradations import KINDS, Degradation, Manner, draw_ladder, fixed_ladder
from perceptmetrics.datasets.degraded import DegradedPhotograph, Showing
from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.labelled import LabelledImages, Scale
from perceptmetrics.errors import DatasetError, InvalidImageError, InvalidOptionError, nearest_names
from perceptmetrics.images.find import find_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.datasets.listing import Missing

__all__ = ["INFO", "PROTOCOLS", "SHOWINGS", "Protocol", "make_ladders", "read"]

INFO = DatasetInfo(
    name="ladders",
    title="ladders of degradations of any photographs",
    task="quality",
    paper="none",
    licence="that of the photographs",
    obtain="a folder of photographs of your own",
    scale="degradation 0 (none) or 4..8, lower is better, within a ladder",
    splits="10 drawn, 80/20 by photograph, 10 % of train for validation",
)
SHOWINGS = ("whole", "shrunk", "crop", "mirrored")
_DEGRADATION = np.array([0.0, 4.0, 5.0, 6.0, 7.0, 8.0])  # of each rung


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
        },
    ),
}


@dataclass(frozen=True, kw_only=True)
class _Ladder:
    """A ladder: its name, what its rungs show, their degradations, and whether it is for testing only."""

    name: str
    photograph: Path
    showing: Showing
    steps: tuple[Degradation, ...]
    test_only: bool

    @property
    def rungs(self) -> list[DegradedPhotograph]:
        return [
            DegradedPhotograph(photograph=self.photograph, showing=self.showing, degradation=step)
            for step in (None, *self.steps)
        ]


def read(
    root: Path,
    missing: Missing,  # noqa: ARG001 - there is no list of expected photographs
    *,
    kinds: Sequence[str] = KINDS,
    showings: Sequence[str] = SHOWINGS,
    protocols: Sequence[str] = tuple(PROTOCOLS),
    seed: int = 0,
) -> LabelledImages:
    """List the ladders of a folder of photographs.

    Args:
        root: The folder.
        missing: See `load_dataset`; nothing can be missing.
        kinds: Kinds of degradation.
        showings: Ways of showing a photograph, each with a random ladder of every kind. A repeated showing or kind is
            drawn again each time.
        protocols: Fixed ladders, for testing only.
        seed: Seed of the random ladders, together with the photograph's name.
    """
    found = _photographs(root)
    names = [photograph.relative_to(root).as_posix() for photograph in found]
    return make_ladders(INFO, found, names, kinds, showings, protocols, seed)


def make_ladders(
    info: DatasetInfo,
    photographs: Sequence[Path],
    names: Sequence[str],
    kinds: Sequence[str],
    showings: Sequence[str],
    protocols: Sequence[str],
    seed: int,
) -> LabelledImages:
    """Build a data set from the ladders of photographs.

    Args:
        info: Facts about the data set.
        photographs: Files of the photographs.
        names: Their names; splits keep all ladders of a name together.
        kinds: Kinds of degradation; see `read`, also for the other arguments.
        showings: Ways of showing a photograph.
        protocols: Fixed ladders.
        seed: Seed of the random ladders.
    """
    kinds = _chosen("kinds", kinds, KINDS)
    showings = _chosen("showings", showings, SHOWINGS)
    protocols = tuple(dict.fromkeys(_chosen("protocols", protocols, tuple(PROTOCOLS))))
    if seed < 0:
        raise InvalidOptionError(f"Expected a seed of 0 or more, got {seed!r}.")
    if not kinds or not (showings or protocols):
        raise InvalidOptionError("Expected at least one kind, and at least one showing or protocol.")
    made = [
        (name, ladder)
        for name, photograph in zip(names, photographs, strict=True)
        for ladder in [
            *_random_ladders(photograph, (seed, _key(name)), kinds, showings),
            *_fixed_ladders(photograph, _key(name), tuple(dict.fromkeys(kinds)), protocols),
        ]
    ]
    rungs = len(_DEGRADATION)
    scale = Scale(lower=0, upper=_DEGRADATION[-1], higher_is_better=False)
    return LabelledImages(
        name=info.name,
        task=info.task,
        images=tuple(rung for _, ladder in made for rung in ladder.rungs),
        names=tuple(f"{name}/{ladder.name}/{rung}" for name, ladder in made for rung in range(rungs)),
        labels=("quality",),
        ratings=scale.normalise(np.tile(_DEGRADATION, len(made)))[:, None],
        scales=(scale,),
        groups=tuple(f"{name}/{ladder.name}" for name, ladder in made for _ in range(rungs)),
        contents=tuple(name for name, _ in made for _ in range(rungs)),
        ranks_within_groups=True,
        test_only=np.repeat([ladder.test_only for _, ladder in made], rungs),
    )


def _photographs(root: Path) -> list[Path]:
    if not root.is_dir():
        raise DatasetError(f"Expected a folder of photographs, got {str(root)!r}, which is not a folder.")
    try:
        return list(find_images([root]))
    except InvalidImageError as error:
        raise DatasetError(f"Expected photographs in {root}, got none. {error}") from error


def _key(name: str) -> int:
    """A number that identifies a photograph independently of its folder."""
    return zlib.crc32(name.encode("utf-8", "surrogatepass"))


def _random_ladders(
    photograph: Path, seed: tuple[int, ...], kinds: Sequence[str], showings: Sequence[str]
) -> list[_Ladder]:
    """Draw ladders that depend only on the seed, the showing, the kind, and the repetition of these."""
    made = []
    for showing, showing_repeat in _counted(showings):
        own = (*seed, SHOWINGS.index(showing), showing_repeat)
        shown = _draw_showing(showing, own)
        for kind, repeat in _counted(kinds):
            steps = tuple(draw_ladder(kind, (*own, KINDS.index(kind), *[repeat] * bool(repeat))))
            name = f"{_numbered(showing, showing_repeat)}/{_numbered(kind, repeat)}"
            made.append(_Ladder(name=name, photograph=photograph, showing=shown, steps=steps, test_only=False))
    return made


def _counted(values: Sequence[str]) -> list[tuple[str, int]]:
    """Each value, and how often it occurred before."""
    return [(value, values[:index].count(value)) for index, value in enumerate(values)]


def _numbered(name: str, repeat: int) -> str:
    return f"{name}{repeat + 1}" if repeat else name


def _draw_showing(showing: str, seed: tuple[int, ...]) -> Showing:
    rng = np.random.default_rng(seed)
    if showing == "shrunk":
        return Showing(long_side=int(rng.integers(480, 961)))
    if showing == "crop":
        height, width = (int(side) for side in rng.integers(384, 641, size=2))
        return Showing(crop=(height, width, float(rng.random()), float(rng.random())))
    return Showing(mirrored=showing == "mirrored")


def _fixed_ladders(photograph: Path, key: int, kinds: Sequence[str], protocols: Sequence[str]) -> list[_Ladder]:
    made = []
    for name in protocols:
        protocol = PROTOCOLS[name]
        for kind in kinds:
            steps = tuple(fixed_ladder(kind, protocol.strengths[kind], protocol.manner, (key,)))
            shown = Showing(long_side=protocol.long_side)
            made.append(
                _Ladder(name=f"{name}/{kind}", photograph=photograph, showing=shown, steps=steps, test_only=True)
            )
    return made


def _chosen(option: str, values: Sequence[str], choices: Sequence[str]) -> tuple[str, ...]:
    """Check a list of choices, or a single choice."""
    several = (values,) if isinstance(values, str) else tuple(values)
    for value in several:
        if value not in choices:
            raise InvalidOptionError(f"{option}: there is no {value!r}. {nearest_names(str(value), choices)}")
    return several
