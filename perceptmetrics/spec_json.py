"""The JSON form of a metric specification, as it lies beside exported weights (`spec.json`)."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import Any, TypeVar

from perceptmetrics.errors import InvalidSpecError, nearest_names
from perceptmetrics.spec import MetricSpec

__all__ = ["FORMAT_VERSION", "spec_from_json", "spec_to_json"]

FORMAT_VERSION = 1

T = TypeVar("T")


def spec_to_json(spec: MetricSpec) -> str:
    """Write a specification as JSON.

    Args:
        spec: The specification.

    Returns:
        Indented JSON that ends in a newline; `spec_from_json` gives back an equal specification.
    """
    document = {"format_version": FORMAT_VERSION, **_encode_fields(spec)}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def spec_from_json(text: str) -> MetricSpec:
    """Read a specification from JSON.

    Args:
        text: What `spec_to_json` wrote.

    Returns:
        The specification, validated like one that is written in code.

    Raises:
        InvalidSpecError: The text is no JSON object, is of another format version, or a field is
            missing, unknown or of the wrong type; the message names the field.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidSpecError(f"A metric specification must be JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidSpecError(f"A metric specification must be a JSON object, got {type(document).__name__}.")
    version = document.pop("format_version", None)
    if version != FORMAT_VERSION:
        raise InvalidSpecError(
            f"This release reads metric specifications of format_version {FORMAT_VERSION}, got {version!r}. "
            "Use the release of perceptmetrics that wrote the file, or a newer one."
        )
    return _decode_dataclass(MetricSpec, document, "spec")


def _encode(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return _encode_fields(value)
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    return value


def _encode_fields(value: Any) -> dict[str, object]:
    kind = {"kind": value.kind} if hasattr(value, "kind") else {}
    return kind | {field.name: _encode(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _decode_dataclass(cls: type[T], document: object, where: str) -> T:
    if not isinstance(document, dict):
        raise InvalidSpecError(f"{where} must be a JSON object, got {document!r}.")
    fields = {key: value for key, value in document.items() if key != "kind"}
    kind = getattr(cls, "kind", None)
    if document.get("kind") != kind:
        raise InvalidSpecError(f"{where}.kind must be {kind!r}, got {document.get('kind')!r}.")
    hints = typing.get_type_hints(cls)
    known = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in fields:
        if key not in known:
            raise InvalidSpecError(f"{where} has an unknown field {key!r}. {nearest_names(key, known)}")
    missing = [name for name, field in known.items() if name not in fields and _is_required(field)]
    if missing:
        raise InvalidSpecError(f"{where} must state {', '.join(missing)}.")
    return cls(**{key: _decode(hints[key], value, f"{where}.{key}") for key, value in fields.items()})


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _decode(hint: Any, value: object, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _decode_union(typing.get_args(hint), value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise InvalidSpecError(f"{where} must be a list, got {value!r}.")
        item = typing.get_args(hint)[0]
        return tuple(_decode(item, element, f"{where}[{index}]") for index, element in enumerate(value))
    if origin is typing.Literal:
        return value  # the dataclass itself says which values it takes
    if dataclasses.is_dataclass(hint):
        return _decode_dataclass(typing.cast("type[Any]", hint), value, where)
    return _decode_scalar(hint, value, where)


def _decode_union(members: tuple[Any, ...], value: object, where: str) -> Any:
    if value is None and types.NoneType in members:
        return None
    concrete = [member for member in members if member is not types.NoneType]
    if len(concrete) == 1:
        return _decode(concrete[0], value, where)
    if not isinstance(value, dict):
        raise InvalidSpecError(f"{where} must be a JSON object, got {value!r}.")
    kind = value.get("kind")
    for member in concrete:
        if getattr(member, "kind", None) == kind:
            return _decode_dataclass(member, value, where)
    raise InvalidSpecError(f"{where}.kind must be one of {[m.kind for m in concrete]}, got {kind!r}.")


def _decode_scalar(hint: Any, value: object, where: str) -> object:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise InvalidSpecError(f"{where} must be of type {hint.__name__}, got {value!r}.")
    return value
