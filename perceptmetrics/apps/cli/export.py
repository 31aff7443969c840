"""The command `export`. What needs PyTorch is imported when it runs."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export"]


class ProgramFormat(str, Enum):
    """What runs the program."""

    onnx = "onnx"
    pt2 = "pt2"


class ProgramPrecision(str, Enum):
    """Precision of its weights."""

    float32 = "float32"
    int8 = "int8"


def export(
    metric: Annotated[
        str,
        typer.Argument(help="A metric, as named by `perceptmetrics list`, or the folder of one.", show_default=False),
    ],
    form: Annotated[
        ProgramFormat, typer.Option("--format", help="onnx: for onnxruntime and others. pt2: for PyTorch.")
    ] = ProgramFormat.onnx,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write. Default: METRIC.onnx or METRIC.pt2.", show_default=False),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Fix height and width of the images, such as 480x640.", show_default=False),
    ] = None,
    precision: Annotated[
        ProgramPrecision,
        typer.Option(help="ONNX only. int8: integers in the encoder; scores shift."),
    ] = ProgramPrecision.float32,
    opset: Annotated[int, typer.Option(help="ONNX only: version of its operators.")] = 18,
    calibration: Annotated[
        list[str] | None,
        typer.Option(
            help="For int8 on a convolutional encoder: images, folders or patterns; repeat.", show_default=False
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    checkpoint: Annotated[
        Path | None, typer.Option(help="The metric's own trained weights, file or folder.", show_default=False)
    ] = None,
    backbone_checkpoint: Annotated[
        Path | None, typer.Option(help="CLIP weights from a file or folder instead of the Hub.", show_default=False)
    ] = None,
    cache_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of downloaded weights. Default: the Hugging Face cache.", show_default=False),
    ] = None,
) -> None:
    """Write a metric as a program that runs without this package: an ONNX model, or a PyTorch program (.pt2).

    It takes RGB images in [0, 1], any number at once, and does all that the metric does with them. It is run beside the
    metric, and appears only if scores agree. To store or publish trained weights see `convert` and `push`. Examples:

    - `perceptmetrics export lite_iqa`

    - `perceptmetrics export perceptclip_iqa --precision int8 -o quality.onnx`

    - `perceptmetrics export clipiqa --format pt2 --size 384x512`
    """
    from perceptmetrics.apps.cli.export_run import export_and_print

    export_and_print(
        metric,
        form=form.value,
        output=output,
        size=size,
        precision=precision.value,
        opset=opset,
        calibration=calibration or [],
        overwrite=overwrite,
        create_options={
            "checkpoint": checkpoint,
            "backbone_checkpoint": backbone_checkpoint,
            "cache_dir": cache_dir,
        },
    )
