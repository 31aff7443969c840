"""Which columns of a Parquet table hold images, keys and texts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.images.sources.named import PROMPT_COLUMNS

if TYPE_CHECKING:
    from perceptmetrics.images.sources.named import ReadOptions

__all__ = ["choose_columns", "holds_bytes", "holds_many"]

_USUAL_COLUMNS = ("image", "images", "img", "jpg", "jpeg", "png", "webp")
_LISTS = ("is_list", "is_large_list", "is_fixed_size_list", "is_list_view", "is_large_list_view")
_BYTES = ("is_binary", "is_large_binary", "is_binary_view", "is_fixed_size_binary")


def choose_columns(schema: Any, options: ReadOptions) -> tuple[str, str | None, str | None]:
    """The column of images and, if there are any, the columns of keys and of prompts.

    Args:
        schema: The Arrow schema of the table.
        options: Columns that the user names.

    Raises:
        InvalidImageError: A column that is named is missing, or the column of images is not clear.
    """
    names = list(schema.names)
    image = options.image_column or _guessed_image_column(schema)
    for column in (image, options.key_column, options.prompt_column):
        if column is not None and names.count(column) != 1:
            raise InvalidImageError(f"it has no column {column!r}; its columns are {', '.join(map(repr, names))}")
    usual = [name for wanted in PROMPT_COLUMNS for name in names if name.lower() == wanted]
    return image, options.key_column, options.prompt_column or next(iter(usual), None)


def holds_many(kind: Any) -> bool:
    """Whether a cell of an Arrow type is a list of images, rather than of the bytes of one."""
    return _is(kind, _LISTS) and not holds_bytes(kind)


def holds_bytes(kind: Any) -> bool:
    """Whether a cell of an Arrow type is a list of 8-bit numbers."""
    import pyarrow.types as types

    return _is(kind, _LISTS) and bool(types.is_uint8(kind.value_type))


def _guessed_image_column(schema: Any) -> str:
    """What `datasets` noted, else the usual names, else structs of bytes and path, else encoded bytes."""
    declared = [name for name in _declared_images(schema) if schema.names.count(name) == 1]
    usual = [name for name in schema.names if name.lower() in _USUAL_COLUMNS]
    structs = [field.name for field in schema if _is_image_struct(field.type)]
    encoded = [field.name for field in schema if _is(field.type, _BYTES)]
    for found in ([name for name in declared if name in usual], declared, usual, structs, encoded):
        if len(found) == 1:
            return str(found[0])
        if declared and found is declared:
            break
    raise InvalidImageError(
        f"which of its columns holds the images? Name it with --image-column (image_column=): "
        f"{', '.join(map(repr, schema.names))}"
    )


def _declared_images(schema: Any) -> list[str]:
    """Columns that the notes of Hugging Face's `datasets` call images or lists of images."""
    try:
        notes = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    except (ValueError, RecursionError):
        return []
    for key in ("info", "features"):
        notes = notes.get(key) if isinstance(notes, dict) else None
    features = notes.items() if isinstance(notes, dict) else ()
    return [name for name, feature in features if _is_image_feature(feature)]


def _is_image_feature(feature: object) -> bool:
    if isinstance(feature, list):  # how older versions write a list
        feature = {"feature": feature[0]} if len(feature) == 1 else None
    if not isinstance(feature, dict):
        return False
    inner = feature.get("feature")
    return feature.get("_type") == "Image" or (isinstance(inner, dict) and inner.get("_type") == "Image")


def _is_image_struct(kind: Any) -> bool:
    import pyarrow.types as types

    kind = kind.value_type if holds_many(kind) else kind
    return bool(types.is_struct(kind)) and {kind.field(i).name for i in range(kind.num_fields)} >= {"bytes", "path"}


def _is(kind: Any, tests: tuple[str, ...]) -> bool:
    """Whether one of pyarrow's tests of types holds; older versions lack some."""
    import pyarrow.types as types

    return any(hasattr(types, test) and getattr(types, test)(kind) for test in tests)
