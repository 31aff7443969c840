"""Export a metric as a PyTorch program (`.pt2`), which `torch.export.load` reads without this package."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch

from perceptmetrics._util.atomic import replacing
from perceptmetrics._util.warnings import quiet
from perceptmetrics.export.programs.checks import CheckedProgram, check_file, check_program, checked_shapes
from perceptmetrics.export.programs.metadata import METADATA_FILE, program_metadata
from perceptmetrics.export.programs.tracing import merged_lora, trace

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor
    from torch.export import ExportedProgram

    from perceptmetrics.models.metric import Metric

__all__ = ["export_pt2"]


def export_pt2(
    metric: Metric, path: Path | str, *, size: tuple[int, int] | None = None, overwrite: bool = False
) -> CheckedProgram:
    """Write a metric as a PyTorch program.

    It takes RGB images of shape (N, 3, H, W), float32 in [0, 1]. The program is read back and must reproduce the
    metric's scores for several sizes and batches; otherwise nothing is left behind.

    Args:
        metric: The metric, on the CPU.
        path: File to write, ending in `.pt2`. `perceptmetrics.json` inside it describes the metric.
        size: Height and width of the images; None for images of any size.
        overwrite: Whether an existing file may be replaced.

    Returns:
        The written program, and how closely it reproduces the scores.

    Raises:
        InvalidOptionError: The file exists, or the metric cannot be traced for such images.
        WeightsError: The program does not reproduce the metric's scores.
    """
    path = check_file(path, ".pt2", overwrite=overwrite)
    shapes = checked_shapes(metric, size)
    with merged_lora(metric), replacing(path) as temporary:
        metadata = program_metadata(metric, size, "float32")
        _save(trace(metric, size), temporary, json.dumps(metadata, indent=2))
        program = torch.export.load(temporary).module()

        def run(images: Tensor) -> Tensor:
            with torch.inference_mode():
                scores: Tensor = program(images)
            return scores

        difference = check_program(metric, run, shapes, "float32")
    return CheckedProgram(
        path=path,
        format="pt2",
        precision="float32",
        size=size,
        largest_difference=difference,
        shapes=shapes,
        bytes=path.stat().st_size,
    )


def _save(program: ExportedProgram, path: Path, metadata: str) -> None:
    """Write a program without its example inputs and without local paths."""
    program.example_inputs = None
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    with quiet():  # about weights that share memory; the file is checked anyway
        torch.export.save(program, path, extra_files={METADATA_FILE: metadata})
