"""From a specification and its files to a metric: the only place that knows how the parts are put together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from perceptmetrics._util.seeding import seeded
from perceptmetrics.errors import InvalidOptionError, WeightsError, first_line
from perceptmetrics.factory.prompted import compare_with_prompts
from perceptmetrics.factory.tuned_encoder import TunedWeights, cached_tower, read_tuned, tower_fingerprint, tuned_tower
from perceptmetrics.models.encoders import Backbone, Placement, build_image_tower, read_tower_weights
from perceptmetrics.models.heads import MlpHead
from perceptmetrics.models.metric import Metric
from perceptmetrics.models.pool import Pool
from perceptmetrics.models.quantize import Precision, quantise
from perceptmetrics.models.views import Views
from perceptmetrics.spec import AntonymHeadSpec, MetricSpec, MlpHeadSpec
from perceptmetrics.weights.layouts import load_strictly, read_prompts
from perceptmetrics.weights.resolve import ResolveOptions, resolve

if TYPE_CHECKING:
    from perceptmetrics.weights.layouts import PromptWeights

__all__ = ["Files", "assemble", "encoder_file", "pretrained_encoder"]


@dataclass(frozen=True, kw_only=True)
class Files:
    """Where the weights of a metric are taken from.

    Attributes:
        lookup: How files are looked up that are not stated.
        random: No files at all: random weights, which score nothing meaningful.
        trained: The metric's own trained file, when it is stated.
        encoder: The encoder's file, when it is stated.
    """

    lookup: ResolveOptions
    random: bool = False
    trained: Path | None = None
    encoder: Path | None = None


@torch.inference_mode(mode=False)  # whose tensors could never be differentiated, by no metric that shares them
def assemble(
    spec: MetricSpec, files: Files, placement: Placement, *, precision: Precision | None = None, seed: int = 0
) -> Metric:
    """Build a metric.

    Args:
        spec: What to build.
        files: Where its weights are.
        placement: Device of the metric, and precision of its encoder.
        precision: `"int8"` to quantise the encoder; None to leave it as it is.
        seed: Seed of random crops, and of random weights.

    Returns:
        The metric, frozen and in eval mode.

    Raises:
        WeightsError: A file is missing, damaged, or does not fit.
        InvalidOptionError: The device or the precision is not possible.
    """
    _check_device(placement.device)
    backbone, head, pool = _parts(spec, files, placement, seed)
    metric = Metric(spec, Views(spec.views, seed), backbone, head, pool).to(placement.device)
    if precision is not None:
        quantise(metric.backbone, precision)
    return metric


@torch.inference_mode(mode=False)
def pretrained_encoder(spec: MetricSpec, files: Files, placement: Placement) -> Backbone | None:
    """Build the encoder of a metric as it was before the metric was trained.

    Args:
        spec: The metric.
        files: Where its weights are. Nothing is downloaded for an encoder that the metric itself does not need.
        placement: Device and precision of the encoder.

    Returns:
        The encoder; None if the metric's encoder was not trained or has random weights.

    Raises:
        WeightsError: A file is missing, or does not fit.
    """
    if not isinstance(spec.head, MlpHeadSpec) or (files.random and files.trained is None):
        return None
    tuned = read_tuned(files.trained or _published(spec, files), spec)
    plain = replace(spec.backbone, lora=None)
    if tuned.trained.lora:
        elsewhere = encoder_file(spec, tuned, files)
        if elsewhere is None and not tuned.trained.encoder:
            return None
        return build_image_tower(plain, tuned_tower(tuned, plain, elsewhere), placement=placement)
    if not tuned.trained.encoder:
        return None
    file = files.encoder or resolve(spec.backbone.weights, replace(files.lookup, local_files_only=True))
    return build_image_tower(plain, read_tower_weights(file, plain), placement=placement)


def _check_device(device: torch.device | str | None) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # no such device, no driver
        raise InvalidOptionError(
            f"The metric cannot be put on the device {str(device)!r}: {first_line(error)} Try 'cpu'."
        ) from error


def _parts(spec: MetricSpec, files: Files, placement: Placement, seed: int) -> tuple[Backbone, nn.Module, Pool]:
    with seeded(seed):
        pool = Pool(spec.pool)
    if not isinstance(spec.head, MlpHeadSpec):
        learned = _learned_prompts(spec, files)
        if learned is not None:
            _check_context(spec, learned)
            load_strictly(pool.regressor or nn.Sequential(), learned.regressor, str(files.trained or spec.name))
        clip_file = _encoder_file(spec, files)
        if learned is not None and clip_file is not None:
            _check_base(spec, learned, clip_file)
        return *compare_with_prompts(spec, clip_file, learned, placement, seed), pool
    with seeded(seed):
        head = MlpHead(spec.head)
    if files.random and files.trained is None:
        return _encoder(spec, None, files, placement, seed), head, pool
    tuned = read_tuned(files.trained or _published(spec, files), spec)
    load_strictly(head, tuned.trained.head, str(tuned.path))
    return _encoder(spec, tuned, files, placement, seed), head, pool


def _check_context(spec: MetricSpec, learned: PromptWeights) -> None:
    if learned.context is not None and not (isinstance(spec.head, AntonymHeadSpec) and spec.head.context):
        raise WeightsError(
            f"The file holds learned prompts, but {spec.name!r} has none with these options, so they would not be "
            "used. State the length of the context in the specification, or pass a file without them."
        )


def _check_base(spec: MetricSpec, learned: PromptWeights, clip_file: Path) -> None:
    """Refuse prompts of another CLIP, where their file says which one they belong to."""
    if learned.base is None:
        return
    given = tower_fingerprint(clip_file, spec.backbone)
    if given != learned.base:
        raise WeightsError(
            f"The prompts of {spec.name!r} were trained with another CLIP than {clip_file}: its image tower should "
            f"have the fingerprint {learned.base}, and it has {given}. Pass the right file as backbone_checkpoint=."
        )


def _learned_prompts(spec: MetricSpec, files: Files) -> PromptWeights | None:
    """What was trained around a frozen CLIP; None for nothing, or for random vectors."""
    if not spec.has_trained_part and files.trained is not None:
        raise InvalidOptionError(
            f"{spec.name!r} has no trained part of its own, so it takes no checkpoint=. Pass CLIP weights as "
            "backbone_checkpoint=."
        )
    if files.trained is not None:
        return read_prompts(files.trained)
    if not spec.has_trained_part or files.random:
        return None
    return read_prompts(_published(spec, files))


def _published(spec: MetricSpec, files: Files) -> Path:
    """The trained file that a specification names."""
    if spec.trained_file is None:
        raise InvalidOptionError(
            f"No trained file is published for {spec.name!r} with these options. Pass one as checkpoint=."
        )
    return resolve(spec.trained_file, files.lookup)


def _encoder(spec: MetricSpec, tuned: TunedWeights | None, files: Files, placement: Placement, seed: int) -> Backbone:
    """The encoder of a metric with a trained head; `tuned` is None for a head with random weights."""
    if tuned is None:
        tower = None if files.encoder is None else read_tower_weights(files.encoder, spec.backbone)
        return build_image_tower(spec.backbone, tower, seed, placement)
    elsewhere = encoder_file(spec, tuned, files)
    if elsewhere is None and not tuned.trained.encoder:
        return build_image_tower(spec.backbone, None, seed, placement)
    return build_image_tower(spec.backbone, tuned_tower(tuned, spec.backbone, elsewhere), seed, placement)


def encoder_file(spec: MetricSpec, tuned: TunedWeights, files: Files) -> Path | None:
    """The encoder's file of a metric with a trained one.

    Args:
        spec: The metric.
        tuned: Its trained file.
        files: Where weights are taken from.

    Returns:
        The file; None where the trained file holds the encoder, or for random weights.

    Raises:
        WeightsError: The file is missing.
    """
    return None if tuned.trained.encoder else _encoder_file(spec, files, tuned.trained.base)


def _encoder_file(spec: MetricSpec, files: Files, base: str | None = None) -> Path | None:
    """The encoder's file; None for random weights.

    `base` is the fingerprint of the encoder that is wanted, when it is known.
    """
    stated = files.encoder or (cached_tower(base) if base is not None else None)
    return stated if stated is not None or files.random else resolve(spec.backbone.weights, files.lookup)
