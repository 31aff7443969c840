"""Report attribute profiles as a plot and tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perceptmetrics.reports.files import Makers, failures, json_bytes, plot_makers
from perceptmetrics.reports.plots import RadarAxis, draw_radar
from perceptmetrics.scoring.results import csv_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from perceptmetrics.experiments.attributes import Attribute, AttributeProfiles

__all__ = ["ATTRIBUTE_FORMATS", "attribute_makers", "short_names"]

ATTRIBUTE_FORMATS = ("png", "svg", "pdf", "csv", "json")


def attribute_makers(profiles: AttributeProfiles, *, title: str = "") -> Makers:
    """Makers of `ATTRIBUTE_FORMATS`."""

    def draw() -> Figure:
        axes = [_axis(profiles, index, attribute) for index, attribute in enumerate(profiles.attributes)]
        names = short_names([profile.image for profile in profiles.images])
        rows = {name: profile.scores for name, profile in zip(names, profiles.images, strict=True)}
        return draw_radar(axes, rows, title)

    return {
        **plot_makers(draw),
        "csv": lambda: csv_bytes(
            ("image", *(attribute.name for attribute in profiles.attributes)),
            ((profile.image, *profile.scores) for profile in profiles.images),
        ),
        "json": lambda: json_bytes(
            "attributes",
            {
                "attributes": profiles.attributes,
                "images": profiles.images,
                "failed": failures(profiles.failed),
            },
        ),
    }


def short_names(paths: Sequence[str]) -> list[str]:
    """File names, or paths where two file names are equal; repeated paths are numbered."""
    names = [Path(path).name for path in paths]
    shown = [path if names.count(name) > 1 else name for path, name in zip(paths, names, strict=True)]
    return [
        f"{name} ({shown[:index].count(name) + 1})" if shown.count(name) > 1 else name
        for index, name in enumerate(shown)
    ]


def _axis(profiles: AttributeProfiles, index: int, attribute: Attribute) -> RadarAxis:
    """The spoke of an attribute: the range of its score, extended to the actual scores if they exceed it."""
    scores = [profile.scores[index] for profile in profiles.images]
    lower = min(scores) if attribute.lower is None else min(attribute.lower, *scores)
    upper = max(scores) if attribute.upper is None else max(attribute.upper, *scores)
    return RadarAxis(
        name=attribute.name,
        lower=lower,
        upper=upper if upper > lower else lower + 1,
        note="lower is better" if attribute.lower_better else "",
    )
