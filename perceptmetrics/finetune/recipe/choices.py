"""The check of fields that take one of several values."""

from __future__ import annotations

from typing import get_args

from perceptmetrics.spec.checks import require

__all__ = ["check_choices", "one_of"]


def check_choices(section: str, recipe: object, **choices: object) -> None:
    """Refuse values that a field does not take; None is allowed if it is the field's default."""
    for name, allowed in choices.items():
        value = getattr(recipe, name)
        none = value is None and getattr(type(recipe), name) is None
        require(none or value in get_args(allowed), one_of(f"{section}.{name}", value, allowed))


def one_of(name: str, value: object, choices: object) -> str:
    """The error message for a value that is not one of a type's literals."""
    return f"{name} must be one of {', '.join(map(str, get_args(choices)))}, got {value!r}."
