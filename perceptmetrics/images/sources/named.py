"""One image of a stream, with the name that its score is filed under."""

from __future__ import annotations

from dataclasses import dataclass

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.load import ImageSource

__all__ = ["PROMPT_COLUMNS", "NamedImage", "ReadOptions"]

PROMPT_COLUMNS = ("prompt", "caption", "text")
"""Columns of tables that are taken for the texts of images, the first that is there."""


@dataclass(frozen=True, eq=False)
class NamedImage:
    """An image of a stream.

    Attributes:
        name: What its score is filed under, the same in every run: the path of a file, or `container/key`.
        source: What can be decoded; the error, when there is nothing to decode; None, when it is not to be read,
            because its score is known.
        container: The file that holds it among others; None for a file of its own.
        prompt: The text that belongs to it, for metrics that compare each image with a text; None for none.
    """

    name: str
    source: ImageSource | InvalidImageError | None
    container: str | None = None
    prompt: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How files that hold many images are read.

    Attributes:
        image_column: Column of a table with the images; None to find it.
        key_column: Column with their keys; None for the number of the row.
        prompt_column: Column with the text that belongs to each image; None to find it, if there is one.
    """

    image_column: str | None = None
    key_column: str | None = None
    prompt_column: str | None = None
