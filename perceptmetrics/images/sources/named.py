"""One image of a stream, with the name under which its score is recorded."""

from __future__ import annotations

import os
from dataclasses import dataclass

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.load import ImageSource

__all__ = ["PROMPT_COLUMNS", "NamedImage", "ReadOptions", "name_of"]

PROMPT_COLUMNS = ("prompt", "caption", "text")
"""Columns of tables that are taken for the texts of images, the first that is there."""


@dataclass(frozen=True, eq=False)
class NamedImage:
    """An image of a stream.

    Attributes:
        name: The name under which its score is recorded, the same in every run: the path of a file, or `container/key`.
        source: What to decode; or the error if there is nothing to decode; or None if it is not to be read because its
            score is known.
        container: The file of many images that it lies in; None if it is a file itself.
        prompt: The text that belongs to it, for metrics that compare each image with a text; None for none.
    """

    name: str
    source: ImageSource | InvalidImageError | None
    container: str | None = None
    prompt: str | None = None


def name_of(source: ImageSource | NamedImage, index: int) -> str:
    """The name under which the score of an image is recorded: its own, its path, or `image` and its index."""
    if isinstance(source, NamedImage):
        return source.name
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else f"image {index}"


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How to read files that hold many images.

    Attributes:
        image_column: Column of a table with the images; None to guess it.
        key_column: Column with their keys; None to use the row number.
        prompt_column: Column with the text that belongs to each image; None to guess it, if there is one.
        outside_paths: Whether a table may also name paths and addresses outside its own folder. A table from a stranger
            could otherwise make the reader open any file, and any address.
    """

    image_column: str | None = None
    key_column: str | None = None
    prompt_column: str | None = None
    outside_paths: bool = False
