"""Convert trained files to exported metrics: slim (adapters and head only) or merged (everything in one file)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import torch

from perceptmetrics.errors import InvalidOptionError, WeightsError
from perceptmetrics.export.write import EXACT, HALF, check_destination, export_metric
from perceptmetrics.factory.build import Files, build_metric, encoder_file
from perceptmetrics.factory.folder import read_folder
from perceptmetrics.factory.tuned_encoder import TunedWeights, read_tuned, tuned_weights
from perceptmetrics.metrics.registry import list_metrics, metric_info
from perceptmetrics.models.encoders import Placement, read_encoder_weights
from perceptmetrics.spec import MetricSpec
from perceptmetrics.weights.fingerprints import digests_of, fingerprint
from perceptmetrics.weights.layouts import TrainedWeights
from perceptmetrics.weights.resolve import ResolveOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["Converted", "ConvertedFormat", "convert"]

ConvertedFormat = Literal["slim", "merged"]


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A converted metric.

    Attributes:
        folder: The exported metric.
        spec: Its specification.
        deviation: Largest difference between the golden scores of the source and of the exported copy.
    """

    folder: Path
    spec: MetricSpec
    deviation: float


def convert(
    source: Path,
    destination: Path,
    *,
    metric: str | None = None,
    format: ConvertedFormat = "slim",  # noqa: A002 - the name of the command's option
    half: bool = False,
    overwrite: bool = False,
    encoder: Path | None = None,
) -> Converted:
    """Convert a metric's trained file into an exported metric.

    The copy is read back and must reproduce the scores of the source; otherwise nothing is left behind.

    Args:
        source: A released `.pth`, a trained file of this package, or the folder of an exported metric.
        destination: Folder to write.
        metric: The metric that the file belongs to; None if the name of the file or its folder identifies it.
        format: `"slim"`: adapters and head, for use with the encoder that they were trained on; `"merged"`: encoder
            with merged adapters, and head.
        half: Whether to store a merged encoder in float16. It still computes in float32.
        overwrite: Whether `destination` may be replaced.
        encoder: The encoder of a slim source, instead of the one that would be looked up.

    Returns:
        The converted metric.

    Raises:
        InvalidOptionError: The options contradict each other, or the destination exists.
        WeightsError: The source is missing, corrupt or does not fit, or the copy does not reproduce its scores.
    """
    if format not in get_args(ConvertedFormat) or (half and format == "slim"):
        raise InvalidOptionError(
            f"The format must be 'slim' or 'merged', and half precision needs 'merged' (--format merged --half); got "
            f"{format!r}{' in half precision' if half else ''}."
        )
    source, destination = source.resolve(), destination.resolve()
    check_destination(destination, overwrite=overwrite)
    if source == destination or destination in source.parents:
        raise InvalidOptionError(f"{destination} contains the source. Choose another folder.")
    spec, path = _identify(source, metric)
    files = Files(lookup=ResolveOptions(metric=spec.name), trained=path, encoder=encoder)
    if spec.head.needs_text_encoder:
        raise WeightsError(
            f"{spec.name!r} compares images with prompts; its trained file contains only these, in a single format."
        )
    original = build_metric(spec, files, Placement())
    tuned = read_tuned(path, spec)
    new_spec, weights = (_slim if format == "slim" else _merged)(spec, tuned, encoder_file(spec, tuned, files))
    if half:
        weights = replace(weights, encoder=_halved(weights.encoder))
    deviation = export_metric(
        original,
        destination,
        spec=new_spec,
        weights=weights,
        encoder=encoder,
        overwrite=overwrite,
        tolerance=HALF if half else EXACT,
    )
    return Converted(folder=destination, spec=new_spec, deviation=deviation)


def _identify(source: Path, metric: str | None) -> tuple[MetricSpec, Path]:
    """The metric that a file or folder belongs to, and its trained file."""
    if source.is_dir():
        spec, path = read_folder(source)
        if path is None:
            raise WeightsError(f"The metric in {source} has no trained part, so there is nothing to convert.")
        return spec, path
    if not source.is_file():
        raise WeightsError(f"{source} does not exist; expected a trained file, or the folder of an exported metric.")
    if metric is not None:
        return metric_info(metric), source
    for name in list_metrics():
        published = metric_info(name).trained_file
        if published is not None and published.filename == source.name:
            return metric_info(name), source
    raise InvalidOptionError(
        f"The name of {source} does not identify its metric; name the metric with --metric (metric=)."
    )


def _slim(spec: MetricSpec, tuned: TunedWeights, encoder: Path | None) -> tuple[MetricSpec, TrainedWeights]:
    trained = tuned.trained
    if not trained.lora:
        raise InvalidOptionError(
            f"{tuned.path} contains no adapters (any more), so it cannot be slim. Convert the original file."
        )
    base = trained.base or fingerprint(_encoder_digests(tuned, spec, encoder))
    slim_spec = replace(spec, encoder=replace(spec.encoder, in_trained_file=False))
    return slim_spec, TrainedWeights(head=trained.head, lora=trained.lora, base=base)


def _merged(spec: MetricSpec, tuned: TunedWeights, encoder: Path | None) -> tuple[MetricSpec, TrainedWeights]:
    merged = tuned_weights(tuned, spec.encoder, encoder)
    merged_spec = replace(spec, encoder=replace(spec.encoder, lora=None, in_trained_file=True))
    return merged_spec, TrainedWeights(head=tuned.trained.head, encoder=merged.tensors)


def _encoder_digests(tuned: TunedWeights, spec: MetricSpec, encoder: Path | None) -> Mapping[str, str]:
    if encoder is None:
        return digests_of(tuned.trained.encoder, tuned.path)
    return read_encoder_weights(encoder, spec.encoder).digests


def _halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.to(torch.float16) for name, tensor in tensors.items()}
