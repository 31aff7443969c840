"""Ladders of degradations of the images of LIVE In the Wild.

Layout: that of `livec`, whose official download it reads; the ratings are not used. Nothing is written.

Of each image there are the random ladders of `ladders`, by default one of each kind on the whole image. Photographs as
people take them are already blurred, noisy and compressed in unknown measure, which a further step on top may not show:
choose the kinds with care. Exposure shows on all of them.

Scale: that of `ladders`. Splits: none are published; drawn ones divide the images exactly as they divide `livec`, since
both depend on the images' names alone. What is held out of one is held out of the other.
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
    seed: int = 0,
) -> LabelledImages:
    """List the ladders of LIVEC's images.

    Args:
        root: Folder of LIVEC.
        missing: See `load_dataset`.
        kinds: Kinds of degradation.
        showings: Ways of showing an image, each with a random ladder of every kind. A showing or a kind that is
            repeated is drawn anew each time.
        seed: Seed of random ladders, together with the image's name.
    """
    rated = livec.read(root, missing)
    files = [image for image in rated.images if isinstance(image, Path)]
    return replace(ladders.make_ladders(INFO, files, rated.names, kinds, showings, (), seed), missing=rated.missing)
