"""The metrics of this package in pyiqa's registry, for code that is written against `pyiqa.create_metric`.

pyiqa is under a non-commercial licence; installing it is up to its users. Nothing of it is needed elsewhere.
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
    """A metric in the form that pyiqa expects of its networks: one row of scores per image.

    Args:
        metric: Name of the metric.
        **options: Options of `perceptmetrics.create_metric`.
    """

    def __init__(self, metric: str, **options: Any) -> None:
        super().__init__()
        self.metric = create_metric(metric, **options)

    def forward(self, images: ImageSource | Tensor, *_: object, **__: object) -> Tensor:
        """Score images; a reference image and whatever else pyiqa passes to its networks is not looked at.

        Args:
            images: Shape (N, 3, H, W), RGB in [0, 1].

        Returns:
            Shape (N, 1), or (N, K) for a metric with K labels; float32, differentiable in the pixels.
        """
        scores: Tensor = self.metric(images)
        return scores if self.metric.labels else scores[:, None]


_ARCHITECTURE = PerceptMetricsNetwork.__name__


def register_with_pyiqa(*, prefix: str = "perceptmetrics/", override: bool = False) -> list[str]:
    """Make every registered metric known to `pyiqa.create_metric` and `pyiqa.list_models`.

    Metrics of other packages are among them; call it again after registering more. Options of
    `perceptmetrics.create_metric` can be given to `pyiqa.create_metric`.

    Args:
        prefix: What stands before our names, so that none of pyiqa's own metrics is meant by accident; may be empty.
        override: Whether metrics of pyiqa that are called the same are replaced.

    Returns:
        The names in pyiqa's registry.

    Raises:
        InvalidOptionError: pyiqa has metrics of these names and `override` is False; nothing was registered.
        MissingExtraError: pyiqa is not installed.

    Example:
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
            f"pyiqa has metrics of its own named {', '.join(taken)}. Register ours under names of their own "
            f"(prefix='perceptmetrics/'), or pass override=True to replace those of pyiqa in this process."
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
    """The range as pyiqa writes it: `"0, 1"`; a tilde for bounds that are not strict, and alone for no bound."""
    about = "" if score.strict_range else "~"
    return ", ".join("~" if bound is None else f"{about}{bound:g}" for bound in (score.lower, score.upper))
