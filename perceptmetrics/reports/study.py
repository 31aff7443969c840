"""A study as the page that its participants use, and its result as a plot and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.experiments.study_files import write_pairs
from perceptmetrics.reports.files import Makers, json_bytes, plot_makers, write_report
from perceptmetrics.reports.pages import faithful_uri, render_page
from perceptmetrics.reports.plots import ShareBar, draw_shares
from perceptmetrics.scoring.results import csv_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.figure import Figure

    from perceptmetrics.experiments.agreement import Agreement, Share
    from perceptmetrics.experiments.study import Study

__all__ = ["AGREEMENT_FORMS", "agreement_makers", "check_study_folder", "study_page", "write_study"]

AGREEMENT_FORMS = ("png", "svg", "pdf", "csv", "json")
PAIRS_FILE = "pairs.csv"
PAGE_FILE = "study.html"
_MOST_PARTICIPANTS = 20


def check_study_folder(folder: Path) -> None:
    """Refuse a folder that holds a study already: choices may have been made on its pairs.

    Raises:
        InvalidOptionError: It does, or it is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise InvalidOptionError(f"Expected a folder for the study, got the file {str(folder)!r}.")
    if (folder / PAIRS_FILE).exists():
        raise InvalidOptionError(
            f"{folder / PAIRS_FILE} exists already, and people may have answered its pairs. Choose another folder, or "
            "delete that one."
        )


def write_study(folder: Path, study: Study, *, question: str, max_side: int) -> list[Path]:
    """Write the pairs (for you) and the page (for the participants) into a folder.

    Args:
        folder: See `check_study_folder`.
        study: The study.
        question: What the participants are asked; the title of the page.
        max_side: Larger images are shrunk to this longest side, in pixels.

    Returns:
        The two files.
    """
    check_study_folder(folder)
    page, pairs = folder / PAGE_FILE, folder / PAIRS_FILE
    write_report(page, "", {"html": lambda: study_page(study, question=question, max_side=max_side)})
    write_report(pairs, "", {"csv": lambda: write_pairs(study)})
    return [page, pairs]


def study_page(study: Study, *, question: str, max_side: int) -> bytes:
    """The page: images, pairs and nothing else, neither names nor scores, so that it does not give the answer away.

    Args:
        study: The study.
        question: What the participants are asked.
        max_side: See `pages.faithful_uri`.
    """
    images: dict[str, int] = {}
    pairs = [
        {
            "pair": pair.pair,
            "left": images.setdefault(pair.left, len(images)),
            "right": images.setdefault(pair.right, len(images)),
        }
        for pair in study.pairs
    ]
    content = {
        "identity": study.identity,
        "pairs": pairs,
        "images": [faithful_uri(path, max_side) for path in images],
    }
    note = f"Images with a side of more than {max_side} pixels are shown smaller."
    return render_page("study.html", title=question, study=content, note=note)


def agreement_makers(agreement: Agreement) -> Makers:
    """Makers of `AGREEMENT_FORMS`; the plot shows single participants when there are at most 20."""
    shares = list(_shares(agreement))

    def draw() -> Figure:
        kinds = list(dict.fromkeys(kind for kind, _ in shares))
        crowded = len(agreement.participants) > _MOST_PARTICIPANTS
        bars = [
            ShareBar(
                name=f"{kind} {share.name}" if kind == "score difference" else share.name,
                share=share.share,
                interval=share.interval,
                count=share.count,
                group=kinds.index(kind),
            )
            for kind, share in shares
            if not (crowded and kind == "participant")
        ]
        return draw_shares(
            bars,
            axis_name="choices of people that agree with the metric, with exact 95 % interval",
            title=f"Agreement of {agreement.column} with people",
        )

    return {
        **plot_makers(draw),
        "csv": lambda: csv_bytes(
            ("what", "name", "agreed", "count", "share", "interval_low", "interval_high"),
            ((kind, share.name, share.agreed, share.count, share.share, *share.interval) for kind, share in shares),
        ),
        "json": lambda: json_bytes(
            "study",
            {
                "score": agreement.column,
                "agreement": [
                    {
                        "what": kind,
                        "name": share.name,
                        "agreed": share.agreed,
                        "count": share.count,
                        "share": share.share,
                        "interval_95": share.interval,
                    }
                    for kind, share in shares
                ],
                "sign_test_p": agreement.p_value,
                "undecided": agreement.undecided,
                "equal_scores": agreement.ties,
            },
        ),
    }


def _shares(agreement: Agreement) -> Iterator[tuple[str, Share]]:
    yield "overall", agreement.overall
    if agreement.majority is not None and len(agreement.participants) > 1:
        yield "overall", agreement.majority
    if len(agreement.by_difference) > 1:
        yield from (("score difference", share) for share in agreement.by_difference)
    if len(agreement.participants) > 1:
        yield from (("participant", share) for share in agreement.participants)
