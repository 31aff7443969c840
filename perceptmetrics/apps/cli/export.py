"""The command `export`: a metric as an ONNX model or a PyTorch program, by `perceptmetrics.export.programs`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from perceptmetrics.apps.cli.console import messages, printable, results
from perceptmetrics.apps.cli.options import BackboneCheckpoint, CacheDir, Checkpoint, Overwrite, command
from perceptmetrics.errors import InvalidOptionError

if TYPE_CHECKING:
    from perceptmetrics.export.programs import CheckedProgram
    from perceptmetrics.models.metric import Metric

__all__ = ["export"]

_SIZE = re.compile(r"([1-9]\d*)x([1-9]\d*)")


@command
def export(
    metric: Annotated[
        str,
        typer.Argument(help="A metric, as named by `perceptmetrics list`, or the folder of one.", show_default=False),
    ],
    form: Annotated[
        Literal["onnx", "pt2"], typer.Option("--format", help="onnx: for ONNX Runtime and others. pt2: for PyTorch.")
    ] = "onnx",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write. Default: METRIC.onnx or METRIC.pt2.", show_default=False),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Fix height and width of the images, such as 480x640.", show_default=False),
    ] = None,
    precision: Annotated[
        Literal["float32", "int8"],
        typer.Option(help="ONNX only. int8: integer arithmetic in the encoder; scores change."),
    ] = "float32",
    opset: Annotated[int, typer.Option(help="ONNX only: operator set version.")] = 18,
    calibration: Annotated[
        list[str] | None,
        typer.Option(
            help="For int8 with a convolutional encoder: images, folders or patterns; repeat.", show_default=False
        ),
    ] = None,
    overwrite: Overwrite = False,
    checkpoint: Checkpoint = None,
    backbone_checkpoint: BackboneCheckpoint = None,
    cache_dir: CacheDir = None,
) -> None:
    """Export a metric as a program that runs without this package: an ONNX model, or a PyTorch program (.pt2).

    The program takes batches of RGB images in [0, 1] and does all that the metric does. It is written only if its
    scores agree with the metric's. To store or share trained weights, see `convert` and `publish`. Examples:

    - `perceptmetrics export lite_iqa`

    - `perceptmetrics export perceptclip_iqa --precision int8 -o quality.onnx`

    - `perceptmetrics export clipiqa --format pt2 --size 384x512`
    """
    from perceptmetrics.export.programs import DEFAULT_OPSET, export_onnx, export_pt2
    from perceptmetrics.factory.create import create_metric
    from perceptmetrics.images.find import find_images

    fixed = _parse_size(size)
    if form == "pt2" and (precision != "float32" or calibration or opset != DEFAULT_OPSET):
        raise InvalidOptionError("--precision, --opset and --calibration are for --format onnx. Leave them out.")
    images = list(find_images(calibration)) if calibration else None
    created = create_metric(metric, checkpoint=checkpoint, backbone_checkpoint=backbone_checkpoint, cache_dir=cache_dir)
    path = output or Path(f"{created.metric_name}.{form}")
    with messages.status(f"Exporting {printable(created.metric_name)}"):
        if form == "pt2":
            checked = export_pt2(created, path, size=fixed, overwrite=overwrite)
        else:
            checked = export_onnx(
                created,
                path,
                size=fixed,
                precision=precision,
                opset=opset,
                calibration=images,
                overwrite=overwrite,
            )
    _print(created, checked)


def _print(metric: Metric, checked: CheckedProgram) -> None:
    dynamic = "any number of images of any size"
    if checked.size is not None:
        dynamic = f"any number of images of {checked.size[0]} x {checked.size[1]} pixels"
    results.print(f"{printable(str(checked.path))}  {checked.bytes / 1e6:.3f} MB", markup=False, soft_wrap=True)
    results.print(
        f"{metric.metric_name}, {checked.precision}, {dynamic}: its scores differ from the metric's by at most "
        f"{checked.largest_difference:.1e} on {sum(count for count, _, _ in checked.shapes)} images.",
        markup=False,
    )


def _parse_size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    matched = _SIZE.fullmatch(text.lower())
    if matched is None:
        raise InvalidOptionError(f"--size takes height x width in pixels, such as 480x640; got {text!r}.")
    return int(matched[1]), int(matched[2])
