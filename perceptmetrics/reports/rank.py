"""Report a ranking as a page, a plot and tables."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from perceptmetrics.reports.files import Makers, failures, json_bytes, plot_makers
from perceptmetrics.reports.pages import jpeg_uri, render_page, thumbnail_or_grey
from perceptmetrics.reports.plots import GalleryImage, draw_gallery
from perceptmetrics.scoring.results import csv_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

    from perceptmetrics.experiments.rank import RankedImage, Ranking

__all__ = ["RANK_FORMATS", "rank_makers"]

RANK_FORMATS = ("html", "png", "pdf", "csv", "json")
_THUMBNAIL = 320  # pixels


def rank_makers(ranking: Ranking, *, top: int, title: str) -> Makers:
    """Makers of `RANK_FORMATS`; page and plot show the `top` best and worst images, the tables hold all images.

    Args:
        ranking: A ranking of image files.
        top: Number of images to show at each end.
        title: Title of page and plot.
    """

    @lru_cache(maxsize=2 * top)
    def small(path: str) -> Image.Image:
        return thumbnail_or_grey(path, _THUMBNAIL)

    sections = (("best", "Best", ranking.best(top)), ("worst", "Worst", ranking.worst(top)))

    def page() -> bytes:
        return render_page(
            "rank.html",
            title=title,
            column=ranking.column,
            direction=_direction(ranking),
            count=len(ranking.images),
            sections=[
                {"kind": kind, "heading": heading, "images": [_entry(row, small(row.image)) for row in rows]}
                for kind, heading, rows in sections
            ],
            failed=failures(ranking.failed),
        )

    def draw() -> Figure:
        galleries = [(heading, [_cell(row, small(row.image)) for row in rows]) for _, heading, rows in sections]
        return draw_gallery(galleries, title=f"{title}: {len(ranking.images)} images by {ranking.column}")

    return {
        "html": page,
        **plot_makers(draw, ("png", "pdf")),
        "csv": lambda: csv_bytes(
            ("rank", "image", ranking.column), ((row.rank, row.image, row.score) for row in ranking.images)
        ),
        "json": lambda: json_bytes(
            "rank",
            {
                "score": ranking.column,
                "lower_better": ranking.lower_better,
                "images": ranking.images,
                "failed": failures(ranking.failed),
            },
        ),
    }


def _direction(ranking: Ranking) -> str:
    return "lower is better" if ranking.lower_better else "higher is better"


def _entry(row: RankedImage, image: Image.Image) -> dict[str, object]:
    return {
        "uri": jpeg_uri(image),
        "rank": row.rank,
        "score": f"{row.score:.4f}",
        "name": Path(row.image).name,
        "path": row.image,
    }


def _cell(row: RankedImage, image: Image.Image) -> GalleryImage:
    return GalleryImage(pixels=np.asarray(image), text=f"{row.score:.3f}", name=Path(row.image).name)
