"""The JSON form of a metric specification, as it lies beside exported weights (`spec.json`)."""

from __future__ import annotations

import json
import math

from perceptmetrics._util.text import shown
from perceptmetrics.errors import InvalidSpecError
from perceptmetrics.spec import MetricSpec
from perceptmetrics.spec.plain import from_plain, to_plain
from perceptmetrics.spec.sources import check_packages

__all__ = ["FORMAT_VERSION", "LONGEST_SPEC", "spec_from_json", "spec_to_json"]

FORMAT_VERSION = 1
LONGEST_SPEC = 2**20  # characters; the longest of a built-in metric has 3,000

_MOST_DIGITS = 18


def spec_to_json(spec: MetricSpec) -> str:
    """Write a specification as JSON.

    Args:
        spec: The specification.

    Returns:
        Indented JSON that ends in a newline; `spec_from_json` gives back an equal specification.
    """
    document = {"format_version": FORMAT_VERSION, **to_plain(spec)}
    if spec.interval is None:
        del document["interval"]  # earlier releases read files without one
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def spec_from_json(text: str) -> MetricSpec:
    """Read a specification from JSON.

    The text may come from a stranger: its size and its numbers are limited, and it may name only those Python packages
    as sources of weights that a registered metric has its weights in.

    Args:
        text: What `spec_to_json` wrote.

    Returns:
        The specification, validated like one that is written in code.

    Raises:
        InvalidSpecError: The text is no JSON object, is of another format version, is too long or too deep, or a field
            is missing, unknown, of the wrong type or beyond a limit; the message names the field.
    """
    document = _parsed(text)
    if not isinstance(document, dict):
        raise InvalidSpecError(f"A metric specification must be a JSON object, got {type(document).__name__}.")
    version = document.pop("format_version", None)
    if version != FORMAT_VERSION:
        raise InvalidSpecError(
            f"This release reads metric specifications of format_version {FORMAT_VERSION}, got {shown(version)}. "
            "Use the release of perceptmetrics that wrote the file, or a newer one."
        )
    spec = from_plain(MetricSpec, document, "spec")
    check_packages(spec)
    return spec


def _parsed(text: str) -> object:
    if len(text) > LONGEST_SPEC:
        raise InvalidSpecError(
            f"A metric specification may have at most {LONGEST_SPEC:,} characters, and this one has more."
        )
    try:
        return json.loads(text, parse_int=_integer, parse_float=_number, parse_constant=_number)
    except json.JSONDecodeError as error:
        raise InvalidSpecError(f"A metric specification must be JSON: {error}") from error
    except RecursionError as error:
        raise InvalidSpecError("A metric specification has about six levels; this one is nested too deep.") from error


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > _MOST_DIGITS:
        raise InvalidSpecError(
            f"An integer of a metric specification may have at most {_MOST_DIGITS} digits, got {len(digits)}."
        )
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise InvalidSpecError(f"The numbers of a metric specification must be finite, got {shown(digits)}.")
    return number
