"""Dataclasses to plain data (dictionaries, lists, texts, numbers) and back: what JSON and YAML files hold."""

from __future__ import annotations

import dataclasses
import types
import typing
from functools import lru_cache
from typing import Any, TypeVar

from perceptmetrics._util.text import shown
from perceptmetrics.errors import InvalidSpecError, nearest_names
from perceptmetrics.spec.kinds import family_of

if typing.TYPE_CHECKING:
    from perceptmetrics.spec.kinds import Family

__all__ = ["from_plain", "to_plain"]

T = TypeVar("T")

_LONGEST_TEXT = 100_000  # characters
_LONGEST_KEY = 100


def to_plain(record: Any) -> dict[str, Any]:
    """Turn a dataclass into a dictionary, its tuples into lists, to any depth; of a union, `kind` says the member."""
    kind = {"kind": record.kind} if hasattr(record, "kind") else {}
    return kind | {field.name: _encode(getattr(record, field.name)) for field in dataclasses.fields(record)}


def _encode(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return to_plain(value)
    return [_encode(item) for item in value] if isinstance(value, tuple) else value


def from_plain(cls: type[T], document: object, where: str) -> T:
    """Read what `to_plain` made.

    Args:
        cls: The dataclass that is wanted.
        document: Plain data.
        where: What error messages call it.

    Returns:
        An equal dataclass, validated like one that is written in code.

    Raises:
        InvalidSpecError: A field is missing, unknown or of the wrong type; the message names it.
    """
    if not isinstance(document, dict):
        raise InvalidSpecError(f"{where} must be a mapping, got {shown(document)}.")
    fields = {key: value for key, value in document.items() if key != "kind"}
    kind = getattr(cls, "kind", None)
    if document.get("kind") != kind:
        raise InvalidSpecError(f"{where}.kind must be {kind!r}, got {shown(document.get('kind'))}.")
    hints, known = _fields_of(cls)  # type: ignore[arg-type]
    for key in fields:
        if key not in known:
            raise InvalidSpecError(
                f"{where} has an unknown field {shown(key)}. {nearest_names(str(key)[:_LONGEST_KEY], known)}"
            )
    missing = [name for name, field in known.items() if name not in fields and _is_required(field)]
    if missing:
        raise InvalidSpecError(f"{where} must state {', '.join(missing)}.")
    return cls(**{key: _decode(hints[key], value, f"{where}.{key}") for key, value in fields.items()})


@lru_cache
def _fields_of(cls: Any) -> tuple[dict[str, Any], dict[str, dataclasses.Field[Any]]]:
    """Types and fields of a dataclass, by name."""
    return typing.get_type_hints(cls), {field.name: field for field in dataclasses.fields(cls)}


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _decode(hint: Any, value: object, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _decode_optional(typing.get_args(hint), value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise InvalidSpecError(f"{where} must be a list, got {shown(value)}.")
        item = typing.get_args(hint)[0]
        return tuple(_decode(item, element, f"{where}[{index}]") for index, element in enumerate(value))
    if origin is typing.Literal:
        return value  # the dataclass itself says which values it takes
    if origin is dict:
        if not isinstance(value, dict):
            raise InvalidSpecError(f"{where} must be a mapping, got {shown(value)}.")
        return dict(value)
    if (family := family_of(hint)) is not None:
        return _decode_kind(family, value, where)
    if dataclasses.is_dataclass(hint):
        return from_plain(typing.cast("type[Any]", hint), value, where)
    return _decode_scalar(hint, value, where)


def _decode_optional(members: tuple[Any, ...], value: object, where: str) -> Any:
    if value is None and types.NoneType in members:
        return None
    (concrete,) = [member for member in members if member is not types.NoneType]
    return _decode(concrete, value, where)


def _decode_kind(family: Family[Any], value: object, where: str) -> Any:
    if not isinstance(value, dict):
        raise InvalidSpecError(f"{where} must be a mapping, got {shown(value)}.")
    kind = value.get("kind")
    found = family.spec_class(kind)
    if found is None:
        raise InvalidSpecError(
            f"{where}.kind must be one of {family.kinds()}, got {shown(kind)}. A {family.name} of another package must "
            "be registered first, by importing it or by installing the package."
        )
    return from_plain(found, value, where)


def _decode_scalar(hint: Any, value: object, where: str) -> object:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return _as_float(value, where)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise InvalidSpecError(f"{where} must be of type {hint.__name__}, got {shown(value)}.")
    if isinstance(value, str):
        _check_text(value, where)
    return value


def _as_float(value: int, where: str) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise InvalidSpecError(f"{where} must be finite, got {shown(value)}.") from error


def _check_text(text: str, where: str) -> None:
    if len(text) > _LONGEST_TEXT:
        raise InvalidSpecError(
            f"{where} may have at most {_LONGEST_TEXT:,} characters, got {len(text):,}: {shown(text)}."
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:  # JSON can escape half a character
        raise InvalidSpecError(f"{where} is no text that UTF-8 can encode, got {shown(text)}.") from error
