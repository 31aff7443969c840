"""CLIP-IQA+ and CLIP-UIQA written from the papers on the CLIP implementation that piq carries (OpenAI's own code).

Nothing of perceptmetrics or open_clip takes part in it. The keywords make the mistakes that parity must notice.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from piq.feature_extractors import clip as openai_clip
from torch import Tensor

from tests.parity.reference_clipiqa import MEAN, STD

# Byte-pair codes of CLIP's vocabulary. "Good photo.." ends in "..", which is one of its words.
START, END, PLACEHOLDER = 49406, 49407, 343
GOOD, BAD, PHOTO, DOT, TWO_DOTS = 886, 2103, 1125, 269, 852
CONTEXT = 16
CLASS_TOKENS = 3  # of "Good photo." without CoOp's own full stop


VIT_L = {
    "embed_dim": 768,
    "image_resolution": 224,
    "vision_layers": 24,
    "vision_width": 1024,
    "vision_patch_size": 14,
    "context_length": 77,
    "vocab_size": 49408,
    "transformer_width": 768,
    "transformer_heads": 12,
    "transformer_layers": 12,
}
SMALL_VIT = VIT_L | {
    "embed_dim": 64,
    "vision_layers": 3,
    "vision_width": 128,
    "transformer_width": 128,
    "transformer_heads": 2,
    "transformer_layers": 2,
}


def vit_clip(sizes: dict[str, int], state: dict[str, Tensor]) -> openai_clip.CLIP:
    """A CLIP with a vision transformer and the given weights, which are not copied."""
    with torch.device("meta"):
        model = openai_clip.CLIP(**sizes)
    model.load_state_dict(state, assign=True)
    mask = torch.full((77, 77), float("-inf")).triu_(1)
    for block in model.transformer.resblocks:
        block.attn_mask = mask
    return model.eval().requires_grad_(False)


def prompt_tokens(*, stop: int = TWO_DOTS) -> Tensor:
    """Tokens (2, 77) of sixteen placeholders and "Good photo..", "Bad photo.."."""
    tokens = torch.zeros(2, 77, dtype=torch.long)
    for row, adjective in enumerate((GOOD, BAD)):
        words = [START, *[PLACEHOLDER] * CONTEXT, adjective, PHOTO, stop, END]
        tokens[row, : len(words)] = torch.tensor(words)
    return tokens


def prompt_features(
    model: openai_clip.CLIP,
    context: Tensor,
    *,
    before: int = CONTEXT // 2,
    stop: int = TWO_DOTS,
    shift_end: int = 0,
    swapped: bool = False,
) -> Tensor:
    """Features (2, D) of the prompts, with `before` of the learned vectors in front of the words.

    Args:
        model: CLIP.
        context: Learned vectors, (16, C) or (2, 16, C).
        before: Learned vectors in front of the words.
        stop: Code of the last word.
        shift_end: How far from the end-of-text token the feature is read.
        swapped: Take the negative prompt for the positive.
    """
    tokens = prompt_tokens(stop=stop)
    rows = []
    for row in range(2):
        vectors = context if context.ndim == 2 else context[row]
        embedded = model.token_embedding(tokens[row])
        words = embedded[1 + CONTEXT : 1 + CONTEXT + CLASS_TOKENS]
        rest = embedded[1 + CONTEXT + CLASS_TOKENS :]
        rows.append(torch.cat([embedded[:1], vectors[:before], words, vectors[before:], rest]))
    hidden = torch.stack(rows) + model.positional_embedding
    hidden = model.ln_final(model.transformer(hidden.permute(1, 0, 2)).permute(1, 0, 2))
    features = hidden[torch.arange(2), tokens.argmax(dim=-1) + shift_end] @ model.text_projection
    features = features / features.norm(dim=-1, keepdim=True)
    return features.flip(0) if swapped else features


def score(
    model: openai_clip.CLIP, text: Tensor, images: Tensor, *, positional: bool = False, table: Tensor | None = None
) -> Tensor:
    """Score (N,) of images (N, 3, H, W) in [0, 1].

    With `positional`, the whole table of positional embeddings is resized as one picture; `table` takes its place.
    """
    pixels = (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    owner = model.visual.attnpool if hasattr(model.visual, "attnpool") else model.visual
    own = owner.positional_embedding.data
    owner.positional_embedding.data = own if table is None else table
    features = model.encode_image(pixels, pos_embedding=positional)
    owner.positional_embedding.data = own
    features = features / features.norm(dim=-1, keepdim=True)
    return (model.logit_scale.exp() * features @ text.T).softmax(dim=-1)[:, 0]


def grid_table(model: openai_clip.CLIP, height: int, width: int) -> Tensor:
    """The mistake of the usual way: the grid's rows interpolated in two dimensions, the summary token's row kept."""
    own = model.visual.attnpool.positional_embedding
    side = round((len(own) - 1) ** 0.5)
    grid = F.interpolate(own[1:].T.reshape(1, -1, side, side), (height, width), mode="bicubic")
    return torch.cat([own[:1], grid[0].flatten(1).T])


def three_views(image: Tensor, seed: int = 0, *, middle: int = 448, grid: int = 12, cell: int = 32) -> list[Tensor]:
    """Whole image, middle and fragments of an image (3, H, W), each (1, 3, h, w), line by line."""
    large = enlarged(image, middle)
    top = round((large.shape[1] - middle) / 2)
    left = round((large.shape[2] - middle) / 2)
    crop = large[:, top : top + middle, left : left + middle]
    large = enlarged(image, grid * cell)
    _, height, width = large.shape
    drawn = torch.rand(2, grid, grid, generator=torch.Generator().manual_seed(seed)).tolist()
    fragments = torch.empty(3, grid * cell, grid * cell)
    for row in range(grid):
        for column in range(grid):
            y = first_pixel(row, grid, height, cell, drawn[0][row][column])
            x = first_pixel(column, grid, width, cell, drawn[1][row][column])
            for line in range(cell):
                left = column * cell
                fragments[:, row * cell + line, left : left + cell] = large[:, y + line, x : x + cell]
    return [image[None], crop[None], fragments[None]]


def first_pixel(field: int, grid: int, length: int, cell: int, drawn: float) -> int:
    """Where a cell starts in its field: each of the places that it can take is as likely."""
    start, end = field * length // grid, (field + 1) * length // grid
    return start + int(drawn * (end - start - cell + 1))


def enlarged(image: Tensor, side: int) -> Tensor:
    """An image with a short side of at least `side` pixels."""
    _, height, width = image.shape
    short = min(height, width)
    if short >= side:
        return image
    size = (round(height * side / short), round(width * side / short))
    return F.interpolate(image[None], size, mode="bilinear", align_corners=False)[0]
