"""Integer arithmetic for ONNX models, by onnxruntime's own tools.

Of a vision transformer the linear layers are quantised: weights once, a scale for each output channel; activations at
each call (dynamic quantisation). Convolutions are faster in integers only if the range of their activations is known
beforehand; it is taken from images. The first convolution and those over single channels stay in float32: quantised
they cost several times the accuracy of all others and save no time. So does what follows the encoder.
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
    """Check that there are images for calibration exactly where they are needed.

    Returns:
        The images.

    Raises:
        InvalidOptionError: They are missing, or nothing would look at them.
    """
    images = [] if calibration is None else list(calibration)
    needed = precision == "int8" and _is_convolutional(metric)
    if needed and not images:
        raise InvalidOptionError(
            f"int8 for the convolutions of {metric.metric_name!r} needs images like those that are to be scored: a few "
            "dozen, with --calibration FOLDER (calibration=images)."
        )
    if images and not needed:
        raise InvalidOptionError(
            "Images for calibration go with precision int8 and a convolutional encoder. Leave --calibration "
            "(calibration=) out."
        )
    return images


def quantise_graph(path: Path, excluded: Sequence[str], images: Sequence[ImageSource]) -> None:
    """Quantise the encoder of a model, in its file.

    Args:
        path: The model.
        excluded: Names of the nodes that are to stay in float32.
        images: Images for calibration, for a convolutional encoder.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    # The tools divide a Gemm into two nodes, of which the first is called so.
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
    """Make a file ready for onnxruntime's tools; returns the convolutions that are to stay in float32."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    del model.graph.value_info[:]  # the tools transpose weights, and not the shapes that are stated of them
    # Without this mark they advise, by the root logger, to optimise the model first; that would fold together what runs
    # faster apart.
    onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    onnx.save(model, path)
    first, *others = [node for node in model.graph.node if node.op_type == "Conv"] or [None]
    single = [node for node in others if any(fact.name == "group" and fact.i > 1 for fact in node.attribute)]
    return [node.name for node in (first, *single) if node is not None]


class _Pixels:
    """Images as onnxruntime's calibration asks for them: one after the other, at their own size."""

    def __init__(self, images: Sequence[ImageSource]) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, Any] | None:
        """The next image, shape (1, 3, H, W); None after the last."""
        image = next(self._images, None)
        return None if image is None else {INPUT: load_image(image)[None].numpy()}


def _is_convolutional(metric: Metric) -> bool:
    return metric.backbone.convolutional
