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

__all__ = ["ATTRIBUTES", "PYIQA_PAIRS", "TEMPLATES", "PromptsOption", "fill_template", "resolve_prompts"]

# Section 3.1 and Table 2; the first is the one that works best, and the one of the attributes below.
TEMPLATES = ("{} photo.", "A photo of {}.", "There is {} in the photo.")

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


def _in_template(name: str, adjectives: tuple[str, str], template: str) -> PromptPair:
    positive, negative = (fill_template(template, adjective) for adjective in adjectives)
    return PromptPair(name=name, positive=positive, negative=negative)


def fill_template(template: str, adjective: str) -> str:
    """Put an adjective into a template, in lower case unless the sentence starts with it.

    Raises:
        InvalidOptionError: The template has not exactly one place `{}` for an adjective.
    """
    _check_template(template)
    return template.replace("{}", adjective if template.startswith("{}") else adjective[:1].lower() + adjective[1:])


def _check_template(template: object) -> None:
    if not isinstance(template, str) or template.count("{}") != 1:
        raise InvalidOptionError(
            f"template= needs one place {{}} for an adjective, as in {TEMPLATES[1]!r}; got {template!r}."
        )


ATTRIBUTES: dict[str, PromptPair] = {
    name: _in_template(name, adjectives, TEMPLATES[0]) for name, adjectives in _ADJECTIVES.items()
}

PYIQA_PAIRS: tuple[PromptPair, ...] = (
    PromptPair(name="good", positive="Good image", negative="bad image"),
    PromptPair(name="sharp", positive="Sharp image", negative="blurry image"),
    PromptPair(name="edges", positive="sharp edges", negative="blurry edges"),
    PromptPair(name="resolution", positive="High resolution image", negative="low resolution image"),
    PromptPair(name="noise", positive="Noise-free image", negative="noisy image"),
)


def resolve_prompts(prompts: PromptsOption, template: str | None = None) -> tuple[PromptPair, ...]:
    """Turn what a user passes as `prompts=` into antonym pairs.

    Args:
        prompts: One attribute name, or a sequence of attribute names, pairs `(positive, negative)` (named
            `user_defined_0`, `user_defined_1`, ... as torchmetrics does) and `PromptPair`s.
        template: Sentence with `{}` for an adjective, such as one of `TEMPLATES`. Attribute names and pairs are then
            adjectives that are put into it: `("Good", "Bad")`. None: texts are taken as they are.

    Returns:
        The pairs, in order.

    Raises:
        InvalidOptionError: A name is unknown, a pair is not two texts, there is none, or the template has not exactly
            one place for an adjective.
    """
    if template is not None:
        _check_template(template)
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
            pairs.append(_attribute(item, template))
        elif isinstance(item, (tuple, list)) and len(item) == 2 and all(isinstance(text, str) for text in item):
            pairs.append(_in_template(f"user_defined_{custom}", (item[0], item[1]), template or "{}"))
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


def _attribute(name: str, template: str | None) -> PromptPair:
    canonical = _canonical(name)
    if canonical not in ATTRIBUTES:
        raise InvalidOptionError(f"No attribute is named {name!r}. {nearest_names(name, ATTRIBUTES)}")
    return ATTRIBUTES[canonical] if template is None else _in_template(canonical, _ADJECTIVES[canonical], template)
