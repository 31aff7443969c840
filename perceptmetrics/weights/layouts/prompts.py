"""Files of learned prompts: this package's, pyiqa's, and the official one of CLIP-IQA (mmcv).

- ours: `head.context`, and `head.regressor.*` where several pairs go through a regressor;
- pyiqa's `CLIP-IQA+_learned_prompts`: a bare tensor (length, C), shared by all prompts;
- pyiqa's `_512` files: `prompt_learner.ctx` (2 P, length, C), with the embeddings of the tokens before and after the
  vectors, by which is checked that they belong to the CLIP at hand;
- CLIP-IQA's `iter_80000.pth`: `generator.clipmodel_0.prompt_learner.ctx` among the weights of a whole CLIP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

from perceptmetrics.errors import WeightsError
from perceptmetrics.weights.layouts.strict import some
from perceptmetrics.weights.layouts.trained import recorded_base
from perceptmetrics.weights.tensor_files import BARE_TENSOR, read_tensors

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PromptWeights", "read_prompts"]

_OURS, _REGRESSOR = "head.context", "head.regressor."
_CONTEXT_NAMES = (_OURS, BARE_TENSOR, "prompt_learner.ctx", "generator.clipmodel_0.prompt_learner.ctx")


@dataclass(frozen=True, kw_only=True)
class PromptWeights:
    """What was trained around a frozen CLIP.

    Attributes:
        context: Learned vectors, shape (length, C) or (2 P, length, C); None when only a regressor was trained.
        before: Embedding of the token before the vectors, shape (2 P, 1, C), when the file holds it.
        after: Embeddings of the tokens after the vectors, shape (2 P, L, C), when the file holds them.
        regressor: State dictionary of the regressor; empty for none.
        base: Fingerprint of the image tower of the CLIP that was trained with; None when it is not recorded.
    """

    context: Tensor | None
    before: Tensor | None = None
    after: Tensor | None = None
    regressor: Mapping[str, Tensor] = field(default_factory=dict)
    base: str | None = None


def read_prompts(path: Path) -> PromptWeights:
    """Read learned prompts in any of the layouts.

    Args:
        path: The file.

    Returns:
        Its content in float32.

    Raises:
        WeightsError: The file is missing or damaged, or holds nothing of that kind.
    """
    tensors = {name: tensor.float() for name, tensor in read_tensors(path).items() if tensor.is_floating_point()}
    context = next((tensors[name] for name in _CONTEXT_NAMES if name in tensors), None)
    regressor = {
        name.removeprefix(_REGRESSOR): tensor for name, tensor in tensors.items() if name.startswith(_REGRESSOR)
    }
    if (context is None and not regressor) or (context is not None and context.ndim not in (2, 3)):
        raise WeightsError(
            f"{path} holds no learned prompts: expected a tensor named {', '.join(_CONTEXT_NAMES[2:])} or {_OURS} of "
            "shape (length, channels) or (prompts, length, channels), or such a tensor alone. "
            f"It holds {some(tensors)}."
        )
    return PromptWeights(
        context=context,
        before=tensors.get("prompt_learner.token_prefix"),
        after=tensors.get("prompt_learner.token_suffix"),
        regressor=regressor,
        base=recorded_base(path),
    )
