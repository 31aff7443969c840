"""From a metric in memory, as it was trained, to what its file holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from perceptmetrics.errors import InvalidSpecError
from perceptmetrics.models.encoders import is_folded, library_state
from perceptmetrics.models.heads import Head
from perceptmetrics.models.lora import has_lora, lora_state, without_lora
from perceptmetrics.weights.fingerprints import fingerprint_of
from perceptmetrics.weights.layouts import TrainedWeights

if TYPE_CHECKING:
    from torch import Tensor

    from perceptmetrics.models.metric import Metric
    from perceptmetrics.spec import MetricSpec

__all__ = ["base_fingerprint", "head_parts", "trained_weights_of"]


def trained_weights_of(
    metric: Metric, spec: MetricSpec | None = None, *, base: str | None = None, context: Tensor | None = None
) -> TrainedWeights:
    """Collect what was trained; the specification says which parts a file of it holds.

    - the head, or, for a metric with prompts, learned context and regressor;
    - `encoder.lora`: the adapters, which may be merged at the moment but not baked;
    - `encoder.in_trained_file`: the encoder. With `encoder.lora` it is stored without the adapters, without it with
      any adapters in its weights.

    Args:
        metric: The metric.
        spec: What it is to become; None for its own specification.
        base: Fingerprint of the encoder as it was before, which a file without the encoder records. None: it is taken
            from the encoder at hand, where that holds the weights of its file unchanged (see `base_fingerprint`).
        context: Learned context of the prompts; None for the head's own, its tensor `context`.

    Returns:
        Copies of the parts, in float32 on the CPU.

    Raises:
        InvalidSpecError: The metric does not hold what the specification says.
    """
    spec = spec or metric.spec
    encoder = spec.encoder
    adapted = has_lora(metric.encoder)
    if encoder.lora is not None and not adapted:
        raise InvalidSpecError(
            f"The specification of {spec.name!r} has LoRA, but its encoder has no adapters (any more). Collect the "
            "weights before the adapters are baked, or state lora=None and in_trained_file=True."
        )
    if encoder.lora is None and adapted and not encoder.in_trained_file:
        raise InvalidSpecError(
            f"The encoder of {spec.name!r} has adapters, which its specification does not mention. State "
            "encoder.lora, or in_trained_file=True for an encoder that holds them."
        )
    head = _own(head_parts(metric, spec, context))
    lora = {} if encoder.lora is None else _own(lora_state(metric.encoder))
    if encoder.in_trained_file:
        state = without_lora(metric.encoder, merged=encoder.lora is None)
        return TrainedWeights(head=head, lora=lora, encoder=_own(library_state(state, encoder)))
    if base is None and not spec.head.needs_text_encoder:
        base = base_fingerprint(metric)
    return TrainedWeights(head=head, lora=lora, base=base)


def base_fingerprint(metric: Metric) -> str | None:
    """Fingerprint of a metric's encoder without adapters, the same that its weight file has.

    Returns:
        64 hexadecimal digits; None where the encoder does not keep the weights of the file as they are: folded batch
        normalisations, or another precision.
    """
    state = without_lora(metric.encoder, merged=False)
    spec = metric.spec.encoder
    if any(tensor.is_floating_point() and tensor.dtype != torch.float32 for tensor in state.values()):
        return None
    if is_folded(state, spec):
        return None
    return fingerprint_of(library_state(state, spec))


def head_parts(metric: Metric, spec: MetricSpec | None = None, context: Tensor | None = None) -> dict[str, Tensor]:
    """What a trained file holds beside the encoder: the head, and the regressor on its outputs."""
    spec = spec or metric.spec
    parts: dict[str, Tensor] = {}
    if spec.head.is_trained:
        is_ours = isinstance(metric.head, Head)
        parts |= metric.head.trained_state(context) if is_ours else metric.head.state_dict()  # type: ignore[operator]
    if metric.pool.regressor is not None:
        parts |= {f"regressor.{name}": tensor for name, tensor in metric.pool.regressor.state_dict().items()}
    if not parts:
        raise InvalidSpecError(f"{spec.name!r} has no trained part, so there is nothing to store.")
    return parts


def _own(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies, in float32 on the CPU."""
    return {
        name: tensor.detach().to(
            device="cpu", dtype=torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True
        )
        for name, tensor in tensors.items()
    }
