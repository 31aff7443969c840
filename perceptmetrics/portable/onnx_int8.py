"""Integer arithmetic for ONNX models, by onnxruntime's own tools.

Of a vision transformer the linear layers are quantised: weights once, a scale for each output channel; activations at
each call (dynamic quantisation). Convolutions are faster in integers only if the range of their activations is known
beforehand; it is taken from images. What follows the encoder (head, score map) stays in float32.
"""

from __future__ import annotations

import logging
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perceptmetrics.backbones import ClipResNet
from perceptmetrics.backbones.timm_network import TimmBackbone
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.io import load_image
from perceptmetrics.portable.tracing import INPUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from perceptmetrics.io import ImageSource
    from perceptmetrics.metric import Metric

__all__ = ["check_calibration", "quantise_graph"]


def check_calibration(
    metric: Metric, precision: str, calibration: Iterable[ImageSource] | None
) -> list[ImageSource]:
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


def quantise_graph(metric: Metric, path: Path, excluded: Sequence[str], images: Sequence[ImageSource]) -> None:
    """Quantise the encoder of a model, in its file.

    Args:
        metric: The metric that it was made from.
        path: The model.
        excluded: Names of the nodes that are to stay in float32.
        images: Images for calibration, for a convolutional encoder.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    common: dict[str, Any] = {"per_channel": True, "weight_type": QuantType.QInt8, "nodes_to_exclude": list(excluded)}
    _forget_shapes(path)
    with _quiet_root_logger(), tempfile.TemporaryDirectory(dir=path.parent) as folder:
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


def _forget_shapes(path: Path) -> None:
    """Leave the shapes of weights to be inferred: onnxruntime transposes some, and not what is stated about them."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    del model.graph.value_info[:]
    onnx.save(model, path)


@contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """Without the advice to optimise the model first, which would fold what runs faster apart."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Pixels:
    """Images as onnxruntime's calibration asks for them: one after the other, at their own size."""

    def __init__(self, images: Sequence[ImageSource]) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, Any] | None:
        """The next image, shape (1, 3, H, W); None after the last."""
        image = next(self._images, None)
        return None if image is None else {INPUT: load_image(image)[None].numpy()}


def _is_convolutional(metric: Metric) -> bool:
    backbone = metric.backbone
    return isinstance(backbone, ClipResNet) or (isinstance(backbone, TimmBackbone) and backbone.convolutional)
