"""`export`: a metric as a program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perceptmetrics.apps.cli.console import messages, printable, results
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.export.programs import DEFAULT_OPSET, CheckedProgram, export_onnx, export_pt2
from perceptmetrics.factory.create import create_metric
from perceptmetrics.images.find import find_images

if TYPE_CHECKING:
    from perceptmetrics.export.programs import ProgramPrecision
    from perceptmetrics.models.metric import Metric

__all__ = ["export_and_print"]

_SIZE = re.compile(r"([1-9]\d*)x([1-9]\d*)")


def export_and_print(
    name: str,
    *,
    form: str,
    output: Path | None,
    size: str | None,
    precision: ProgramPrecision,
    opset: int,
    calibration: list[str],
    overwrite: bool,
    create_options: dict[str, Any],
) -> None:
    """Export, and print what was written and how near its scores are."""
    wanted = _size(size)
    if form == "pt2" and (precision != "float32" or calibration or opset != DEFAULT_OPSET):
        raise InvalidOptionError("--precision, --opset and --calibration are for --format onnx. Leave them out.")
    images = list(find_images(calibration)) if calibration else None
    metric: Metric = create_metric(name, **create_options)
    path = output or Path(f"{metric.metric_name}.{form}")
    with messages.status(f"Exporting {printable(metric.metric_name)}"):
        if form == "pt2":
            checked = export_pt2(metric, path, size=wanted, overwrite=overwrite)
        else:
            checked = export_onnx(
                metric,
                path,
                size=wanted,
                precision=precision,
                opset=opset,
                calibration=images,
                overwrite=overwrite,
            )
    _print(metric, checked)


def _print(metric: Metric, checked: CheckedProgram) -> None:
    dynamic = "any number of images of any size"
    if checked.size is not None:
        dynamic = f"any number of images of {checked.size[0]} x {checked.size[1]} pixels"
    results.print(f"{printable(str(checked.path))}  {checked.bytes / 1e6:.3f} MB", markup=False)
    results.print(
        f"{metric.metric_name}, {checked.precision}, {dynamic}: its scores differ from the metric's by at most "
        f"{checked.largest_difference:.1e} on {sum(count for count, _, _ in checked.shapes)} pictures.",
        markup=False,
    )


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    matched = _SIZE.fullmatch(text.lower())
    if matched is None:
        raise InvalidOptionError(f"--size takes height x width in pixels, such as 480x640; got {text!r}.")
    return int(matched[1]), int(matched[2])
