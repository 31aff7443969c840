"""A metric as a validation metric of BasicSR and of projects modelled on it, such as neosr and traiNNer-redux.

```yaml
val:
  metrics:
    quality:
      type: calculate_perceptmetrics
      metric: lite_iqa
      better: higher
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np
import torch

from perceptmetrics.errors import InvalidImageError, InvalidOptionError
from perceptmetrics.factory.create import create_metric
from perceptmetrics.images.arrays import check_unit_range

if TYPE_CHECKING:
    from collections.abc import Callable

    from perceptmetrics.models.metric import Metric

__all__ = ["ChannelOrder", "FunctionRegistry", "register_metric_with_basicsr"]

ChannelOrder = Literal["bgr", "rgb"]

_NAME = "calculate_perceptmetrics"
_OF_OTHER_METRICS = ("img2", "better", "input_order", "test_y_channel")
_metrics: dict[str, Metric] = {}
_registered: dict[str, Callable[..., float]] = {}


class FunctionRegistry(Protocol):
    """The required methods of a registry of functions; those of BasicSR, neosr and traiNNer-redux have them."""

    def register(self, obj: Any) -> Any:
        """Register a function under its own name."""

    def get(self, name: str) -> Any:
        """Look up a function by name."""

    def __contains__(self, name: str) -> bool: ...


def register_metric_with_basicsr(registry: FunctionRegistry, *, channel_order: ChannelOrder = "bgr") -> None:
    """Register `calculate_perceptmetrics` in a registry of metrics; calling this again does nothing.

    Args:
        registry: `METRIC_REGISTRY` of the project.
        channel_order: Order of the channels in which the project hands images to its metrics: `"bgr"` in BasicSR and
            neosr, `"rgb"` in traiNNer-redux since its `tensor2img(..., to_bgr=False)`.

    Raises:
        InvalidOptionError: This is no registry, it has another function of that name, or the order is unknown.
    """
    if channel_order not in get_args(ChannelOrder):
        raise InvalidOptionError(f"channel_order must be 'bgr' or 'rgb', got {channel_order!r}.")
    if not all(hasattr(registry, method) for method in ("register", "get", "__contains__")):
        raise InvalidOptionError(
            "Expected a registry with the methods register, get and __contains__, such as METRIC_REGISTRY of the "
            f"project, got {type(registry).__name__}."
        )
    function = _function(channel_order)
    if _NAME not in registry:
        registry.register(function)
    elif registry.get(_NAME) is not function:
        raise InvalidOptionError(
            f"The registry has another function named {_NAME!r}, or this one with the other order of channels."
        )


def _function(channel_order: ChannelOrder) -> Callable[..., float]:
    """The function that is registered for an order of channels; the same one at every call."""
    if channel_order in _registered:
        return _registered[channel_order]

    def calculate_perceptmetrics(
        img: np.ndarray,
        metric: str,
        label: str | None = None,
        crop_border: int = 0,
        device: torch.device | str | None = None,
        **options: Any,
    ) -> float:
        """Score one image as the project's validation hands it over.

        Args:
            img: Shape (H, W, 3) or (H, W, 1) or (H, W); uint8, or floating point in [0, 1].
            metric: Name of the metric.
            label: Label of a metric that has labels.
            crop_border: Width of the frame that is not looked at, in pixels.
            device: Where to compute; some projects state it.
            **options: Options of `create_metric`. Options of metrics with a reference are ignored.
        """
        chosen = {name: value for name, value in options.items() if name not in _OF_OTHER_METRICS}
        scorer = _metric(metric, str(device or "cpu"), chosen)
        pixels = _rgb(img, channel_order, crop_border)
        with torch.inference_mode():
            row = scorer(pixels.to(scorer.device)[None])[0]
        return float(row[_place(scorer, label)])

    _registered[channel_order] = calculate_perceptmetrics
    return calculate_perceptmetrics


def _metric(name: str, device: str, options: dict[str, Any]) -> Metric:
    """The metric, made once: validation calls the function for each image."""
    key = repr((name, device, sorted(options.items())))
    if key not in _metrics:
        _metrics[key] = create_metric(name, device=device, **options)
    return _metrics[key]


def _place(metric: Metric, label: str | None) -> tuple[int, ...]:
    """Where the score of a label stands in a row of scores; a metric without labels has a scalar."""
    if not metric.labels and label is None:
        return ()
    if not metric.labels:
        raise InvalidOptionError(f"{metric.metric_name!r} has a single score; leave label: {label!r} out.")
    if label not in metric.labels:
        raise InvalidOptionError(
            f"{metric.metric_name!r} has several scores; a validation metric is one. Add label: with one of "
            f"{', '.join(metric.labels)}; got {label!r}."
        )
    return (metric.labels.index(label),)


def _rgb(image: np.ndarray, channel_order: ChannelOrder, crop_border: int) -> torch.Tensor:
    """Shape (3, H, W), RGB in [0, 1]."""
    pixels = image[:, :, None] if image.ndim == 2 else image
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        raise InvalidImageError(f"Expected an image of shape (H, W, 3), (H, W, 1) or (H, W), got {image.shape}.")
    if crop_border < 0 or 2 * crop_border >= min(pixels.shape[:2]):
        raise InvalidOptionError(f"crop_border={crop_border} leaves nothing of an image of shape {image.shape}.")
    if pixels.dtype != np.uint8 and not np.issubdtype(pixels.dtype, np.floating):
        raise InvalidImageError(f"Expected uint8, or floating point in [0, 1], got {pixels.dtype}.")
    pixels = pixels[crop_border : pixels.shape[0] - crop_border, crop_border : pixels.shape[1] - crop_border]
    pixels = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
    pixels = pixels[:, :, ::-1] if channel_order == "bgr" else pixels
    tensor = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    if tensor.dtype == torch.uint8:
        return tensor.float() / 255
    check_unit_range(tensor)
    return tensor.float()
