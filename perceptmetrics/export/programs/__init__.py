"""Export metrics as programs that run without this package: ONNX for onnxruntime and others, `.pt2` for PyTorch.

A program contains everything from pixels to scores: resizing, crops, normalisation, encoder, head, score map. Programs
are not exported metrics (see `perceptmetrics.export.write`), which are folders for `create_metric`.
"""

from __future__ import annotations

from perceptmetrics.export.programs.checks import TOLERANCES, CheckedProgram
from perceptmetrics.export.programs.metadata import METADATA_FILE, program_metadata
from perceptmetrics.export.programs.onnx_file import DEFAULT_OPSET, ProgramPrecision, export_onnx
from perceptmetrics.export.programs.pt2_file import export_pt2

__all__ = [
    "DEFAULT_OPSET",
    "METADATA_FILE",
    "TOLERANCES",
    "CheckedProgram",
    "ProgramPrecision",
    "export_onnx",
    "export_pt2",
    "program_metadata",
]
