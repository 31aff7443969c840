"""Strategies: valid files, damaged as storage, networks and attackers damage them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

__all__ = ["damaged", "damaged_json", "hostile_values"]

_HEADER = 80  # bytes at the beginning of a file, where damage matters most
_EXTREME = (b"\x00", b"\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x80\x00\x00\x00", b"\xff" * 8, b"\x00" * 8)
_TEXTS = (
    "nan",
    "-inf",
    "1e999",
    "1_0",
    "\uff19",
    "",
    "\x00",
    "\ud800",
    "a" * 5000,
    "../..",
    "/etc/passwd",
    "__main__",
    "\u202e",
)
_NUMBERS = (0, -1, 1, 2**31, 2**63, 2**64, -(10**400), 10**30, 0.0, -0.0, 1e-320, 1e308, float("nan"), float("inf"))


@st.composite
def damaged(draw: Any, files: Sequence[bytes], repair: Callable[[bytes], bytes] = bytes) -> bytes:
    """One of the files with a few bytes changed, parts moved, doubled or cut, or pieces of another one.

    Args:
        draw: Given by hypothesis.
        files: Valid files.
        repair: Mends checksums, so that damage reaches the code behind them.
    """
    content = bytearray(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(0, 6))):
        size = len(content)
        position = draw(st.integers(0, min(size, _HEADER)) | st.integers(0, size))
        kind = draw(st.sampled_from(("byte", "extreme", "bit", "cut", "double", "remove", "splice", "insert")))
        if kind == "byte":
            content[position : position + 1] = bytes([draw(st.integers(0, 255))])
        elif kind == "extreme":
            piece = draw(st.sampled_from(_EXTREME))
            content[position : position + len(piece)] = piece
        elif kind == "bit" and position < size:
            content[position] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del content[position:]
        elif kind == "double":
            end = position + draw(st.integers(1, 64))
            content[position:position] = content[position:end] * draw(st.sampled_from((1, 2, 50)))
        elif kind == "remove":
            del content[position : position + draw(st.integers(1, 64))]
        elif kind == "splice":
            other = draw(st.sampled_from(files))
            start = draw(st.integers(0, len(other)))
            content[position:] = other[start:]
        else:
            content[position:position] = draw(st.binary(max_size=16))
    return repair(bytes(content)) if draw(st.booleans()) else bytes(content)


@functools.cache
def hostile_values() -> st.SearchStrategy[Any]:
    """Values that no field expects."""
    leaf = st.none() | st.booleans() | st.sampled_from(_NUMBERS) | st.sampled_from(_TEXTS) | st.text(max_size=8)
    nested = st.recursive(
        leaf, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    )
    deep = st.integers(1, 3000).map(lambda depth: _Raw("[" * depth + "]" * depth))
    digits = st.sampled_from((100, 5000)).map(lambda count: _Raw("9" * count))
    many = st.sampled_from((0, 1, {}, "x")).map(lambda value: [value] * 20_000)
    return nested | deep | digits | many


class _Raw(str):
    """JSON that Python's writer could not write."""


@st.composite
def damaged_json(draw: Any, documents: Sequence[Any]) -> str:
    """One of the documents with a few values replaced, removed, doubled, moved or renamed, as JSON."""
    document = json.loads(json.dumps(draw(st.sampled_from(documents))))
    raw: dict[str, str] = {}
    for _ in range(draw(st.integers(0, 4))):
        places = list(_places(document))
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        kind = draw(st.sampled_from(("replace", "replace", "remove", "rename", "move", "again")))
        if kind == "replace":
            holder[key] = _marked(draw(hostile_values()), raw)
        elif kind == "remove":
            del holder[key]
        elif kind == "rename" and isinstance(holder, dict):
            holder[draw(st.sampled_from(_TEXTS) | st.text(max_size=6))] = holder.pop(key)
        elif kind == "move":
            other, at = draw(st.sampled_from(places))
            holder[key] = json.loads(json.dumps(other[at])) if _holds(other, at) else None
        elif kind == "again" and isinstance(holder, list):
            holder[:] = holder * draw(st.sampled_from((2, 100)))
    text = json.dumps(document)
    for mark, written in raw.items():
        text = text.replace(f'"{mark}"', written)
    return text


def _holds(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


def _marked(value: Any, raw: dict[str, str]) -> Any:
    if isinstance(value, _Raw):
        mark = f"raw{len(raw)}"
        raw[mark] = value
        return mark
    return value


def _places(value: Any) -> Any:
    """Every place in a document: the list or dictionary, and the key in it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items)[:50]:
        yield value, key
        yield from _places(inner)
