"""Quantise ONNX models to int8 with onnxruntime's tools.

In a vision transformer, the linear layers are quantised: weights once, with a scale per output channel; activations at
each call (dynamic quantisation). Convolutions are faster in integer arithmetic only if the range of their activations
is known in advance (static quantisation); calibration images provide it. The first convolution and depthwise
convolutions stay in float32: quantising them loses several times more accuracy than all others and saves no time.
Everything after the encoder stays in float32, too.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.export.programs.tracing import INPUT
from perceptmetrics.images.load import load_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perceptmetrics.images.load import ImageSource
    from perceptmetrics.models.metric import Metric

__all__ = ["check_calibration", "quantise_graph"]


def check_calibration(metric: Metric, precision: str, calibration: Iterable[ImageSource] | None) -> list[ImageSource]:
    """Check that calibration images are given if and only if they are needed.

    Returns:
        The images.

    Raises:
        InvalidOptionError: The images are missing, or would be ignored.
    """
    images = [] if calibration is None else list(calibration)
    needed = precision == "int8" and _is_convolutional(metric)
    if needed and not images:
        raise InvalidOptionError(
            f"int8 for the convolutions of {metric.metric_name!r} needs a few dozen images like those to be scored: "
            "--calibration FOLDER (calibration=images)."
        )
    if images and not needed:
        raise InvalidOptionError(
            "Calibration images are only used for int8 on a convolutional encoder. Leave --calibration (calibration=) "
            "out."
        )
    return images


def quantise_graph(path: Path, excluded: Sequence[str], images: Sequence[ImageSource]) -> None:
    """Quantise the encoder of a model in place.

    Args:
        path: The model.
        excluded: Names of the nodes that stay in float32.
        images: Calibration images, for a convolutional encoder.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    # The tools split a Gemm into two nodes; this is the name of the first.
    left_alone = [*excluded, *(f"{name}_MatMul" for name in excluded), *_prepare(path)]
    common: dict[str, Any] = {"per_channel": True, "weight_type": QuantType.QInt8, "nodes_to_exclude": left_alone}
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        quantised = Path(folder, path.name)
        if images:
            quantize_static(
                path,
                quantised,
                _Pixels(images),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                op_types_to_quantize=["Conv"],
                **common,
            )
        else:
            quantize_dynamic(path, quantised, op_types_to_quantize=["MatMul", "Gemm"], **common)
        quantised.replace(path)


def _prepare(path: Path) -> list[str]:
    """Prepare a file for onnxruntime's tools; return the convolutions that stay in float32."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    del model.graph.value_info[:]  # the tools transpose weights without updating their stated shapes
    # Without this mark, they advise through the root logger to optimise the model first, which would fuse nodes that
    # run faster separately.
    onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    onnx.save(model, path)
    first, *others = [node for node in model.graph.node if node.op_type == "Conv"] or [None]
    single = [node for node in others if any(fact.name == "group" and fact.i > 1 for fact in node.attribute)]
    return [node.name for node in (first, *single) if node is not None]


class _Pixels:
    """Calibration images for onnxruntime, one by one and at their own size."""

    def __init__(self, images: Sequence[ImageSource]) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next image, shape (1, 3, H, W); None after the last."""
        image = next(self._images, None)
        return None if image is None else {INPUT: load_image(image)[None].numpy()}


def _is_convolutional(metric: Metric) -> bool:
    return metric.encoder.convolutional
