"""The metrics of this package in pyiqa's registry, for code that calls `pyiqa.create_metric`.

pyiqa has a non-commercial licence. Only this module needs it, and users install it themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from perceptmetrics.errors import InvalidOptionError, MissingExtraError
from perceptmetrics.factory.create import create_metric
from perceptmetrics.metrics.registry import list_metrics, metric_info

if TYPE_CHECKING:
    from perceptmetrics.images.load import ImageSource
    from perceptmetrics.spec import ScoreSpec

__all__ = ["PerceptMetricsNetwork", "register_with_pyiqa"]


class PerceptMetricsNetwork(nn.Module):
    """A metric as pyiqa expects its networks: one row of scores per image.

    Args:
        metric: Name of the metric.
        **options: Options of `perceptmetrics.create_metric`.
    """

    def __init__(self, metric: str, **options: Any) -> None:
        super().__init__()
        self.metric = create_metric(metric, **options)

    def forward(self, images: ImageSource | Tensor, *_: object, **__: object) -> Tensor:
        """Score images. A reference image, and anything else that pyiqa passes to its networks, is ignored.

        Args:
            images: Shape (N, 3, H, W), RGB in [0, 1].

        Returns:
            Shape (N, 1), or (N, K) for a metric with K labels; float32, differentiable in the pixels.
        """
        scores: Tensor = self.metric(images)
        return scores if self.metric.labels else scores[:, None]


_ARCHITECTURE = PerceptMetricsNetwork.__name__


def register_with_pyiqa(*, prefix: str = "perceptmetrics/", override: bool = False) -> list[str]:
    """Register every metric with `pyiqa.create_metric` and `pyiqa.list_models`.

    This includes metrics of other packages; call it again after registering more. `pyiqa.create_metric` then takes the
    options of `perceptmetrics.create_metric`.

    Args:
        prefix: Prefix of our names, which keeps them apart from pyiqa's own metrics; may be empty.
        override: Whether to replace pyiqa's metrics of the same names.

    Returns:
        The names in pyiqa's registry.

    Raises:
        InvalidOptionError: pyiqa has metrics of these names and `override` is False; nothing was registered.
        MissingExtraError: pyiqa is not installed.

    Examples:
        >>> "perceptmetrics/lite_iqa" in register_with_pyiqa()
        True
    """
    try:
        from pyiqa.default_model_configs import DEFAULT_CONFIGS
        from pyiqa.utils.registry import ARCH_REGISTRY
    except ImportError as error:
        raise MissingExtraError("register_with_pyiqa", "pyiqa") from error

    names = {prefix + name: name for name in list_metrics()}
    taken = [name for name in names if name in DEFAULT_CONFIGS and not _is_ours(DEFAULT_CONFIGS[name])]
    if taken and not override:
        raise InvalidOptionError(
            f"pyiqa has its own metrics named {', '.join(taken)}. Register ours under other names "
            f"(prefix='perceptmetrics/'), or pass override=True to replace pyiqa's in this process."
        )
    if _ARCHITECTURE not in ARCH_REGISTRY:
        ARCH_REGISTRY.register(PerceptMetricsNetwork)
    DEFAULT_CONFIGS.update({theirs: _config(ours) for theirs, ours in names.items()})
    return list(names)


def _is_ours(config: dict[str, Any]) -> bool:
    return bool(config["metric_opts"]["type"] == _ARCHITECTURE)


def _config(name: str) -> dict[str, Any]:
    spec = metric_info(name)
    return {
        "metric_opts": {"type": _ARCHITECTURE, "metric": name},
        "metric_mode": "NR",
        "lower_better": spec.lower_better,
        "score_range": _score_range(spec.score),
    }


def _score_range(score: ScoreSpec) -> str:
    """The range in pyiqa's notation: `"0, 1"`; `~` before a bound that is not strict, and for no bound."""
    about = "" if score.strict_range else "~"
    return ", ".join("~" if bound is None else f"{about}{bound:g}" for bound in (score.lower, score.upper))
