"""Translate a traced program to ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from perceptmetrics._util.warnings import quiet
from perceptmetrics.errors import InvalidOptionError, first_line
from perceptmetrics.export.programs.metadata import PREFIX
from perceptmetrics.export.programs.tracing import INPUT, OUTPUT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch.export import ExportedProgram

__all__ = ["Graph", "build_graph", "describe"]

# Names of the dimensions of the input.
_DIMENSIONS = ("batch", "channels", "height", "width")
_SCOPES = "pkg.torch.onnx.name_scopes"
_ENCODER, _SIZE_CHECK = "'metric.encoder", "'size_check"


class Graph:
    """An ONNX model in memory.

    Args:
        program: The result of PyTorch's exporter.

    Attributes:
        outside_encoder: Names of the nodes outside the encoder: views, head, score map.
    """

    def __init__(self, program: Any) -> None:
        self._program = program
        nodes = list(program.model.graph)
        self.outside_encoder = [node.name for node in nodes if _ENCODER not in node.metadata_props.get(_SCOPES, "")]
        _name_dimensions(program.model.graph)
        for node in nodes:
            if node.op_type == "Gather" and _SIZE_CHECK in node.metadata_props.get(_SCOPES, ""):
                node.name = f"{node.name}_fails_if_the_image_is_too_small"  # the runtime's error quotes it
            node.metadata_props.clear()  # they contain local paths
        for value in program.model.graph.initializers.values():
            value.metadata_props.clear()

    def save(self, path: Path) -> None:
        """Write the model; weights of more than 2 GB go into a file beside it."""
        self._program.save(path)


def build_graph(program: ExportedProgram, opset: int) -> Graph:
    """Translate a traced program.

    Args:
        program: The result of `trace`.
        opset: ONNX opset version.

    Returns:
        The model.

    Raises:
        InvalidOptionError: PyTorch's exporter does not support the program.
    """
    with quiet("torch.onnx"):
        try:
            exported = torch.onnx.export(
                program,
                (),
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset_version=opset,
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise InvalidOptionError(
                f"PyTorch cannot export this metric in opset {opset}: {first_line(error)} Try a fixed "
                "--size HEIGHTxWIDTH (size=(height, width)), or --format pt2 (export_pt2)."
            ) from error
    return Graph(exported)


def describe(path: Path, metadata: Mapping[str, str]) -> None:
    """Write a program's metadata into an ONNX file."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    onnx.helper.set_model_props(model, {f"{PREFIX}{key}": value for key, value in metadata.items()})
    model.producer_name, model.producer_version = "perceptmetrics", metadata["version"]
    model.doc_string = metadata["summary"]
    onnx.save(model, path)


def _name_dimensions(graph: Any) -> None:
    """Name the dimensions of input and output; shapes in between are inferred when needed."""
    import onnx_ir as ir

    (images,), (scores,) = graph.inputs, graph.outputs
    for node in graph:
        for output in node.outputs:
            if output is not scores:
                output.shape = None
    sides = zip(images.shape, _DIMENSIONS, strict=True)
    images.shape = ir.Shape([name if isinstance(side, ir.SymbolicDim) else side for side, name in sides])
    scores.shape = ir.Shape([_DIMENSIONS[0], *list(scores.shape)[1:]])
