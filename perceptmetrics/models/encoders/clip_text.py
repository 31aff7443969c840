"""CLIP's text encoder, for as long as it takes to encode the prompts, as texts or among learned vectors.

Learned vectors: Zhou et al., "Learning to Prompt for Vision-Language Models" (CoOp), IJCV 2022. A text such as
"Good photo." is tokenised as a whole behind placeholders and with CoOp's own full stop, so that it ends in "..", which
is a single token of CLIP.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perceptmetrics.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import open_clip

    from perceptmetrics.spec import ContextPosition

__all__ = ["PromptFrame", "TextEncoder", "class_length", "tokenize", "tokenize_with_context"]

_PLACEHOLDER = "X"


@lru_cache(maxsize=1)
def _tokenizer() -> open_clip.SimpleTokenizer:
    import open_clip

    return open_clip.SimpleTokenizer()


def tokenize(texts: Sequence[str], context_length: int) -> Tensor:
    """Turn texts into CLIP's tokens.

    Args:
        texts: N texts.
        context_length: Number of tokens the text encoder reads (77).

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


class PromptFrame(NamedTuple):
    """Prompts with room for learned vectors.

    Attributes:
        embedded: Embeddings of the tokens with those of their positions, shape (N, L, C); where vectors belong, those
            of the positions alone.
        positions: Where the vectors belong, in their order, shape (N, length), int64.
        ends: Where the text ends, which is where its feature is read, shape (N,), int64.
    """

    embedded: Tensor
    positions: Tensor
    ends: Tensor

    def fill(self, context: Tensor) -> Tensor:
        """Put vectors, shape (length, C) or (N, length, C), in their positions: shape (N, L, C)."""
        width = self.embedded.shape[-1]
        vectors = context.expand(*self.positions.shape, width).to(self.embedded.dtype)
        return self.embedded.scatter_add(1, self.positions[..., None].expand(-1, -1, width), vectors)


class TextEncoder(nn.Module):
    """The text encoder of a loaded CLIP, frozen.

    A token of CLIP's text encoder sees the tokens before it and no others, so what comes after the longest text's end
    is not computed: the features are the same without it.

    Args:
        model: open_clip's model with its weights, which are taken over and not copied.
    """

    attn_mask: Tensor
    positional_embedding: Tensor
    scale: Tensor

    def __init__(self, model: open_clip.CLIP) -> None:
        super().__init__()
        self.context_length = int(model.context_length)
        self.transformer = model.transformer
        self.token_embedding = model.token_embedding
        self.ln_final = model.ln_final
        self.register_parameter("positional_embedding", model.positional_embedding)
        self.register_parameter("text_projection", model.text_projection)
        self.register_parameter("scale", model.logit_scale)
        self.register_buffer("attn_mask", model.attn_mask, persistent=False)
        self.requires_grad_(False)
        self.eval()

    @property
    def logit_scale(self) -> float:
        """Factor by which CLIP multiplies cosines, about 100."""
        return float(self.scale.detach().exp())

    @property
    def width(self) -> int:
        """Channels C of a token's embedding."""
        return int(self.token_embedding.weight.shape[1])

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
        ends = _ends(tokens)
        tokens = tokens[:, : int(ends.max()) + 1]
        device = self.attn_mask.device
        embedded = self.embed(tokens.to(device)) + self.positional_embedding[: tokens.shape[1]]
        return self.read(embedded, ends.to(device))

    def embed(self, tokens: Tensor) -> Tensor:
        """Look tokens (N, L) up in the table of embeddings: shape (N, L, C)."""
        embedded: Tensor = self.token_embedding(tokens)
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
        frame = self.frame(texts, context.shape[-2], position)
        return self.read(frame.fill(context), frame.ends)

    @torch.no_grad()
    def frame(self, texts: Sequence[str], length: int, position: ContextPosition = "middle") -> PromptFrame:
        """Prepare texts to be read among learned vectors.

        Args:
            texts: N texts; a full stop is added to each.
            length: Number of vectors.
            position: Where the text stands among them.

        Returns:
            The prompts, as long as the longest of them.

        Raises:
            InvalidOptionError: A text is too long.
        """
        tokens = tokenize_with_context(texts, length, self.context_length)
        ends = _ends(tokens)  # before the words are moved, which does not move the end
        order = torch.stack([_order(class_length(text), length, tokens.shape[1], position) for text in texts])
        order = order[:, : int(ends.max()) + 1]
        learned = (order >= 1) & (order <= length)
        positions = learned.nonzero()[:, 1].view(len(texts), length)
        device = self.attn_mask.device
        embedded = self.embed(tokens.gather(1, order).to(device)).masked_fill(learned[..., None].to(device), 0)
        embedded += self.positional_embedding[: order.shape[1]]
        return PromptFrame(embedded, positions.to(device), ends.to(device))

    def read(self, embedded: Tensor, ends: Tensor) -> Tensor:
        """Encode texts whose tokens and positions are embedded already; differentiable in them.

        Args:
            embedded: Shape (N, L, C).
            ends: Where the texts end, shape (N,).

        Returns:
            Shape (N, D), float32, unit length.
        """
        length = embedded.shape[1]
        hidden = self.transformer(embedded, attn_mask=self.attn_mask[:length, :length])
        last = hidden[torch.arange(len(ends), device=ends.device), ends]
        return F.normalize(self.ln_final(last) @ self.text_projection, dim=-1)


def _ends(tokens: Tensor) -> Tensor:
    """Where texts end: at the token with the highest number."""
    return tokens.argmax(dim=-1)


def tokenize_with_context(texts: Sequence[str], length: int, context_length: int) -> Tensor:
    """Tokens of texts behind `length` placeholders, each text with CoOp's full stop: shape (N, context_length)."""
    return tokenize([" ".join([_PLACEHOLDER] * length + [f"{text}."]) for text in texts], context_length)


def class_length(text: str) -> int:
    """Number of tokens of a text without CoOp's full stop."""
    return len(_tokenizer().encode(text))


def _order(words: int, length: int, total: int, position: ContextPosition) -> Tensor:
    """Where each token of a prompt stood behind the placeholders 1 to `length`, before its words were moved."""
    before = length // 2 if position == "middle" else length
    first, after = 1 + length, 1 + length + words
    order = [*range(1 + before), *range(first, after), *range(1 + before, first), *range(after, total)]
    return torch.tensor(order)
