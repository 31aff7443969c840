"""Antonym prompts by name, and the check that CLIP can read a prompt.

The attributes are those of CLIP-IQA (AAAI 2023, sections 4.2 and 4.3, spelled as in its Fig. 4 and 6) and
those that torchmetrics added; all are of the form "[adjective] photo.".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from perceptmetrics.errors import InvalidOptionError, nearest_names
from perceptmetrics.spec import PromptPair

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ATTRIBUTES", "PYIQA_PAIRS", "PromptsOption", "resolve_prompts"]

PromptsOption: TypeAlias = "str | Sequence[str | tuple[str, str] | PromptPair]"

_ADJECTIVES = {
    # quality
    "quality": ("Good", "Bad"),
    "brightness": ("Bright", "Dark"),
    "noisiness": ("Clean", "Noisy"),
    "colorfulness": ("Colorful", "Dull"),
    "sharpness": ("Sharp", "Blurry"),
    "contrast": ("High contrast", "Low contrast"),
    # look and feel
    "aesthetic": ("Aesthetic", "Not aesthetic"),
    "happy": ("Happy", "Sad"),
    "natural": ("Natural", "Synthetic"),
    "new": ("New", "Old"),
    "scary": ("Scary", "Peaceful"),
    "complexity": ("Complex", "Simple"),
    # added by torchmetrics
    "warm": ("Warm", "Cold"),
    "real": ("Real", "Abstract"),
    "beautiful": ("Beautiful", "Ugly"),
    "lonely": ("Lonely", "Sociable"),
    "relaxing": ("Relaxing", "Stressful"),
}
_SYNONYMS = {"colourfulness": "colorfulness", "colorfullness": "colorfulness", "complex": "complexity"}

ATTRIBUTES: dict[str, PromptPair] = {
    name: PromptPair(name=name, positive=f"{positive} photo.", negative=f"{negative} photo.")
    for name, (positive, negative) in _ADJECTIVES.items()
}

PYIQA_PAIRS: tuple[PromptPair, ...] = (
    PromptPair(name="good", positive="Good image", negative="bad image"),
    PromptPair(name="sharp", positive="Sharp image", negative="blurry image"),
    PromptPair(name="edges", positive="sharp edges", negative="blurry edges"),
    PromptPair(name="resolution", positive="High resolution image", negative="low resolution image"),
    PromptPair(name="noise", positive="Noise-free image", negative="noisy image"),
)


def resolve_prompts(prompts: PromptsOption) -> tuple[PromptPair, ...]:
    """Turn what a user passes as `prompts=` into antonym pairs.

    Args:
        prompts: One attribute name, or a sequence of attribute names, pairs `(positive, negative)` (named
            `user_defined_0`, `user_defined_1`, ... as torchmetrics does) and `PromptPair`s.

    Returns:
        The pairs, in order.

    Raises:
        InvalidOptionError: A name is unknown, a pair is not two texts, or there is none.
    """
    try:
        items = [prompts] if isinstance(prompts, (str, PromptPair)) else list(prompts)
    except TypeError as error:
        raise InvalidOptionError(f"prompts= takes attribute names and pairs of texts, got {prompts!r}.") from error
    if len(items) == 2 and all(isinstance(item, str) and _canonical(item) not in ATTRIBUTES for item in items):
        raise InvalidOptionError(
            f"Neither {items[0]!r} nor {items[1]!r} names an attribute. For one custom pair of texts write "
            f"prompts=[({items[0]!r}, {items[1]!r})]."
        )
    pairs: list[PromptPair] = []
    custom = 0
    for item in items:
        if isinstance(item, PromptPair):
            pairs.append(item)
        elif isinstance(item, str):
            pairs.append(_attribute(item))
        elif isinstance(item, (tuple, list)) and len(item) == 2 and all(isinstance(text, str) for text in item):
            pairs.append(PromptPair(name=f"user_defined_{custom}", positive=item[0], negative=item[1]))
            custom += 1
        else:
            raise InvalidOptionError(
                f"Expected an attribute name or a pair of texts (positive, negative) in prompts=, got {item!r}."
            )
    if not pairs:
        raise InvalidOptionError("prompts= needs at least one attribute name or pair of texts.")
    return tuple(pairs)


def _canonical(name: str) -> str:
    return _SYNONYMS.get(name.lower(), name.lower())


def _attribute(name: str) -> PromptPair:
    canonical = _canonical(name)
    if canonical not in ATTRIBUTES:
        raise InvalidOptionError(f"No attribute is named {name!r}. {nearest_names(name, ATTRIBUTES)}")
    return ATTRIBUTES[canonical]
