"""CLIP's text tower, for as long as it takes to encode the prompts, as texts or among learned vectors.

Learned vectors: Zhou et al., "Learning to Prompt for Vision-Language Models" (CoOp), IJCV 2022. A text such as
"Good photo." is tokenised as a whole behind placeholders and with CoOp's own full stop, so that it ends in "..", which
is a single token of CLIP.
"""

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

    from perceptmetrics.spec import ContextPosition

__all__ = ["TextEncoder", "class_length", "tokenize", "tokenize_with_context"]

_PLACEHOLDER = "X"


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

    @property
    def width(self) -> int:
        """Channels C of a token's embedding."""
        return int(self._model.token_embedding.weight.shape[1])

    @property
    def context_length(self) -> int:
        """Number of tokens that are read (77)."""
        return int(self._model.context_length)

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> Tensor:
        """Encode texts.

        Args:
            texts: N texts.

        Returns:
            Shape (N, D), float32, unit length.

        Raises:
            InvalidOptionError: A text is too long.
        """
        tokens = tokenize(texts, self.context_length)
        return F.normalize(self._model.encode_text(tokens), dim=-1)

    def embed(self, tokens: Tensor) -> Tensor:
        """Look tokens (N, L) up in the table of embeddings: shape (N, L, C)."""
        embedded: Tensor = self._model.token_embedding(tokens)
        return embedded

    def encode_with_context(
        self, texts: Sequence[str], context: Tensor, position: ContextPosition = "middle"
    ) -> Tensor:
        """Encode texts among learned vectors (CoOp); differentiable in the vectors.

        Args:
            texts: N texts; a full stop is added to each, as CoOp does.
            context: Shape (length, C), shared by all texts, or (N, length, C).
            position: Where the text stands among the vectors.

        Returns:
            Shape (N, D), float32, unit length.

        Raises:
            InvalidOptionError: A text is too long.
        """
        length = context.shape[-2]
        tokens = tokenize_with_context(texts, length, self.context_length)
        shared = context if context.ndim == 3 else context.expand(len(texts), -1, -1)
        prompts = [
            _among(embedded, vectors, position, class_length(text))
            for embedded, vectors, text in zip(self.embed(tokens), shared, texts, strict=True)
        ]
        hidden = torch.stack(prompts) + self._model.positional_embedding
        hidden = self._model.ln_final(self._model.transformer(hidden, attn_mask=self._model.attn_mask))
        ends = hidden[torch.arange(len(texts)), tokens.argmax(dim=-1)]  # the end-of-text token has the highest number
        return F.normalize(ends @ self._model.text_projection, dim=-1)


def tokenize_with_context(texts: Sequence[str], length: int, context_length: int) -> Tensor:
    """Tokens of texts behind `length` placeholders, each text with CoOp's full stop: shape (N, context_length)."""
    return tokenize([" ".join([_PLACEHOLDER] * length + [f"{text}."]) for text in texts], context_length)


def class_length(text: str) -> int:
    """Number of tokens of a text without CoOp's full stop."""
    return len(_tokenizer().encode(text))


def _among(embedded: Tensor, context: Tensor, position: ContextPosition, count: int) -> Tensor:
    """Put the learned vectors in the place of the placeholders, and the text's `count` tokens where they belong."""
    length = context.shape[0]
    start, words, rest = embedded[:1], embedded[1 + length : 1 + length + count], embedded[1 + length + count :]
    before = length // 2 if position == "middle" else length
    return torch.cat([start, context[:before], words, context[before:], rest])
