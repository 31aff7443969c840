"""Ladders of degradations: any folder of photographs, each degraded with increasing strength in six ways or more.

Layout: a folder of photographs at any depth. Nothing is written: degraded photographs are rendered when they are read.

Each photograph has random ladders for training. For each way of showing it (whole; shrunk to a long side of 480 to 960
pixels; a crop of 384 to 640 pixels; whole and mirrored) and each kind (blur, noise, JPEG, scaling down and up, over-
and under-exposure; if they are named also less contrast and less colour) there is an undegraded rung and five rungs of
increasing strength. Strengths and manner (filters, chroma subsampling, linear light, ...) are drawn for each ladder.
The ladders of three fixed protocols are for testing only: "wide" and "mild" show photographs at a long side of 1280
pixels, "small" at 640.

Scale: 0 for the undegraded rung, 4 to 8 for the degraded ones, lower is better; rungs are comparable only within a
ladder. The first step is the largest because it is the hardest to see and the most important: whether the image was
degraded at all. With `attributes` there are seven ratings instead, of which each ladder changes its own by an amount
that depends on the strength, see `ladder_attributes`. Splits: none are published; random splits keep all ladders of a
photograph together.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.datasets.degradations import ALL_KINDS, KINDS, Degradation, draw_ladder, fixed_ladder
from perceptmetrics.datasets.degraded import DegradedPhotograph, Showing
from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.labelled import LabelledImages, Scale
from perceptmetrics.datasets.ladder_attributes import ATTRIBUTES, attribute_ratings
from perceptmetrics.datasets.ladder_protocols import PROTOCOLS
from perceptmetrics.errors import DatasetError, InvalidImageError, InvalidOptionError, nearest_names
from perceptmetrics.images.find import find_images

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perceptmetrics.datasets.listing import Missing

__all__ = ["INFO", "PROTOCOLS", "SHOWINGS", "LadderChoice", "make_ladders", "read"]

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
class _Ladder:
    """A ladder: its name, what its rungs show, their degradations, and whether it is for testing only."""

    name: str
    photograph: Path
    showing: Showing
    steps: tuple[Degradation, ...]
    test_only: bool

    @property
    def all_steps(self) -> tuple[Degradation | None, ...]:
        return (None, *self.steps)

    @property
    def rungs(self) -> list[DegradedPhotograph]:
        return [
            DegradedPhotograph(photograph=self.photograph, showing=self.showing, degradation=step)
            for step in self.all_steps
        ]


def read(
    root: Path,
    missing: Missing,  # noqa: ARG001 - there is no list of expected photographs
    *,
    kinds: Sequence[str] = KINDS,
    showings: Sequence[str] = SHOWINGS,
    protocols: Sequence[str] = tuple(PROTOCOLS),
    drawn: int | None = None,
    photographs: int | None = None,
    attributes: bool = False,
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
        drawn: How many of the kinds each showing of a photograph has, drawn at random; None for all.
        photographs: How many of the photographs to use, drawn at random; None for all.
        attributes: Whether the ratings are seven attributes, of which each ladder changes its own, instead of quality.
        seed: Seed of the random ladders, together with the photograph's name.
    """
    found = _photographs(root)
    names = [photograph.relative_to(root).as_posix() for photograph in found]
    choice = LadderChoice(
        kinds=kinds,
        showings=showings,
        protocols=protocols,
        drawn=drawn,
        photographs=photographs,
        attributes=attributes,
        seed=seed,
    )
    return make_ladders(INFO, found, names, choice)


@dataclass(frozen=True, kw_only=True)
class LadderChoice:
    """Which ladders a photograph has; the options of `read`."""

    kinds: Sequence[str]
    showings: Sequence[str]
    protocols: Sequence[str]
    drawn: int | None
    photographs: int | None
    attributes: bool
    seed: int

    def checked(self) -> LadderChoice:
        """With lists in place of single names.

        Raises:
            InvalidOptionError: An option is none of its choices.
        """
        kinds = _chosen("kinds", self.kinds, ALL_KINDS)
        showings = _chosen("showings", self.showings, SHOWINGS)
        protocols = tuple(dict.fromkeys(_chosen("protocols", self.protocols, tuple(PROTOCOLS))))
        if self.seed < 0:
            raise InvalidOptionError(f"Expected a seed of 0 or more, got {self.seed!r}.")
        if not kinds or not (showings or protocols):
            raise InvalidOptionError("Expected at least one kind, and at least one showing or protocol.")
        if self.drawn is not None and not 0 < self.drawn <= len(kinds):
            raise InvalidOptionError(f"drawn: expected 1 to {len(kinds)}, the number of kinds, got {self.drawn!r}.")
        if self.photographs is not None and self.photographs < 1:
            raise InvalidOptionError(f"photographs: expected 1 or more, got {self.photographs!r}.")
        return replace(self, kinds=kinds, showings=showings, protocols=protocols)


def make_ladders(
    info: DatasetInfo, photographs: Sequence[Path], names: Sequence[str], choice: LadderChoice
) -> LabelledImages:
    """Build a data set from the ladders of photographs.

    Args:
        info: Facts about the data set.
        photographs: Files of the photographs.
        names: Their names; splits keep all ladders of a name together.
        choice: Which ladders each has.
    """
    choice = choice.checked()
    order = sorted(names, key=lambda name: np.random.default_rng((choice.seed, _key(name))).random())
    used = set(order[: choice.photographs])
    made = [
        (name, ladder)
        for name, photograph in zip(names, photographs, strict=True)
        if name in used
        for ladder in [
            *_random_ladders(photograph, (choice.seed, _key(name)), choice),
            *_fixed_ladders(photograph, _key(name), tuple(dict.fromkeys(choice.kinds)), choice.protocols),
        ]
    ]
    rungs = len(_DEGRADATION)
    labels, scales, ratings = _rate([ladder for _, ladder in made], attributes=choice.attributes)
    return LabelledImages(
        name=info.name,
        task="attribute" if choice.attributes else info.task,
        images=tuple(rung for _, ladder in made for rung in ladder.rungs),
        names=tuple(f"{name}/{ladder.name}/{rung}" for name, ladder in made for rung in range(rungs)),
        labels=labels,
        ratings=ratings,
        scales=scales,
        groups=tuple(f"{name}/{ladder.name}" for name, ladder in made for _ in range(rungs)),
        contents=tuple(name for name, _ in made for _ in range(rungs)),
        ranks_within_groups=True,
        test_only=np.repeat([ladder.test_only for _, ladder in made], rungs),
    )


def _rate(
    ladders: Sequence[_Ladder], *, attributes: bool
) -> tuple[tuple[str, ...], tuple[Scale, ...], NDArray[np.float64]]:
    """Labels, their scales and the normalised ratings of all rungs."""
    if attributes:
        ratings = np.concatenate([attribute_ratings(ladder.all_steps) for ladder in ladders])
        return ATTRIBUTES, (Scale(lower=0, upper=1),) * len(ATTRIBUTES), ratings
    scale = Scale(lower=0, upper=_DEGRADATION[-1], higher_is_better=False)
    return ("quality",), (scale,), scale.normalise(np.tile(_DEGRADATION, len(ladders)))[:, None]


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


def _random_ladders(photograph: Path, seed: tuple[int, ...], choice: LadderChoice) -> list[_Ladder]:
    """Draw ladders that depend only on the seed, the showing, the kind, and the repetition of these."""
    made = []
    for showing, showing_repeat in _counted(choice.showings):
        own = (*seed, SHOWINGS.index(showing), showing_repeat)
        shown = _draw_showing(showing, own)
        kinds = _counted(choice.kinds)
        if choice.drawn is not None:
            order = np.random.default_rng((*own, len(ALL_KINDS))).permutation(len(kinds))
            kinds = [kinds[index] for index in sorted(order[: choice.drawn])]
        for kind, repeat in kinds:
            steps = tuple(draw_ladder(kind, (*own, ALL_KINDS.index(kind), *[repeat] * bool(repeat))))
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
