"""Export a metric as an ONNX model, for onnxruntime and others, without PyTorch and without this package."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from perceptmetrics.errors import InvalidOptionError, MissingExtraError
from perceptmetrics.export.programs.checks import CheckedProgram, check_file, check_program, checked_shapes
from perceptmetrics.export.programs.metadata import program_metadata
from perceptmetrics.export.programs.onnx_graph import build_graph, describe
from perceptmetrics.export.programs.onnx_int8 import check_calibration, quantise_graph
from perceptmetrics.export.programs.tracing import INPUT, OUTPUT, merged_lora, trace
from perceptmetrics.images.options import decoding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

    from perceptmetrics.images.load import ImageSource
    from perceptmetrics.models.metric import Metric

__all__ = ["DEFAULT_OPSET", "ProgramPrecision", "export_onnx"]

ProgramPrecision = Literal["float32", "int8"]

DEFAULT_OPSET = 18  # the first with an antialiased resize
_LAST_OPSET = 23


def export_onnx(
    metric: Metric,
    path: Path | str,
    *,
    size: tuple[int, int] | None = None,
    precision: ProgramPrecision = "float32",
    opset: int = DEFAULT_OPSET,
    calibration: Iterable[ImageSource] | None = None,
    overwrite: bool = False,
) -> CheckedProgram:
    """Write a metric as an ONNX model.

    The input `images` takes RGB images of shape (N, 3, H, W), float32 in [0, 1]; the output `scores` has shape (N,), or
    (N, K) for a metric with K labels. The model is run by onnxruntime and must reproduce the metric's scores for
    several sizes and batches, see `TOLERANCES`; otherwise nothing is left behind.

    Args:
        metric: The metric, on the CPU.
        path: File to write, ending in `.onnx`. Weights of more than 2 GB go into `PATH.data` beside it.
        size: Height and width of the images; None for images of any size.
        precision: `"float32"`; or `"int8"`, which computes the encoder's linear layers, or its convolutions, in integer
            arithmetic.
        opset: ONNX opset version, from 18.
        calibration: Images for `"int8"` on a convolutional encoder: a few dozen like those to be scored.
        overwrite: Whether an existing file may be replaced.

    Returns:
        The written model, and how closely it reproduces the scores.

    Raises:
        InvalidOptionError: The file exists, an option is invalid, or the metric cannot be traced for such images.
        WeightsError: The model does not reproduce the metric's scores.
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
    """
    path = check_file(path, ".onnx", overwrite=overwrite)
    _check_options(precision, opset)
    images = check_calibration(metric, precision, calibration)
    _check_installed()
    shapes = checked_shapes(metric, size)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A large model refers to its weight file by name, so both are written under their final names.
    with merged_lora(metric), tempfile.TemporaryDirectory(prefix=".export-", dir=path.parent) as folder:
        written = Path(folder, path.name)
        graph = build_graph(trace(metric, size), opset)
        graph.save(written)
        if precision == "int8":
            with decoding(metric.decoding):
                quantise_graph(written, graph.outside_encoder, images)
        describe(written, program_metadata(metric, size, precision))
        difference = check_program(metric, _runner(written), shapes, _tolerance(metric, precision))
        total = _move(written, path)
    return CheckedProgram(
        path=path,
        format="onnx",
        precision=precision,
        size=size,
        largest_difference=difference,
        shapes=shapes,
        bytes=total,
    )


def _move(written: Path, path: Path) -> int:
    """Move a model and its weight file to their destination; return their size in bytes."""
    files = sorted(written.parent.iterdir(), key=lambda file: file == written)  # the model last, when it is complete
    total = sum(file.stat().st_size for file in files)
    for file in files:
        file.replace(path.with_name(file.name))
    return total


def _check_options(precision: str, opset: int) -> None:
    if precision not in get_args(ProgramPrecision):
        raise InvalidOptionError(
            f"precision must be one of {', '.join(get_args(ProgramPrecision))}, got {precision!r}."
        )
    if not DEFAULT_OPSET <= opset <= _LAST_OPSET:
        raise InvalidOptionError(
            f"opset must be from {DEFAULT_OPSET} (the first with an antialiased resize) to {_LAST_OPSET}, got {opset}."
        )


def _check_installed() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Exporting as ONNX", "onnx") from error


def _tolerance(metric: Metric, precision: str) -> str:
    """Key of `TOLERANCES`: an encoder in half precision has its rounding errors."""
    exact = next(metric.encoder.parameters()).dtype == torch.float32
    return "float16" if precision == "float32" and not exact else precision


def _runner(model: Path) -> Callable[[Tensor], Tensor]:
    """Return a function that runs a model with onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])

    return run
