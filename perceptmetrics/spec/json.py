"""The JSON form of a metric specification, as it lies beside exported weights (`spec.json`)."""

from __future__ import annotations

import json

from perceptmetrics.errors import InvalidSpecError
from perceptmetrics.spec import MetricSpec
from perceptmetrics.spec.plain import from_plain, to_plain

__all__ = ["FORMAT_VERSION", "spec_from_json", "spec_to_json"]

FORMAT_VERSION = 1


def spec_to_json(spec: MetricSpec) -> str:
    """Write a specification as JSON.

    Args:
        spec: The specification.

    Returns:
        Indented JSON that ends in a newline; `spec_from_json` gives back an equal specification.
    """
    document = {"format_version": FORMAT_VERSION, **to_plain(spec)}
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
    return from_plain(MetricSpec, document, "spec")
