"""Integer arithmetic for encoders on a processor.

Weights are rounded to 8 bits once, a scale for each output channel; activations at each call, a scale for each token
(dynamic quantisation), by PyTorch's library for it, torchao.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from perceptmetrics._util.warnings import quiet
from perceptmetrics.errors import InvalidOptionError, MissingExtraError

if TYPE_CHECKING:
    from perceptmetrics.models.encoders import Encoder

__all__ = ["Precision", "quantise"]

Precision = Literal["int8"]


def quantise(encoder: Encoder, precision: Precision) -> None:
    """Quantise the linear layers of an encoder in place; nothing that other encoders share is changed.

    Args:
        encoder: A CLIP vision transformer in float32 on the CPU.
        precision: `"int8"`.

    Raises:
        InvalidOptionError: The precision is unknown, or not possible for this encoder.
        MissingExtraError: torchao is not installed.
    """
    if precision != "int8":
        raise InvalidOptionError(f"precision= must be 'int8', got {precision!r}. For bfloat16 or float16 pass dtype=.")
    weight = next(encoder.parameters())
    if encoder.quantizable is None:
        raise InvalidOptionError(
            "precision='int8' is for metrics on one of CLIP's vision transformers, got one on a "
            f"{type(encoder).__name__}. Leave it out."
        )
    if weight.device.type != "cpu" or not weight.dtype.itemsize == 4:
        raise InvalidOptionError(
            f"precision='int8' is for encoders in float32 on the CPU, got {weight.dtype} on {weight.device.type!r}. "
            "Leave it out, or leave dtype= and device= out."
        )
    try:
        with quiet("torch.utils._pytree"):
            from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_
    except ImportError as error:
        raise MissingExtraError("precision='int8'", "int8") from error
    quantize_(encoder.quantizable, Int8DynamicActivationInt8WeightConfig())
    for module in encoder.modules():
        module.__dict__.pop("extra_repr", None)  # torchao's own, which cannot be pickled
    encoder.shared.separate(encoder)  # what little is left, so that nothing of the original stays in memory
    _return_free_memory()


def _return_free_memory() -> None:
    """Give the memory of the many temporary tensors back to the system; glibc would keep most of it."""
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
