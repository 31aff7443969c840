"""Files of learned prompts: this package's, pyiqa's, and the official one of CLIP-IQA (mmcv).

- ours: `head.context`, and `head.regressor.*` if several pairs feed a regressor;
- pyiqa's `CLIP-IQA+_learned_prompts`: a bare tensor (length, C), shared by all prompts;
- pyiqa's `_512` files: `prompt_learner.ctx` (2 P, length, C), with the embeddings of the tokens before and after the
  vectors, which show whether the file belongs to a given CLIP;
- CLIP-IQA's `iter_80000.pth`: `generator.clipmodel_0.prompt_learner.ctx` among the weights of a whole CLIP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perceptmetrics.errors import WeightsError
from perceptmetrics.weights.layouts.signature import FileSignature
from perceptmetrics.weights.layouts.strict import some
from perceptmetrics.weights.layouts.trained import TrainedWeights, recorded_base
from perceptmetrics.weights.tensor_files import BARE_TENSOR, read_tensors

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["prompt_signatures", "read_prompts"]

_HEAD, _LEARNER = "head.", "prompt_learner."
_OURS, _REGRESSOR = f"{_HEAD}context", f"{_HEAD}regressor."
_GENERATOR = "generator."
_PUBLISHED_NAMES = (BARE_TENSOR, f"{_LEARNER}ctx", f"{_GENERATOR}clipmodel_0.{_LEARNER}ctx")
_CONTEXT_NAMES = (_OURS, *_PUBLISHED_NAMES)
_BESIDE = dict(zip(_PUBLISHED_NAMES, ((), (_LEARNER,), (_GENERATOR,)), strict=True))


def prompt_signatures(length: int, pairs: int, channels: int) -> list[FileSignature]:
    """What files of learned prompts look like, in each of the published layouts.

    Args:
        length: Number of learned vectors.
        pairs: Number P of pairs of prompts.
        channels: Channels C of the text encoder.
    """
    shapes = ((length, channels), (pairs, length, channels), (2 * pairs, length, channels))
    return [
        FileSignature(what="learned prompts", shapes={name: shape}, others=_BESIDE[name])
        for name in _PUBLISHED_NAMES
        for shape in dict.fromkeys(shapes)
    ]


def read_prompts(path: Path) -> TrainedWeights:
    """Read learned prompts in any of the layouts.

    Args:
        path: The file.

    Returns:
        Its content in float32, as the head of a trained file: `context`, shape (length, C), (P, length, C) or
        (2 P, length, C);
        `token_prefix` and `token_suffix`, embeddings of the tokens before and after the vectors, shapes (2 P, 1, C) and
        (2 P, L, C), where the file holds them; `regressor.*`, where there is one.

    Raises:
        WeightsError: The file is missing or corrupt, or holds no learned prompts.
    """
    tensors = {name: tensor.float() for name, tensor in read_tensors(path).items() if tensor.is_floating_point()}
    context = next((tensors[name] for name in _CONTEXT_NAMES if name in tensors), None)
    regressor = {name.removeprefix(_HEAD): tensor for name, tensor in tensors.items() if name.startswith(_REGRESSOR)}
    if (context is None and not regressor) or (context is not None and context.ndim not in (2, 3)):
        raise WeightsError(
            f"{path} holds no learned prompts: expected a tensor named {', '.join(_CONTEXT_NAMES[2:])} or {_OURS} of "
            "shape (length, channels) or (prompts, length, channels), or such a tensor alone. "
            f"It holds {some(tensors)}."
        )
    vectors = {} if context is None else {"context": context}
    around = {name: tensors[_LEARNER + name] for name in ("token_prefix", "token_suffix") if _LEARNER + name in tensors}
    return TrainedWeights(head={**vectors, **around, **regressor}, base=recorded_base(path))
