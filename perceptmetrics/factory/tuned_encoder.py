"""From the file of a metric whose encoder was tuned to the encoder's tensors.

    released .pth --once, into the cache--> slim file (LoRA + head) + the encoder that LoRA was trained on
    slim file + encoder --merge--> the tuned encoder

The three released PerceptCLIP files carry the same CLIP. In the cache it lies once, under its fingerprint, and in
memory once, since every tensor that LoRA left alone is shared by content.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from perceptmetrics._util.atomic import replacing
from perceptmetrics.errors import WeightsError
from perceptmetrics.models.encoders import EncoderWeights, encoder_shapes, read_encoder_weights, text_channels_of
from perceptmetrics.models.lora import adapter_name, adapter_shapes, merge_projection
from perceptmetrics.spec.heads import HEADS
from perceptmetrics.weights.cache import cache_home, read_record, write_record
from perceptmetrics.weights.fingerprints import digests_of, fingerprint
from perceptmetrics.weights.layouts import (
    FileSignature,
    TrainedWeights,
    check_shapes,
    is_released_perceptclip,
    read_image_encoder,
    read_released_perceptclip,
    read_trained,
    released_signature,
    write_trained,
)
from perceptmetrics.weights.resolve import file_sha256
from perceptmetrics.weights.tensor_files import check_archive, read_tensors, save_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from perceptmetrics.spec import EncoderSpec, MetricSpec

__all__ = [
    "TunedWeights",
    "cached_encoder",
    "check_base",
    "encoder_fingerprint",
    "known_files",
    "read_tuned",
    "tuned_weights",
]

_FUSED = (".in_proj_weight", ".qkv.weight")  # of open_clip and of timm

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TunedWeights:
    """A metric's trained file, opened.

    Attributes:
        trained: Its parts.
        path: The file that holds them.
    """

    trained: TrainedWeights
    path: Path


def read_tuned(path: Path, spec: MetricSpec) -> TunedWeights:
    """Open a metric's trained file: ours, or a released PerceptCLIP, which is converted into the cache first.

    Args:
        path: The file.
        spec: The metric.

    Returns:
        Its parts, memory-mapped, and where they now lie.

    Raises:
        WeightsError: The file is missing or corrupt, or does not fit the metric; the message names the tensor.
    """
    published = HEADS.builder_of(spec.head).read_published(path, spec.head)
    if published is not None:
        return TunedWeights(trained=published, path=path)
    if path.suffix == ".safetensors":
        return TunedWeights(trained=_checked(read_trained(path), spec, str(path)), path=path)
    digest = file_sha256(path) if path.is_file() else ""
    slim = cache_home() / "converted" / f"{digest}.safetensors"
    if (converted := _read_converted(slim, spec)) is not None:
        return converted
    check_archive(path)
    tensors = read_tensors(path)
    if not is_released_perceptclip(tensors):
        return TunedWeights(trained=_checked(read_trained(path), spec, str(path)), path=path)
    trained = _released(tensors, spec, str(path))
    digests = digests_of(trained.encoder, path)
    try:
        _write_converted(slim, trained, fingerprint(digests), source=path)
    except OSError as error:
        _log.warning("%s could not be converted into the cache (%s); it is used as it is.", path, error)
        return TunedWeights(trained=trained, path=path)
    return TunedWeights(trained=replace(trained, encoder={}, base=fingerprint(digests)), path=slim)


def known_files(spec: MetricSpec) -> list[FileSignature]:
    """What the files look like that `read_tuned` reads for a metric and others have published."""
    builder = HEADS.builder_of(spec.head)
    known: list[FileSignature] = builder.published_files(spec.head, text_channels_of(spec.encoder))
    if spec.encoder.lora is not None:
        known.append(released_signature(builder.trained_shapes(spec.head) or {}))
    return known


def tuned_weights(tuned: TunedWeights, spec: EncoderSpec, encoder: Path | None = None) -> EncoderWeights:
    """Put a tuned encoder together: its own tensors, with the adapters merged into them.

    Args:
        tuned: The metric's trained file.
        spec: The encoder, with its LoRA if it has any.
        encoder: The file of the encoder; None when the trained file holds it.

    Returns:
        The tensors; those that the adapters left alone can be shared.

    Raises:
        WeightsError: The encoder is missing, or is another one than was trained with.
    """
    trained, path = tuned.trained, encoder or tuned.path
    if encoder is not None:
        given, digests, _ = read_encoder_weights(encoder, spec)
    else:
        given, digests = trained.encoder, digests_of(trained.encoder, path)
    weights = dict(given)
    _check_fingerprint(tuned, path, fingerprint(digests))
    if spec.lora is not None and trained.lora:
        merged = _merged(weights, trained.lora, spec)
        weights |= merged
        digests = {name: digest for name, digest in dict(digests).items() if name not in merged}
    return EncoderWeights(weights, digests, str(path))


def check_base(tuned: TunedWeights, encoder: Path, spec: EncoderSpec) -> None:
    """Refuse an encoder other than the one that was trained with, where the trained file says which that was.

    Raises:
        WeightsError: It is another one.
    """
    if tuned.trained.base is not None:
        _check_fingerprint(tuned, encoder, encoder_fingerprint(encoder, spec))


def _check_fingerprint(tuned: TunedWeights, path: Path, actual: str) -> None:
    if tuned.trained.base not in (None, actual):
        raise WeightsError(
            f"The weights of {tuned.path} were trained with another encoder than {path}: they need the one of "
            f"fingerprint {tuned.trained.base}, and it has {actual}. Pass the right one as backbone_checkpoint=, or "
            "use a file that holds the encoder too (`perceptmetrics convert --format merged`)."
        )


def encoder_fingerprint(file: Path, spec: EncoderSpec) -> str:
    """Fingerprint of the encoder that a file holds.

    Raises:
        WeightsError: The file holds no encoder of that kind.
    """
    return fingerprint(read_encoder_weights(file, spec).digests)


def cached_encoder(base: str) -> Path | None:
    """The encoder of a fingerprint, if a released file with it was converted on this machine."""
    path = _encoder_path(base)
    return path if path.is_file() else None


def _merged(weights: Mapping[str, Tensor], lora: Mapping[str, Tensor], spec: EncoderSpec) -> dict[str, Tensor]:
    """The fused projections with their adapters."""
    if spec.lora is None:
        return {}
    merged = {}
    for name, tensor in weights.items():
        attention = _attention_of(name, tuple(tensor.shape))
        if attention is not None:
            updates = {
                part: (lora[adapter_name(attention, part, "down")], lora[adapter_name(attention, part, "up")])
                for part in spec.lora.targets
            }
            merged[name] = merge_projection(tensor, updates, spec.lora.scale)
    return merged


def _lora_shapes(spec: EncoderSpec) -> dict[str, tuple[int, ...]]:
    if spec.lora is None:
        return {}
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in encoder_shapes(spec).items():
        attention = _attention_of(name, shape)
        if attention is not None:
            shapes |= adapter_shapes(attention, shape[1], spec.lora)
    return shapes


def _attention_of(name: str, shape: tuple[int, ...]) -> str | None:
    """Path of the attention module whose fused projection has this name and shape; None for other tensors."""
    suffix = next((suffix for suffix in _FUSED if name.endswith(suffix)), None)
    is_fused = suffix is not None and len(shape) == 2 and shape[0] == 3 * shape[1]
    return name.removesuffix(suffix) if suffix is not None and is_fused else None


def _released(tensors: Mapping[str, Tensor], spec: MetricSpec, origin: str) -> TrainedWeights:
    if spec.encoder.lora is None:
        raise WeightsError(f"{origin} is a PerceptCLIP with LoRA, which {spec.name!r} is not.")
    return read_released_perceptclip(
        tensors,
        origin,
        encoder=encoder_shapes(spec.encoder),
        lora=_lora_shapes(spec.encoder),
        head=HEADS.builder_of(spec.head).trained_shapes(spec.head) or {},
    )


def _checked(trained: TrainedWeights, spec: MetricSpec, origin: str) -> TrainedWeights:
    """Check adapters and head; the encoder is checked when it is built."""
    shapes = HEADS.builder_of(spec.head).trained_shapes(spec.head)
    if shapes is not None:
        check_shapes(trained.head, shapes, origin, f"the head of {spec.name!r}")
    merged = trained.encoder and not trained.lora
    check_shapes(trained.lora, {} if merged else _lora_shapes(spec.encoder), origin, f"the LoRA of {spec.name!r}")
    return trained


def _encoder_path(base: str) -> Path:
    return cache_home() / "encoders" / f"{base}.safetensors"


def _record_path(slim: Path) -> Path:
    return slim.with_suffix(".json")


def _write_converted(slim: Path, trained: TrainedWeights, base: str, source: Path) -> None:
    weights = _encoder_path(base)
    if not _is_intact(weights, base):
        with replacing(weights) as temporary:
            save_tensors(trained.encoder, temporary)
    write_trained(slim, TrainedWeights(head=trained.head, lora=trained.lora, base=base))
    write_record(_record_path(slim), {"source": str(source), "sha256": file_sha256(slim), "encoder": base})


def _read_converted(slim: Path, spec: MetricSpec) -> TunedWeights | None:
    """What an earlier conversion left; None when it left nothing, or not what it wrote."""
    record = read_record(_record_path(slim))
    if record is None or not slim.is_file() or file_sha256(slim) != record.get("sha256"):
        return None
    trained = read_trained(slim)
    if trained.base is None or not _is_intact(_encoder_path(trained.base), trained.base):
        return None
    try:
        return TunedWeights(trained=_checked(trained, spec, str(slim)), path=slim)
    except WeightsError:  # of another metric; the file itself tells better what is wrong
        return None


def _is_intact(weights: Path, base: str) -> bool:
    """Whether an encoder in the cache is there and still what was written."""
    if not weights.is_file():
        return False
    try:
        intact = fingerprint(digests_of(read_image_encoder(weights), weights)) == base
    except WeightsError:
        intact = False
    if not intact:
        _log.warning("%s is corrupt and is written again.", weights)
    return intact
