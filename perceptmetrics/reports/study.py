"""Write a study as the page for its participants, and report its result as a plot and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.experiments.study_files import write_pairs
from perceptmetrics.reports.files import Makers, json_bytes, plot_makers, write_report
from perceptmetrics.reports.pages import faithful_uri, render_page
from perceptmetrics.reports.plots import FractionBar, draw_fractions
from perceptmetrics.scoring.results import csv_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.figure import Figure

    from perceptmetrics.experiments.agreement import Agreement, AgreementFraction
    from perceptmetrics.experiments.study import Study

__all__ = ["AGREEMENT_FORMATS", "agreement_makers", "check_study_folder", "study_page", "write_study"]

AGREEMENT_FORMATS = ("png", "svg", "pdf", "csv", "json")
PAIRS_FILE = "pairs.csv"
PAGE_FILE = "study.html"
_MOST_PARTICIPANTS = 20


def check_study_folder(folder: Path) -> None:
    """Refuse a folder that already contains a study, because people may have answered its pairs.

    Raises:
        InvalidOptionError: The folder contains a study, or the path is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise InvalidOptionError(f"Expected a folder for the study, got the file {str(folder)!r}.")
    if (folder / PAIRS_FILE).exists():
        raise InvalidOptionError(
            f"{folder / PAIRS_FILE} already exists, and people may have answered its pairs. Choose another folder, or "
            "delete the file."
        )


def write_study(folder: Path, study: Study, *, question: str, max_side: int) -> list[Path]:
    """Write the pairs (for you) and the page (for the participants) into a folder.

    Args:
        folder: See `check_study_folder`.
        study: The study.
        question: The question to the participants; the title of the page.
        max_side: Longest side, in pixels, to which larger images are shrunk.

    Returns:
        The two files.
    """
    check_study_folder(folder)
    page, pairs = folder / PAGE_FILE, folder / PAIRS_FILE
    write_report(page, "", {"html": lambda: study_page(study, question=question, max_side=max_side)})
    write_report(pairs, "", {"csv": lambda: write_pairs(study)})
    return [page, pairs]


def study_page(study: Study, *, question: str, max_side: int) -> bytes:
    """Render the page, which contains neither names nor scores, so that it does not reveal the metric's choice.

    Args:
        study: The study.
        question: The question to the participants.
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
    """Makers of `AGREEMENT_FORMATS`; the plot shows the participants if there are at most 20."""
    fractions = list(_fractions(agreement))

    def draw() -> Figure:
        kinds = list(dict.fromkeys(kind for kind, _ in fractions))
        crowded = len(agreement.participants) > _MOST_PARTICIPANTS
        bars = [
            FractionBar(
                name=f"{kind} {row.name}" if kind == "score difference" else row.name,
                fraction=row.fraction,
                interval=row.interval,
                count=row.count,
                group=kinds.index(kind),
            )
            for kind, row in fractions
            if not (crowded and kind == "participant")
        ]
        return draw_fractions(
            bars,
            axis_name="choices of people that agree with the metric, with exact 95 % interval",
            title=f"Agreement of {agreement.column} with people",
        )

    return {
        **plot_makers(draw),
        "csv": lambda: csv_bytes(
            ("what", "name", "agreed", "count", "fraction", "interval_low", "interval_high"),
            ((kind, row.name, row.agreed, row.count, row.fraction, *row.interval) for kind, row in fractions),
        ),
        "json": lambda: json_bytes(
            "study",
            {
                "score": agreement.column,
                "agreement": [
                    {
                        "what": kind,
                        "name": row.name,
                        "agreed": row.agreed,
                        "count": row.count,
                        "fraction": row.fraction,
                        "interval_95": row.interval,
                    }
                    for kind, row in fractions
                ],
                "sign_test_p": agreement.p_value,
                "undecided": agreement.undecided,
                "equal_scores": agreement.ties,
            },
        ),
    }


def _fractions(agreement: Agreement) -> Iterator[tuple[str, AgreementFraction]]:
    yield "overall", agreement.overall
    if agreement.majority is not None and len(agreement.participants) > 1:
        yield "overall", agreement.majority
    if len(agreement.by_difference) > 1:
        yield from (("score difference", row) for row in agreement.by_difference)
    if len(agreement.participants) > 1:
        yield from (("participant", row) for row in agreement.participants)
