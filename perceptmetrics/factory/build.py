"""From a specification and its files to a metric: the only module that puts the parts together.

`create_metric`, `finetune` and `export` build with `build_metric`; what is special about a kind, the kind says itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from perceptmetrics._util.modules import on_cpu_unless_stated
from perceptmetrics._util.seeding import seeded
from perceptmetrics.errors import InvalidOptionError, first_line
from perceptmetrics.factory.encoder_pair import EncoderPair, Material
from perceptmetrics.factory.tuned_encoder import TunedWeights, cached_encoder, check_base, read_tuned, tuned_weights
from perceptmetrics.models.embeddings import check_needs
from perceptmetrics.models.encoders import (
    AbsentEncoder,
    Encoder,
    Placement,
    build_image_encoder,
    feature_size_of,
    load_image_encoder,
)
from perceptmetrics.models.metric import Metric
from perceptmetrics.models.pool import Pool
from perceptmetrics.models.quantize import Precision, quantise
from perceptmetrics.models.views import Views
from perceptmetrics.spec.heads import HEADS
from perceptmetrics.weights.layouts import load_strictly
from perceptmetrics.weights.resolve import ResolveOptions, resolve

if TYPE_CHECKING:
    from perceptmetrics.models.heads import Head
    from perceptmetrics.spec import HeadSpec, MetricSpec

__all__ = [
    "Files",
    "build_head",
    "build_metric",
    "encoder_file",
    "open_encoders",
    "open_trained",
    "pretrained_encoder",
    "split_tensors",
]

_REGRESSOR = "regressor."
_ALIGNMENT = 64
_PRECISIONS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


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


@torch.inference_mode(mode=False)  # inference tensors cannot enter autograd later, and other metrics may share these
@on_cpu_unless_stated()
def build_metric(
    spec: MetricSpec,
    files: Files,
    placement: Placement,
    *,
    precision: Precision | None = None,
    seed: int = 0,
    embeddings_only: bool = False,
) -> Metric:
    """Build a metric.

    Args:
        spec: What to build.
        files: Where its weights are.
        placement: Device of the metric, and precision of its encoder.
        precision: `"int8"` to quantise the encoder; None to leave it as it is.
        seed: Seed of random crops, and of random weights.
        embeddings_only: Whether to leave the image encoder out, and its file too where no text encoder is needed.

    Returns:
        The metric, frozen and in eval mode.

    Raises:
        WeightsError: A file is missing, corrupt, or does not fit.
        InvalidOptionError: The device, the precision or the seed is not possible.
    """
    _check_placement(placement)
    _check_seed(seed)
    if embeddings_only:
        _check_embeddings_only(spec, precision)
    trained = open_trained(spec, files)
    unread = embeddings_only and not spec.head.needs_text_encoder
    file = None if unread else encoder_file(spec, trained, files)
    encoders = open_encoders(spec, trained, file, placement, seed)
    tensors, regressor = split_tensors(trained)
    origin = spec.name if trained is None else str(trained.path)
    pool = _random_pool(spec, seed) if trained is None else _pool_of(spec, regressor, origin)
    with seeded(seed):
        head = build_head(spec.head, Material(encoders, tensors, origin=origin, seed=seed))
    encoder = AbsentEncoder(feature_size_of(spec.encoder)) if embeddings_only else encoders.image_encoder()
    metric = Metric(spec, Views(spec.views, seed), encoder, head, pool)
    if placement.device is not None:
        metric.to(placement.device)
    if precision is not None:
        quantise(metric.encoder, precision)
    return metric


def _check_embeddings_only(spec: MetricSpec, precision: Precision | None) -> None:
    check_needs(spec, normalized=False, encoder=None)
    if precision is not None:
        raise InvalidOptionError(f"There is no encoder to compute in {precision!r} with embeddings_only=True.")


def build_head(spec: HeadSpec, material: Material) -> Head:
    """Build a head of any kind."""
    head: Head = HEADS.builder_of(spec).build(spec, material)
    return head


def _random_pool(spec: MetricSpec, seed: int) -> Pool:
    with seeded(seed):
        return Pool(spec.pool)


def _pool_of(spec: MetricSpec, regressor: dict[str, torch.Tensor], origin: str) -> Pool:
    """The pool with a trained regressor; nothing is allocated before the shapes have been compared."""
    with torch.device("meta"):
        pool = Pool(spec.pool)
    load_strictly(pool.regressor or nn.Sequential(), regressor, origin)
    return pool


@torch.inference_mode(mode=False)
@on_cpu_unless_stated()
def pretrained_encoder(spec: MetricSpec, files: Files, placement: Placement) -> Encoder | None:
    """Build the encoder of a metric as it was before the metric was trained.

    Args:
        spec: The metric.
        files: Where its weights are. Nothing is downloaded for an encoder that the metric itself does not need.
        placement: Device and precision of the encoder.

    Returns:
        The encoder; None if the metric's encoder was not trained or has random weights.

    Raises:
        WeightsError: A file is missing, or does not fit.
        InvalidOptionError: The device or the precision is not possible.
    """
    _check_placement(placement)
    is_tuned = spec.encoder.lora is not None or spec.encoder.in_trained_file
    tuned = open_trained(spec, files) if is_tuned else None
    if tuned is None:
        return None
    plain = replace(spec.encoder, lora=None)
    if tuned.trained.lora:
        elsewhere = encoder_file(spec, tuned, files)
        if elsewhere is None and not tuned.trained.encoder:
            return None
        return build_image_encoder(plain, tuned_weights(tuned, plain, elsewhere), placement=placement)
    if not tuned.trained.encoder:
        return None
    file = files.encoder or resolve(spec.encoder.weights, replace(files.lookup, local_files_only=True))
    return load_image_encoder(plain, file, placement=placement)


def _check_placement(placement: Placement) -> None:
    """Check that a metric can be where it is wanted, in the precision that is wanted.

    Raises:
        InvalidOptionError: It cannot.
    """
    device, dtype = placement
    if dtype is not None and dtype not in _PRECISIONS:
        known = ", ".join(map(str, _PRECISIONS))
        raise InvalidOptionError(f"dtype must be one of {known}, or None for float32, got {dtype!r}.")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:  # no such device, no driver
        known = "'cpu', 'cuda' or 'mps'" if "device type at start" in str(error) else "'cpu'"
        reason = "" if "device type at start" in str(error) else f" {first_line(error)}"
        raise InvalidOptionError(
            f"The metric cannot be put on the device {device!r}.{reason} Pass device={known}."
        ) from error


def _check_seed(seed: object) -> None:
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or not -(2**63) <= seed < 2**64:
        raise InvalidOptionError(f"seed must be an integer of 64 bits, such as 0, got {seed!r}.")


def open_trained(spec: MetricSpec, files: Files) -> TunedWeights | None:
    """Open a metric's own trained file.

    Returns:
        What it holds; None where nothing was trained, or for random weights.

    Raises:
        WeightsError: The file is missing, corrupt, or does not fit.
        InvalidOptionError: A file is stated for a metric without a trained part, or none is published.
    """
    if not spec.has_trained_part:
        if files.trained is not None:
            raise InvalidOptionError(
                f"{spec.name!r} has no trained part of its own, so it takes no checkpoint=. Pass CLIP weights as "
                "backbone_checkpoint=."
            )
        return None
    if files.trained is not None:
        return read_tuned(files.trained, spec)
    if files.random:
        return None
    if spec.trained_file is None:
        raise InvalidOptionError(
            f"No trained file is published for {spec.name!r} with these options. Pass one as checkpoint=."
        )
    return read_tuned(resolve(spec.trained_file, files.lookup), spec)


def split_tensors(trained: TunedWeights | None) -> tuple[dict[str, torch.Tensor] | None, dict[str, torch.Tensor]]:
    """The tensors of the head, None for a head that starts at random, and those of the regressor."""
    if trained is None:
        return None, {}
    tensors = {name: _aligned(tensor) for name, tensor in trained.trained.head.items()}
    regressor = {name.removeprefix(_REGRESSOR): tensors[name] for name in tensors if name.startswith(_REGRESSOR)}
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(_REGRESSOR)}, regressor


def _aligned(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor that begins at a multiple of 64 bytes, as those of PyTorch do, but not those of a memory-mapped file.

    The last bit of a score can depend on it. A metric is to score as its copies do.
    """
    return tensor.clone() if tensor.data_ptr() % _ALIGNMENT else tensor


def open_encoders(
    spec: MetricSpec, tuned: TunedWeights | None, file: Path | None, placement: Placement, seed: int = 0
) -> EncoderPair:
    """Open the encoders of a metric; nothing is built before it is asked for.

    Args:
        spec: The metric.
        tuned: Its trained file; None where nothing was trained, or for random weights.
        file: The encoder's file, see `encoder_file`; None for random weights, or when the trained file holds it.
        placement: Where the image encoder is wanted, and in which precision.
        seed: Seed of random weights.

    Raises:
        WeightsError: The encoder is another one than was trained with.
    """
    encoder = spec.encoder
    weights = None
    if tuned is not None and tuned.trained.encoder:
        weights = tuned_weights(tuned, encoder, file)
    elif tuned is not None and file is not None:
        if tuned.trained.lora:
            weights = tuned_weights(tuned, encoder, file)
        else:
            check_base(tuned, file, encoder)
    return EncoderPair(encoder, file, weights=weights, placement=placement, seed=seed)


def encoder_file(spec: MetricSpec, tuned: TunedWeights | None, files: Files) -> Path | None:
    """The encoder's file.

    Args:
        spec: The metric.
        tuned: Its trained file; None where nothing was trained, or for random weights.
        files: Where weights are taken from.

    Returns:
        The file; None where the trained file holds the encoder, or for random weights.

    Raises:
        WeightsError: The file is missing.
    """
    if tuned is not None and tuned.trained.encoder:
        return None
    base = None if tuned is None or spec.head.needs_text_encoder else tuned.trained.base
    cached = None if base is None else cached_encoder(base)  # an image encoder alone
    stated = files.encoder or cached
    return stated if stated is not None or files.random else resolve(spec.encoder.weights, files.lookup)
