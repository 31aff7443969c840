"""Write explanations as a page, figures and JSON."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from perceptmetrics._util.files import refuse_empty
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.reports.explain_panels import ExplainedPanel, panel_rows
from perceptmetrics.reports.files import check_output, failures, json_bytes, write_report
from perceptmetrics.reports.pages import jpeg_uri, render_page
from perceptmetrics.reports.plots import draw_overlays, figure_bytes
from perceptmetrics.reports.statistics import short_number

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from perceptmetrics.explain import ExplainedImage, Explanations, ViewScore
    from perceptmetrics.models.views import Rectangle

__all__ = ["EXPLAIN_FORMATS", "check_explain_output", "explain_page", "write_explanations"]

EXPLAIN_FORMATS = ("html", "png", "svg", "json")
_FIGURES = ("png", "svg")
_CROP_SIDE = 112  # pixels
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 60


def check_explain_output(output: Path, images: int) -> None:
    """Refuse an output path that cannot be written.

    Args:
        output: A folder, or a file with a suffix of `EXPLAIN_FORMATS`.
        images: Number of images to explain.

    Raises:
        InvalidOptionError: The path is neither, or a single figure for several images.
    """
    check_output(output, EXPLAIN_FORMATS)
    suffix = output.suffix.lstrip(".").lower()
    if images > 1 and suffix in _FIGURES and not output.is_dir():
        raise InvalidOptionError(
            f"{str(output)!r} is one figure, but there are {images} images, each with its own figure. Choose a folder, "
            "or a page (.html)."
        )


def write_explanations(output: str | os.PathLike[str], explanations: Explanations) -> list[Path]:
    """Write a page, JSON and a figure of each image into a folder, or one of these as a file.

    Args:
        output: See `check_explain_output`.
        explanations: The explanations.

    Returns:
        The written files.
    """
    refuse_empty(output=output)
    output = Path(output)
    images = explanations.images
    check_explain_output(output, len(images))
    makers = {"html": lambda: explain_page(explanations), "json": lambda: _numbers(explanations)}
    suffix = output.suffix.lstrip(".").lower()
    if not output.is_dir() and suffix in _FIGURES:
        return write_report(output, "", {suffix: _figure(explanations, images[0], suffix)})
    files = write_report(output, "explain", makers)
    if not output.is_dir():
        return files
    for number, image in enumerate(images, start=1):
        stem = f"{number:02d}-{_safe(image.name)}"
        for suffix in _FIGURES:
            files += write_report(output / f"{stem}.{suffix}", "", {suffix: _figure(explanations, image, suffix)})
    return files


def explain_page(explanations: Explanations) -> bytes:
    """Render the page."""
    count = len(explanations.images)
    return render_page(
        "explain.html",
        title=f"Why {explanations.metric} gives {'this score' if count == 1 else 'these scores'}",
        with_heads=any(image.heads for image in explanations.images),
        with_pretrained=any(head.pretrained for image in explanations.images for head in image.heads),
        with_saliency=any(image.saliency for image in explanations.images),
        with_views=any(image.views for image in explanations.images),
        images=[_section(explanations, image) for image in explanations.images],
        notes=explanations.notes,
        left_out=explanations.left_out,
        failed=failures(explanations.failed),
    )


def _section(explanations: Explanations, image: ExplainedImage) -> dict[str, object]:
    scores = image.scores.tolist()
    names = explanations.labels or (explanations.metric,)
    views = sorted(image.views.views, key=lambda view: -view.pull) if image.views is not None else ()
    return {
        "name": Path(image.name).name,
        "path": image.name,
        "scores": [{"name": name, "value": f"{score:.4f}"} for name, score in zip(names, scores, strict=True)],
        "rows": [[_overlay(panel) for panel in row] for row in panel_rows(explanations, image)],
        "views": [_view(image, view) for view in views],
        "views_of": image.views.label if image.views is not None else "",
    }


def _overlay(panel: ExplainedPanel) -> dict[str, object]:
    scale = panel.overlay.scale
    bar = None
    if scale is not None:
        middle = short_number((scale.lower + scale.upper) / 2)
        ticks = (short_number(scale.lower), "0" if scale.diverging else middle, short_number(scale.upper))
        bar = {"stops": ", ".join(scale.stops), "ticks": ticks, "unit": scale.unit}
    return {
        "uri": jpeg_uri(Image.fromarray(panel.overlay.pixels)),
        "title": panel.overlay.title,
        "note": panel.note,
        "bar": bar,
    }


def _view(image: ExplainedImage, view: ViewScore) -> dict[str, object]:
    return {
        "uri": jpeg_uri(_view_image(image, view)),
        "name": view.name,
        "score": f"{view.score:.4f}",
        "pull": short_number(view.pull, signed=True),
    }


def _view_image(image: ExplainedImage, view: ViewScore) -> Image.Image:
    """Assemble what a view shows from its windows."""
    photograph = Image.fromarray(image.pixels)
    bottom = max(window.in_view.top + window.in_view.height for window in view.windows)
    right = max(window.in_view.left + window.in_view.width for window in view.windows)
    scale = _CROP_SIDE / max(bottom, right)
    assembled = Image.new("RGB", (round(right * scale), round(bottom * scale)))
    for shown, source in view.windows:
        left, top, end, foot = (round(edge * scale) for edge in _edges(shown))
        size = (max(1, end - left), max(1, foot - top))
        width, height = photograph.size
        west, north, east, south = _edges(source)
        box = (west * width, north * height, east * width, south * height)  # in fractions of pixels
        assembled.paste(photograph.resize(size, Image.Resampling.BILINEAR, box=box), (left, top))
    return assembled


def _edges(rectangle: Rectangle) -> tuple[float, float, float, float]:
    """Left, top, right and bottom."""
    top, left, height, width = rectangle
    return left, top, left + width, top + height


def _figure(explanations: Explanations, image: ExplainedImage, suffix: str) -> Callable[[], bytes]:
    rows = [[panel.overlay for panel in row] for row in panel_rows(explanations, image)]
    title = f"{Path(image.name).name}: {explanations.metric}"
    return lambda: figure_bytes(draw_overlays(rows, title), suffix)


def _numbers(explanations: Explanations) -> bytes:
    return json_bytes(
        "explain",
        {
            "metric": explanations.metric,
            "labels": explanations.labels,
            "images": [
                {
                    "image": image.name,
                    "scores": image.scores.tolist(),
                    "heads": [
                        {
                            "head": str(head.head),
                            "change_when_uniform": head.change.tolist(),
                            "attention_off_image": head.own.off_image,
                        }
                        for head in image.heads
                    ],
                    "views": [
                        {"view": view.name, "score": view.score, "pull": view.pull}
                        for view in (image.views.views if image.views is not None else ())
                    ],
                }
                for image in explanations.images
            ],
            "left_out": explanations.left_out,
            "failed": failures(explanations.failed),
            "notes": explanations.notes,
        },
    )


def _safe(name: str) -> str:
    """Turn the name of an image into part of a file name that is valid on every system."""
    return _UNSAFE.sub("_", Path(name).stem).strip("._")[:_LONGEST_NAME] or "image"
