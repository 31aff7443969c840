"""Learned prompts (CoOp): vectors among the words of antonym prompts, trained through a frozen text encoder.

Zhou et al., "Learning to Prompt for Vision-Language Models", IJCV 2022; as CLIP-IQA+ uses it (Wang et al., AAAI 2023,
section 3.3): sixteen vectors, shared by the positive and the negative prompt, with the words in their middle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from perceptmetrics.errors import InvalidOptionError, InvalidSpecError
from perceptmetrics.models.encoders.clip_text import PromptFrame, TextEncoder, tokenize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Self

    from perceptmetrics.models.heads import AntonymHead
    from perceptmetrics.spec import ContextPosition, PromptPair

__all__ = ["PromptLearner", "context_from_words", "context_of_each", "random_context"]

_SPREAD = 0.02  # CoOp's


def random_context(width: int, length: int = 16, *, prompts: int | None = None, seed: int = 0) -> Tensor:
    """Vectors to start from: normal, of standard deviation 0.02, as CoOp draws them.

    Args:
        width: Channels C of the text encoder.
        length: Number of vectors.
        prompts: Number N of prompts, or of pairs, with vectors of their own; None for vectors that all share.
        seed: Seed of the draw.

    Returns:
        Shape (length, C) or (N, length, C), float32.
    """
    shape = (length, width) if prompts is None else (prompts, length, width)
    return _SPREAD * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def context_from_words(text: TextEncoder, words: str, *, prompts: int | None = None) -> Tensor:
    """Vectors to start from: the embeddings of words, such as "a photo of a".

    Args:
        text: The text encoder.
        words: As many tokens as there are to be vectors.
        prompts: Number N of prompts, or of pairs, with vectors of their own; None for vectors that all share.

    Returns:
        Shape (length, C) or (N, length, C); the length is the number of tokens.

    Raises:
        InvalidOptionError: There is no word, or there are too many.
    """
    (tokens,) = tokenize([words], text.context_length)
    end = int(tokens.argmax())
    if end == 1:
        raise InvalidOptionError(
            f"The words to start the learned prompts from are empty: {words!r}. Give at least one."
        )
    context = text.embed(tokens[1:end].to(text.attn_mask.device)).detach().clone()
    return context if prompts is None else context.repeat(prompts, 1, 1)


def context_of_each(context: Tensor, count: int) -> Tensor:
    """The vectors of each of `count` prompts, where those of a pair may share theirs.

    Args:
        context: Shape (length, C), shared by all prompts; (count / 2, length, C), one for each pair; or
            (count, length, C).
        count: Number of prompts: positive, negative of each pair.

    Returns:
        Shape (length, C) or (count, length, C).

    Raises:
        InvalidSpecError: The context is of another shape.
    """
    groups = context.shape[:-2]
    if context.ndim not in (2, 3) or (groups and 2 * groups[0] != count and groups[0] != count):
        raise InvalidSpecError(
            f"Learned vectors have the shape (length, channels), shared by all prompts, ({count // 2}, length, "
            f"channels), shared by the prompts of a pair, or ({count}, length, channels), got {tuple(context.shape)}."
        )
    return context.repeat_interleave(2, dim=0) if groups and groups[0] != count else context


class PromptLearner(nn.Module):
    """Antonym prompts whose vectors train. The text encoder follows `.to()`; it is frozen, and no part of the state.

    Args:
        text: The text encoder.
        pairs: The P antonym pairs.
        context: Vectors to start from, shape (length, C), shared by all prompts; (P, length, C), shared by the two
            prompts of a pair; or (2 P, length, C), in the order positive, negative of each pair.
        position: Where the words stand among the vectors.

    Attributes:
        context: The vectors, the only parameter.

    Raises:
        InvalidSpecError: The vectors do not fit the text encoder or the pairs.
        InvalidOptionError: A prompt is too long.
    """

    embedded: Tensor
    positions: Tensor
    ends: Tensor

    def __init__(
        self, text: TextEncoder, pairs: Sequence[PromptPair], context: Tensor, position: ContextPosition = "middle"
    ) -> None:
        super().__init__()
        texts = [words for pair in pairs for words in (pair.positive, pair.negative)]
        context_of_each(context, len(texts))
        if context.shape[-1] != text.width:
            raise InvalidSpecError(
                f"The learned vectors must have the {text.width} channels of the text encoder, got {context.shape[-1]}."
            )
        self._text = (text,)  # in a tuple, so that it is no part of the state; `_apply` moves it
        self.context = nn.Parameter(context.detach().to(text.attn_mask.device, torch.float32, copy=True))
        frame = text.frame(texts, context.shape[-2], position)
        for name, tensor in frame._asdict().items():
            self.register_buffer(name, tensor, persistent=False)

    @property
    def text(self) -> TextEncoder:
        """The frozen text encoder."""
        return self._text[0]

    def forward(self) -> Tensor:
        """Encode the prompts: shape (P, 2, D), unit length; differentiable in `context`."""
        frame = PromptFrame(self.embedded, self.positions, self.ends)
        features = self.text.read(frame.fill(context_of_each(self.context, len(self.ends))), self.ends)
        return features.reshape(-1, 2, features.shape[-1])

    def install(self, head: AntonymHead) -> None:
        """Make the prompts, as they are now, those of a head; within `torch.no_grad`, without their gradient.

        Args:
            head: A head for as many pairs.

        Raises:
            InvalidSpecError: The head is for other prompts or for another CLIP.
        """
        features = self()
        if features.shape != head.text_features.shape:
            raise InvalidSpecError(
                f"The prompts give text features of shape {tuple(features.shape)}, the head has "
                f"{tuple(head.text_features.shape)}. Use a head for the same pairs and the same CLIP."
            )
        head.text_features = features.to(head.text_features.device)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.text._apply(fn, recurse)  # type: ignore[no-untyped-call] # noqa: SLF001 - here `.to()` and the like end
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self
