"""A metric as a loss that BasicSR, and projects modelled on it, build from a YAML file.

```yaml
train:
  perceptual_opt:
    type: PerceptMetricsLoss
    metric: lite_iqa
    loss_weight: 0.1
    with_style: true
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from perceptmetrics.errors import InvalidOptionError, first_line
from perceptmetrics.factory.create import create_metric

if TYPE_CHECKING:
    from perceptmetrics.models.losses import Reduction

__all__ = ["LossRegistry", "PerceptMetricsLoss", "register_with_basicsr"]


class LossRegistry(Protocol):
    """The required methods of a registry; those of BasicSR, pyiqa and fvcore have them."""

    def register(self, obj: Any) -> Any:
        """Register a class under its own name."""

    def get(self, name: str) -> Any:
        """Look up a class by name."""

    def __contains__(self, name: str) -> bool: ...


class PerceptMetricsLoss(nn.Module):
    """`PerceptualLoss` with BasicSR's arguments, to be minimised whatever the metric's direction.

    Args:
        metric: Name of the metric.
        loss_weight: Factor.
        reduction: `"mean"`, `"sum"` or `"none"` over the batch.
        with_style: Return the loss, and None as a style loss. BasicSR's models expect this of a `perceptual_opt`; leave
            it out under `pixel_opt` and in your own models.
        **options: Options of `perceptmetrics.create_metric`, such as `loss_target` for a metric with labels.

    Raises:
        InvalidOptionError: An option is unknown or its value is not allowed.
    """

    def __init__(
        self,
        metric: str,
        loss_weight: float = 1.0,
        reduction: Reduction = "mean",
        *,
        with_style: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        options |= {"as_loss": True, "loss_weight": loss_weight, "loss_reduction": reduction}
        self.loss = create_metric(metric, **options)
        self.with_style = with_style

    def forward(self, prediction: Tensor, target: Tensor | None = None) -> Tensor | tuple[Tensor, None]:
        """Loss of a batch.

        Args:
            prediction: Shape (N, 3, H, W), RGB in [0, 1].
            target: Ignored; the metrics need no reference.

        Returns:
            Scalar, or shape (N,) for `reduction="none"`; a pair with None if `with_style`.
        """
        del target
        loss: Tensor = self.loss(prediction)
        return (loss, None) if self.with_style else loss


def register_with_basicsr(registry: LossRegistry | None = None) -> None:
    """Register `PerceptMetricsLoss` in a registry of losses; calling this again does nothing.

    Args:
        registry: `LOSS_REGISTRY` of the project; None for BasicSR's.

    Raises:
        InvalidOptionError: BasicSR cannot be imported, this is not a registry, or it has another class of that name.
    """
    registry = _registry_of_basicsr() if registry is None else registry
    name = PerceptMetricsLoss.__name__
    if not all(hasattr(registry, method) for method in ("register", "get", "__contains__")):
        raise InvalidOptionError(
            "Expected a registry with the methods register, get and __contains__, such as "
            f"basicsr.utils.registry.LOSS_REGISTRY, got {type(registry).__name__}."
        )
    if name not in registry:
        registry.register(PerceptMetricsLoss)
    elif registry.get(name) is not PerceptMetricsLoss:
        raise InvalidOptionError(f"The registry has another class named {name!r}; rename or remove that one.")


def _registry_of_basicsr() -> LossRegistry:
    try:
        from basicsr.utils.registry import LOSS_REGISTRY
    except ImportError as error:
        raise InvalidOptionError(
            f"BasicSR cannot be imported ({first_line(error)}). Install it in a version that works with your "
            "torchvision, or pass the registry of your project: register_with_basicsr(LOSS_REGISTRY)."
        ) from error
    registry: LossRegistry = LOSS_REGISTRY
    return registry
