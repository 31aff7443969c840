"""CLIP's text tower, for as long as it takes to encode the prompts."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

from perceptmetrics.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perceptmetrics.spec import PromptPair

__all__ = ["TextEncoder", "tokenize"]


@lru_cache(maxsize=1)
def _tokenizer() -> open_clip.SimpleTokenizer:
    return open_clip.SimpleTokenizer()


def tokenize(texts: Sequence[str], context_length: int) -> Tensor:
    """Turn texts into CLIP's tokens.

    Args:
        texts: N texts.
        context_length: Number of tokens the text tower reads (77).

    Returns:
        Shape (N, context_length), int64.

    Raises:
        InvalidOptionError: A text is too long to be read whole; nothing is cut silently.
    """
    tokenizer = _tokenizer()
    room = context_length - 2  # start and end of text
    for text in texts:
        count = len(tokenizer.encode(text))
        if count > room:
            raise InvalidOptionError(f"The prompt {text[:40]!r}... has {count} tokens; CLIP reads {room}. Shorten it.")
    tokens: Tensor = tokenizer(list(texts), context_length=context_length)
    return tokens


class TextEncoder:
    """The text tower of a loaded CLIP.

    Args:
        model: open_clip's model with its weights.
    """

    def __init__(self, model: open_clip.CLIP) -> None:
        self._model = model

    @property
    def logit_scale(self) -> float:
        """Factor by which CLIP multiplies cosines, about 100."""
        return float(self._model.logit_scale.detach().exp())

    @torch.no_grad()
    def encode_pairs(self, pairs: Sequence[PromptPair]) -> Tensor:
        """Encode antonym pairs.

        Args:
            pairs: P pairs.

        Returns:
            Shape (P, 2, D), float32, unit length; [:, 0] are the positive prompts.

        Raises:
            InvalidOptionError: A prompt is too long.
        """
        texts = [text for pair in pairs for text in (pair.positive, pair.negative)]
        tokens = tokenize(texts, int(self._model.context_length))
        features = F.normalize(self._model.encode_text(tokens), dim=-1)
        return features.reshape(len(pairs), 2, -1)
