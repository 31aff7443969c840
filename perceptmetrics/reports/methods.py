"""Report a comparison of several folders as a page, a plot and tables."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from perceptmetrics.reports.files import Makers, failures, json_bytes, plot_makers
from perceptmetrics.reports.pages import jpeg_uri, png_uri, render_page, thumbnail_or_grey
from perceptmetrics.reports.plots import MethodStrip, draw_methods, figure_bytes
from perceptmetrics.reports.statistics import UNDEFINED, shown_number
from perceptmetrics.scoring.results import csv_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from perceptmetrics.experiments.method_results import ComparedImage, MethodComparison, MethodPair

__all__ = ["METHODS_FORMATS", "comparison_page", "folder_names", "methods_makers", "methods_sentence"]

METHODS_FORMATS = ("html", "png", "svg", "pdf", "csv", "json")
_EXAMPLES = 4  # images shown in all versions
_THUMBNAIL = 420  # pixels


def methods_makers(comparison: MethodComparison) -> Makers:
    """Makers of `METHODS_FORMATS`.

    Args:
        comparison: A comparison of folders.
    """
    names = folder_names([method.folder for method in comparison.methods])
    return {
        "html": lambda: comparison_page(comparison),
        **plot_makers(lambda: _draw(comparison, names)),
        "csv": lambda: csv_bytes(
            ("name", *(f"image {name}" for name in names), *(f"score {name}" for name in names)),
            ((image.name, *image.files, *image.scores) for image in comparison.images),
        ),
        "json": lambda: json_bytes("compare", _summary(comparison)),
    }


def folder_names(folders: Sequence[str]) -> list[str]:
    """Short names of folders that differ: their last parts, as many as are needed."""
    parts = [Path(os.path.normpath(folder)).parts or (folder,) for folder in folders]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-count:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return list(folders)


def methods_sentence(comparison: MethodComparison) -> str:
    """Which method is best, and whether that is more than chance."""
    names = folder_names([method.folder for method in comparison.methods])
    first, *others = comparison.order
    alike = [other for other in others if not comparison.between(first, other).differ]
    lead = f"{names[first]} is preferred most often (mean rank {comparison.methods[first].mean_rank:.2f})"
    if not alike:
        rest = "each of the others" if len(others) > 1 else names[others[0]]
        return f"{lead}; its difference from {rest} is more than chance."
    listed = ", ".join(names[other] for other in alike)
    return f"{lead}; its difference from {listed} may be chance."


def comparison_page(comparison: MethodComparison) -> bytes:
    """Render a self-contained page: tables, plot, and the images on which the methods differ most.

    Args:
        comparison: A comparison of two or more folders.

    Returns:
        HTML in UTF-8.
    """
    names = folder_names([method.folder for method in comparison.methods])
    return render_page(
        "compare.html",
        title=f"Comparison of {len(names)} folders",
        sentence=methods_sentence(comparison),
        count=len(comparison.images),
        column=comparison.column,
        direction=f"{'lower' if comparison.lower_better else 'higher'} is better",
        methods=[_method_row(comparison, index, names[index]) for index in comparison.order],
        pairs=[_pair_row(pair, names) for pair in _ordered_pairs(comparison)],
        method_note=_note(comparison),
        plot=png_uri(figure_bytes(_draw(comparison, names), "png")),
        plot_alt="Mean ranks of the folders, and the scores of their images with the means",
        examples=[_example(comparison, image, names) for image in _most_different(comparison)],
        failed=failures(comparison.failed),
    )


def _method_row(comparison: MethodComparison, index: int, name: str) -> dict[str, object]:
    method = comparison.methods[index]
    return {
        "name": name,
        "mean": shown_number(method.mean),
        "interval": _interval(method.mean_interval),
        "mean_rank": f"{method.mean_rank:.2f}",
        "win_rate": UNDEFINED if math.isnan(method.win_rate) else f"{method.win_rate:.1%}",
        "best": f"{method.best} of {len(comparison.images)}",
        "alone": [Path(file).name for file in method.alone],
    }


def _ordered_pairs(comparison: MethodComparison) -> list[MethodPair]:
    """The pairs in the order of the methods' ranks."""
    order = comparison.order
    return [comparison.between(one, other) for index, one in enumerate(order) for other in order[index + 1 :]]


def _pair_row(pair: MethodPair, names: Sequence[str]) -> dict[str, object]:
    return {
        "first": names[pair.first],
        "second": names[pair.second],
        "wins": pair.wins,
        "losses": pair.losses,
        "ties": pair.ties,
        "difference": _signed(f"{pair.mean_difference:+.4f}"),
        "interval": _interval(pair.interval),
        "p": "< 0.001" if pair.p_holm < 0.001 else f"{pair.p_holm:.3f}",
        "differ": pair.differ,
    }


def _note(comparison: MethodComparison) -> str:
    if len(comparison.pairs) == 1:
        return (
            "Two-sided sign test, which counts images; 95 % bootstrap interval of the mean difference, which also says "
            "by how much."
        )
    return (
        f"Two-sided sign tests, which count images, corrected for {len(comparison.pairs)} pairs by the method of Holm; "
        "they decide what is more than chance. Bootstrap intervals of the mean difference, which also say by how much, "
        "hold for all pairs together with 95 % (Bonferroni). Friedman's test that all folders are alike: p "
        f"{'< 0.001' if comparison.p_value < 0.001 else f'= {comparison.p_value:.3f}'}."
    )


def _interval(interval: tuple[float, float]) -> str:
    low, high = interval
    return "" if math.isnan(low) else _signed(f"{shown_number(low)} to {shown_number(high)}")


def _signed(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def _most_different(comparison: MethodComparison) -> list[ComparedImage]:
    """The images with the largest range of scores; none where all scores are equal."""
    ranged = sorted(comparison.images, key=lambda image: min(image.scores) - max(image.scores))
    return [image for image in ranged[:_EXAMPLES] if max(image.scores) > min(image.scores)]


def _example(comparison: MethodComparison, image: ComparedImage, names: Sequence[str]) -> dict[str, object]:
    best = min(image.scores) if comparison.lower_better else max(image.scores)
    return {
        "name": image.name,
        "images": [
            {
                "uri": jpeg_uri(thumbnail_or_grey(image.files[index], _THUMBNAIL)),
                "method": names[index],
                "score": f"{image.scores[index]:.4f}",
                "preferred": image.scores[index] == best,
            }
            for index in comparison.order
        ],
    }


def _draw(comparison: MethodComparison, names: Sequence[str]) -> Figure:
    order = comparison.order
    better = "lower" if comparison.lower_better else "higher"
    strips = [
        MethodStrip(
            name=names[index],
            scores=[image.scores[index] for image in comparison.images],
            mean=comparison.methods[index].mean,
            interval=comparison.methods[index].mean_interval,
            mean_rank=comparison.methods[index].mean_rank,
        )
        for index in order
    ]
    alike = [(order.index(run[0]), order.index(run[-1])) for run in comparison.alike()]
    note = f"{len(order)} methods on {len(comparison.images)} images"
    return draw_methods(strips, alike, score_name=f"{comparison.column} ({better} is better)", note=note)


def _summary(comparison: MethodComparison) -> dict[str, object]:
    return {
        "score": comparison.column,
        "lower_better": comparison.lower_better,
        "images": len(comparison.images),
        "friedman_p" if len(comparison.methods) > 2 else "sign_test_p": comparison.p_value,
        "methods": [
            {
                "folder": method.folder,
                "mean": method.mean,
                "mean_interval_95": method.mean_interval,
                "mean_rank": method.mean_rank,
                "best": method.best,
                "win_rate": method.win_rate,
                "not_in_all": method.alone,
            }
            for method in comparison.methods
        ],
        "pairs": [
            {
                "first": comparison.methods[pair.first].folder,
                "second": comparison.methods[pair.second].folder,
                "wins": pair.wins,
                "losses": pair.losses,
                "ties": pair.ties,
                "sign_test_p": pair.p_value,
                "sign_test_p_holm": pair.p_holm,
                "mean_difference": pair.mean_difference,
                "mean_difference_interval_together_95": pair.interval,
            }
            for pair in comparison.pairs
        ],
        "seed": comparison.seed,
        "failed": failures(comparison.failed),
    }
