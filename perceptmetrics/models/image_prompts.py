"""The texts of images, for metrics that compare each image with a text of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.images.sources import NamedImage

__all__ = ["batched_prompts", "no_prompt", "prompt_for", "wrong_number"]


def prompt_for(index: int, given: str | list[str] | Tensor | None, source: object) -> str | Tensor:
    """The text of an image: the given one, or the one that the image comes with."""
    if isinstance(given, str):
        return given
    if given is not None:
        if index >= len(given):
            raise InvalidOptionError(f"There are {len(given)} prompts, but more images. Give one text for each image.")
        return given[index]
    prompt = source.prompt if isinstance(source, NamedImage) else None
    if prompt is None:
        raise no_prompt(f"image {index}")
    return prompt


def batched_prompts(prompts: list[Any]) -> list[str] | Tensor:
    """Texts as a list, their features as a tensor."""
    return torch.stack(prompts) if isinstance(prompts[0], Tensor) else prompts


def no_prompt(images: str) -> InvalidOptionError:
    """The error for images that came without a text."""
    return InvalidOptionError(
        f"This metric compares each image with a text of its own, and {images} came without one. Pass prompts=, a list "
        "with a text for each image or one text for all, or images from a table with a column of texts."
    )


def wrong_number(prompts: int, images: int) -> InvalidOptionError:
    """The error for texts that are not as many as the images."""
    return InvalidOptionError(f"There are {prompts} prompts for {images} images. Give one text for each image.")
