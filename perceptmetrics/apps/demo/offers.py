"""The metrics that the page offers, and how to get those that are missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perceptmetrics.factory.folder import read_folder
from perceptmetrics.metrics.registry import list_metrics, metric_info
from perceptmetrics.spec import MetricSpec
from perceptmetrics.weights.resolve import find_cached, how_to_get

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from perceptmetrics.spec import WeightSource

__all__ = ["ATTRIBUTES", "PAPER_ATTRIBUTES", "Offer", "offers"]

PAPER_ATTRIBUTES = ("quality", "brightness", "noisiness", "colorfulness", "sharpness", "contrast")
"""The attributes of CLIP-IQA's Fig. 1, shown as a radar plot."""
ATTRIBUTES = "lite_attributes"
"""The attributes that need no download."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A metric on the page.

    Attributes:
        name: Name on the page.
        metric: Name for `create_metric`.
        spec: Specification.
        options: Options of `create_metric`.
        missing: How to get the weights if they are not on this machine; empty if they are.
        about: What its scores mean, if different from the specification's summary.
    """

    name: str
    metric: str
    spec: MetricSpec
    options: Mapping[str, Any] = field(default_factory=dict)
    missing: str = ""
    about: str = ""

    @property
    def summary(self) -> str:
        """What its scores mean."""
        return self.about or self.spec.card.summary


def offers(folders: Sequence[Path] = (), cache_dir: Path | None = None) -> list[Offer]:
    """List the registered metrics and those in folders.

    Args:
        folders: Folders of exported metrics.
        cache_dir: Folder for downloaded weights; None for the Hugging Face cache.

    Returns:
        The metrics, those that are ready to use first; those of the folders before the registered ones.

    Raises:
        WeightsError: A folder holds no metric.
    """
    found = []
    for folder in folders:
        spec, _ = read_folder(folder)
        found.append(Offer(name=spec.name, metric=str(folder), spec=spec))
    taken = {offer.name for offer in found}
    for name in dict.fromkeys(("lite_iqa", *list_metrics())):
        if name not in taken:
            found += _registered(name, cache_dir)
    return sorted(found, key=lambda offer: bool(offer.missing))


def _registered(name: str, cache_dir: Path | None) -> list[Offer]:
    spec = metric_info(name)
    missing = next((text for source in spec.weight_sources if (text := _missing(source, name, cache_dir))), "")
    options = {} if cache_dir is None else {"cache_dir": cache_dir}
    offer = Offer(name=name, metric=name, spec=spec, options=options, missing=missing)
    if name != "clipiqa":
        return [offer]
    attributes = {**options, "prompts": list(PAPER_ATTRIBUTES)}
    about = f"Zero-shot attributes: {', '.join(PAPER_ATTRIBUTES)}."
    named = f"{name}, attributes"
    return [offer, Offer(name=named, metric=name, spec=spec, options=attributes, missing=missing, about=about)]


def _missing(source: WeightSource, name: str, cache_dir: Path | None) -> str:
    """How to get a file if it is not on this machine; empty if it is."""
    if find_cached(source, cache_dir) is not None:
        return ""
    return how_to_get(source, name, cache_dir)
