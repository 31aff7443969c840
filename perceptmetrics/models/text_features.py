"""Features of prompts, computed once for each CLIP and kept in the cache.

With all of a metric's prompts there, the text encoder is neither read nor built.
"""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING, NamedTuple

import torch

from perceptmetrics.weights.cache import cache_home
from perceptmetrics.weights.cached_tensors import keep_tensors, recall_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

__all__ = ["TextFeatures", "features_of"]

_VERSION = 1  # goes up when the same prompts get other features

_log = logging.getLogger(__name__)


class TextFeatures(NamedTuple):
    """Features of prompts.

    Attributes:
        features: Shape (N, D), float32, unit length.
        logit_scale: Factor by which CLIP multiplies cosines.
    """

    features: Tensor
    logit_scale: float


def features_of(prompts: Sequence[str], clip: str | None, compute: Callable[[], TextFeatures]) -> TextFeatures:
    """Encode prompts, or recall their features.

    Args:
        prompts: What identifies each of N prompts: its text, and whatever else it consists of.
        clip: What identifies the CLIP: a hash of its weights and what else its text encoder depends on. None for no
            caching.
        compute: Computes the features of all prompts; called only when one is not in the cache.

    Returns:
        The features.

    Raises:
        InvalidOptionError: A prompt is too long.
    """
    recalled = [None if clip is None else _recall(_path(clip, prompt)) for prompt in prompts]
    known = [one for one in recalled if one is not None]
    if len(known) == len(prompts):
        return TextFeatures(torch.stack([one.features for one in known]), known[0].logit_scale)
    computed = compute()
    if clip is not None:
        for prompt, feature in zip(prompts, computed.features, strict=True):
            _keep(_path(clip, prompt), TextFeatures(feature, computed.logit_scale))
    return computed


def _path(clip: str, prompt: str) -> Path:
    name = hashlib.sha256(json.dumps([_VERSION, clip, prompt]).encode()).hexdigest()
    return cache_home() / "prompts" / f"{name}.safetensors"


def _recall(path: Path) -> TextFeatures | None:
    tensors = recall_tensors(path)
    return None if tensors is None else TextFeatures(tensors["feature"].clone(), float(tensors["logit_scale"]))


def _keep(path: Path, one: TextFeatures) -> None:
    try:
        keep_tensors(path, {"feature": one.features.contiguous(), "logit_scale": torch.tensor(one.logit_scale)})
    except OSError as error:
        _log.info("The features of a prompt could not be kept: %s.", error)
