"""Options of `create_metric` that change a specification before anything is built.

Specification in, specification out. Which options a metric takes, its parts say: the head, the views, the score map.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from perceptmetrics.errors import InvalidOptionError, nearest_names
from perceptmetrics.spec import IdentityMap, MetricSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perceptmetrics.models.metric_options import MetricOption

__all__ = ["apply_options", "option_names", "pin_revision"]


def apply_options(spec: MetricSpec, options: Mapping[str, Any]) -> MetricSpec:
    """Apply a metric's options to its specification.

    Args:
        spec: The registered specification.
        options: Options by name. Metrics with antonym prompts take `prompts`, `prompt` (a single one, compared by
            plain cosine), `template`, `backbone` and `positional_embedding`, those of them with several views
            `aggregation` and `regressor`; metrics that look at crops, `crops` and `crop_mode`; those that
            show an image whole, `resize`; those that map raw outputs to a range, `raw`. None leaves an option out.

    Returns:
        The changed specification.

    Raises:
        InvalidOptionError: The metric does not take an option, or its value is not allowed.
    """
    if not options:
        return spec
    offered = _offered(spec)
    allowed = option_names(spec)
    for name in options:
        if name not in allowed:
            takes = nearest_names(name, allowed) if allowed else "It takes none."
            raise InvalidOptionError(f"{spec.name!r} has no option {name!r}. {takes}")
    for option in offered:
        stated = {name: options[name] for name in option.names if options.get(name) is not None}
        if stated:
            spec = option.apply(replace(spec, interval=None), stated)  # it was measured without the option
    return spec


def option_names(spec: MetricSpec) -> tuple[str, ...]:
    """Names of the options that a metric takes."""
    return tuple(name for option in _offered(spec) for name in option.names)


def _offered(spec: MetricSpec) -> list[MetricOption]:
    """What the parts of a metric offer, in the order in which it is applied."""
    from perceptmetrics.models.metric_options import MetricOption
    from perceptmetrics.spec.heads import HEADS
    from perceptmetrics.spec.views import VIEWS

    offered = [*HEADS.builder_of(spec.head).options(spec)]
    for view in {type(view): view for view in spec.views.views}.values():
        offered += VIEWS.builder_of(view).options()
    if spec.score.map.has_raw:
        offered.append(MetricOption(("raw",), _with_raw_scores))
    return offered


def _with_raw_scores(spec: MetricSpec, values: Mapping[str, Any]) -> MetricSpec:
    raw = values["raw"]
    if not isinstance(raw, bool):
        raise InvalidOptionError(f"raw= must be True or False, got {raw!r}.")
    return replace(spec, score=replace(spec.score, map=IdentityMap(), lower=None, upper=None)) if raw else spec


def pin_revision(spec: MetricSpec, revision: str | None) -> MetricSpec:
    """Take the encoder's file from another revision of its Hub repository.

    Args:
        spec: The specification.
        revision: Commit hash, tag or branch; None changes nothing.

    Returns:
        The changed specification; size and hash of the other revision are unknown.

    Raises:
        InvalidOptionError: The encoder does not come from the Hub.
    """
    if revision is None:
        return spec
    in_own_file = spec.encoder.in_trained_file and spec.has_trained_part
    source = spec.trained_file if in_own_file else spec.encoder.weights
    other = None if source is None else source.at_revision(revision)
    if other is None:
        where = "lie beside its specification" if source is None else f"come from {source.location}"
        raise InvalidOptionError(
            f"revision= chooses a commit on the Hub, but the weights of {spec.name!r} {where}. Leave it out."
        )
    if in_own_file:
        return replace(spec, head=spec.head.with_trained_file(other))
    return replace(spec, encoder=replace(spec.encoder, weights=other))
