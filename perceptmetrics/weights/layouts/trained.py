"""The file of a trained metric, as written by this package (`model.safetensors`).

It has up to three parts, distinguished by the first word of a tensor's name: `head.*`; `lora.*`, the adapters of the
encoder; and `encoder.*`, the whole encoder in its library's layout, in files that need no other. A file of adapters or
learned prompts without an encoder holds, in its header, the fingerprint of the encoder that they belong to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

from perceptmetrics._util.atomic import replacing
from perceptmetrics._util.text import shown
from perceptmetrics.errors import WeightsError
from perceptmetrics.weights.fingerprints import is_fingerprint
from perceptmetrics.weights.layouts.strict import some
from perceptmetrics.weights.tensor_files import read_metadata, read_tensors, save_tensors

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TrainedWeights", "read_trained", "recorded_base", "write_trained"]

_BASE = "base_fingerprint"
_FORMAT = {"format": "perceptmetrics", "format_version": "1"}


@dataclass(frozen=True, kw_only=True)
class TrainedWeights:
    """The parts of a trained metric.

    Attributes:
        head: State dictionary of the head.
        lora: Matrices of the adapters, see `lora.adapter_name`; empty without LoRA, or if they are merged.
        encoder: State dictionary of the encoder in its library's layout; empty if it is stored elsewhere.
        base: Fingerprint of the encoder that the adapters belong to; None if it is not recorded.
    """

    head: Mapping[str, Tensor]
    lora: Mapping[str, Tensor] = field(default_factory=dict)
    encoder: Mapping[str, Tensor] = field(default_factory=dict)
    base: str | None = None


def read_trained(path: Path) -> TrainedWeights:
    """Read a file written by `write_trained`.

    Args:
        path: A `.safetensors` file (or a PyTorch file with tensors of the same names).

    Returns:
        The parts; floating-point tensors in float32.

    Raises:
        WeightsError: The file is missing or corrupt, or holds anything else.
    """
    parts: dict[str, dict[str, Tensor]] = {"head": {}, "lora": {}, "encoder": {}}
    foreign = []
    for name, tensor in read_tensors(path).items():
        part, _, rest = name.partition(".")
        if part in parts:
            parts[part][rest] = tensor.float() if tensor.is_floating_point() else tensor
        else:
            foreign.append(name)
    if foreign or not parts["head"]:
        raise WeightsError(
            f"{path} is not the trained file of a metric: its tensors should be named 'head.*', 'lora.*' and "
            f"'encoder.*', but it {f'holds {some(foreign)}' if foreign else 'has no head'}."
        )
    return TrainedWeights(**parts, base=recorded_base(path))


def recorded_base(path: Path) -> str | None:
    """Fingerprint of the encoder that a trained file belongs to; None if it is not recorded.

    Raises:
        WeightsError: The file is corrupt, or records something else.
    """
    recorded = read_metadata(path).get(_BASE)
    if recorded is not None and not is_fingerprint(recorded):  # it becomes the name of a file in the cache
        raise WeightsError(
            f"The header of {path} should record the fingerprint of an encoder, 64 hexadecimal digits, under {_BASE}, "
            f"got {shown(recorded)}. The file was changed; fetch it again."
        )
    return recorded


def write_trained(path: Path, weights: TrainedWeights) -> None:
    """Write the file of a trained metric atomically.

    Args:
        path: File to write (`.safetensors`).
        weights: The parts.
    """
    parts = {"head": weights.head, "lora": weights.lora, "encoder": weights.encoder}
    tensors = {f"{part}.{name}": tensor for part, group in parts.items() for name, tensor in group.items()}
    metadata = _FORMAT | ({} if weights.base is None else {_BASE: weights.base})
    with replacing(path) as temporary:
        save_tensors(tensors, temporary, metadata)
