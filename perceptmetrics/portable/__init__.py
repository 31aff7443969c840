"""Metrics as programs that run without this package: ONNX for onnxruntime and others, `.pt2` for PyTorch.

A program holds everything from pixels to scores: resizing, crops, normalisation, encoder, head, score map. (An
exported metric, see `perceptmetrics.export`, is something else: a folder from which `create_metric` makes the metric.)
"""

from __future__ import annotations

from perceptmetrics.portable.checks import TOLERANCES, CheckedProgram
from perceptmetrics.portable.metadata import METADATA_FILE, program_metadata
from perceptmetrics.portable.onnx_file import DEFAULT_OPSET, ProgramPrecision, export_onnx
from perceptmetrics.portable.pt2_file import export_pt2

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
