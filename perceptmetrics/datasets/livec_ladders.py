"""Ladders of degradations of the images of LIVE In the Wild.

Layout: that of `livec`, whose official download it reads; the ratings are not used. Nothing is written.

Each image has the random ladders of `ladders`, by default one of each kind on the whole image. Photographs in the wild
are already blurred, noisy and compressed to an unknown degree, which may hide a further step: choose the kinds with
care. Exposure is visible on all of them.

Scale: that of `ladders`. Splits: none are published; random splits divide the images exactly as those of `livec` do,
since both depend only on the names of the images. Images held out of one are held out of the other.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from perceptmetrics.datasets import ladders, livec
from perceptmetrics.datasets.degradations import KINDS
from perceptmetrics.datasets.info import DatasetInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.datasets.labelled import LabelledImages
    from perceptmetrics.datasets.listing import Missing

__all__ = ["INFO", "read"]

INFO = DatasetInfo(
    name="livec_ladders",
    title="ladders of degradations of LIVE In the Wild",
    task="quality",
    paper=livec.INFO.paper,
    licence=livec.INFO.licence,
    obtain=livec.INFO.obtain,
    scale=ladders.INFO.scale,
    splits="those of livec",
)


def read(
    root: Path,
    missing: Missing,
    *,
    kinds: Sequence[str] = KINDS,
    showings: Sequence[str] = ("whole",),
    drawn: int | None = None,
    photographs: int | None = None,
    attributes: bool = False,
    seed: int = 0,
) -> LabelledImages:
    """List the ladders of LIVEC's images.

    Args:
        root: Folder of LIVEC.
        missing: See `load_dataset`.
        kinds: Kinds of degradation.
        showings: Ways of showing an image, each with a random ladder of every kind. A repeated showing or kind is drawn
            again each time.
        drawn: How many of the kinds each showing of an image has, drawn at random; None for all.
        photographs: How many of the images to use, drawn at random; None for all.
        attributes: Whether the ratings are seven attributes, of which each ladder changes its own, instead of quality.
        seed: Seed of the random ladders, together with the image's name.
    """
    rated = livec.read(root, missing)
    files = [image for image in rated.images if isinstance(image, Path)]
    choice = ladders.LadderChoice(
        kinds=kinds,
        showings=showings,
        protocols=(),
        drawn=drawn,
        photographs=photographs,
        attributes=attributes,
        seed=seed,
    )
    return replace(ladders.make_ladders(INFO, files, rated.names, choice), missing=rated.missing)
