"""What `prompts=` means: names, synonyms, pairs, and the traps between them."""

from __future__ import annotations

import pytest

from perceptmetrics.errors import InvalidOptionError, InvalidSpecError
from perceptmetrics.models.prompts import ATTRIBUTES, PYIQA_PAIRS, TEMPLATES, fill_template, resolve_prompts
from perceptmetrics.spec import PromptPair

# CLIP-IQA, sections 4.2 and 4.3, and torchmetrics, in the words of their releases.
PUBLISHED = {
    "quality": ("Good photo.", "Bad photo."),
    "brightness": ("Bright photo.", "Dark photo."),
    "noisiness": ("Clean photo.", "Noisy photo."),
    "colorfulness": ("Colorful photo.", "Dull photo."),
    "sharpness": ("Sharp photo.", "Blurry photo."),
    "contrast": ("High contrast photo.", "Low contrast photo."),
    "aesthetic": ("Aesthetic photo.", "Not aesthetic photo."),
    "happy": ("Happy photo.", "Sad photo."),
    "natural": ("Natural photo.", "Synthetic photo."),
    "new": ("New photo.", "Old photo."),
    "scary": ("Scary photo.", "Peaceful photo."),
    "complexity": ("Complex photo.", "Simple photo."),
    "warm": ("Warm photo.", "Cold photo."),
    "real": ("Real photo.", "Abstract photo."),
    "beautiful": ("Beautiful photo.", "Ugly photo."),
    "lonely": ("Lonely photo.", "Sociable photo."),
    "relaxing": ("Relaxing photo.", "Stressful photo."),
}


def texts(prompts):
    return [(pair.positive, pair.negative) for pair in resolve_prompts(prompts)]


def names(prompts):
    return [pair.name for pair in resolve_prompts(prompts)]


def test_the_attributes_are_those_that_were_published():
    assert {name: (pair.positive, pair.negative) for name, pair in ATTRIBUTES.items()} == PUBLISHED
    assert all(name == pair.name for name, pair in ATTRIBUTES.items())


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_attribute_resolves_by_its_name(name):
    for spelling in (name, name.upper(), name.title()):
        assert texts(spelling) == texts([spelling]) == [PUBLISHED[name]]
        assert names(spelling) == [name]


@pytest.mark.parametrize(
    ("synonym", "name"),
    [
        ("colourfulness", "colorfulness"),
        ("Colourfulness", "colorfulness"),
        ("colorfullness", "colorfulness"),
        ("complex", "complexity"),
    ],
)
def test_other_spellings_are_understood(synonym, name):
    assert resolve_prompts(synonym) == resolve_prompts(name)


def test_pairs_of_texts_are_numbered_among_themselves():
    prompts = ["quality", ("Cosy photo.", "Bleak photo."), "new", ["A cat.", "A dog."]]
    assert names(prompts) == ["quality", "user_defined_0", "new", "user_defined_1"]
    assert texts(prompts)[1:4:2] == [("Cosy photo.", "Bleak photo."), ("A cat.", "A dog.")]


def test_ready_pairs_are_kept():
    pair = PromptPair(name="cosy", positive="Cosy photo.", negative="Bleak photo.")
    assert resolve_prompts(pair) == (pair,)
    assert resolve_prompts([pair, "quality"]) == (pair, ATTRIBUTES["quality"])


@pytest.mark.parametrize("order", [list, tuple, iter])
def test_any_sequence_keeps_its_order(order):
    assert names(order(["sharpness", "quality", "brightness"])) == ["sharpness", "quality", "brightness"]


@pytest.mark.parametrize("sequence", [list, tuple])
def test_two_texts_are_not_taken_for_two_attributes(sequence):
    with pytest.raises(InvalidOptionError) as caught:
        resolve_prompts(sequence(["Good photo.", "Bad photo."]))
    assert str(caught.value).endswith("write prompts=[('Good photo.', 'Bad photo.')].")


def test_two_attributes_are_not_taken_for_two_texts():
    assert names(("quality", "brightness")) == ["quality", "brightness"]


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ("qualty", "No attribute is named 'qualty'. Did you mean 'quality'"),
        (["quality", "shrpness"], "No attribute is named 'shrpness'. Did you mean 'sharpness'"),
        ("pyiqa", "No attribute is named 'pyiqa'. Known: aesthetic, beautiful, brightness"),
        ("", "No attribute is named ''."),
        ([], "prompts= needs at least one attribute name or pair of texts"),
        ((), "prompts= needs at least one attribute name or pair of texts"),
        ([("one",)], r"Expected an attribute name or a pair of texts .* got \('one',\)"),
        ([("one", "two", "three")], "Expected an attribute name or a pair of texts"),
        ([("one", 2)], "Expected an attribute name or a pair of texts"),
        ([None], "Expected an attribute name or a pair of texts .* got None"),
        (5, "prompts= takes attribute names and pairs of texts, got 5"),
    ],
)
def test_what_is_no_prompt_is_refused(prompts, message):
    with pytest.raises(InvalidOptionError, match=message):
        resolve_prompts(prompts)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("Same.", "Same."), "identical"),
        (("Same.", " Same. "), "identical"),
        (("", "Bad photo."), "positive must be stated"),
        (("Good photo.", " "), "negative must be stated"),
    ],
)
def test_pairs_that_say_nothing_are_refused(pair, message):
    with pytest.raises(InvalidSpecError, match=message):
        resolve_prompts([pair])


# Templates


def test_the_templates_are_those_of_the_paper():
    assert TEMPLATES == ("{} photo.", "A photo of {}.", "There is {} in the photo.")


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("template", TEMPLATES)
def test_an_attribute_in_a_template(name, template):
    (pair,) = resolve_prompts(name, template)
    assert pair.name == name
    for text, published in zip((pair.positive, pair.negative), PUBLISHED[name], strict=True):
        adjective = published.removesuffix(" photo.")
        lower = adjective[0].lower() + adjective[1:]
        assert (
            text
            == {
                TEMPLATES[0]: f"{adjective} photo.",
                TEMPLATES[1]: f"A photo of {lower}.",
                TEMPLATES[2]: f"There is {lower} in the photo.",
            }[template]
        )


def test_pairs_of_adjectives_in_a_template():
    pairs = resolve_prompts([("High quality", "Low quality"), ("HDR", "flat")], "{} photo.")
    assert [(pair.positive, pair.negative) for pair in pairs] == [
        ("High quality photo.", "Low quality photo."),
        ("HDR photo.", "flat photo."),
    ]
    assert [pair.name for pair in pairs] == ["user_defined_0", "user_defined_1"]


def test_whole_texts_need_no_place_for_an_adjective():
    assert texts([("Good {} photo.", "Bad {} photo.")]) == [("Good {} photo.", "Bad {} photo.")]


@pytest.mark.parametrize("template", ["photo.", "", "{} or {}", "{adjective} photo.", 5, ["{} photo."]])
def test_a_template_without_exactly_one_place_is_refused(template):
    for refuse in (lambda: resolve_prompts("quality", template), lambda: fill_template(template, "Good")):
        with pytest.raises(
            InvalidOptionError, match=r"template= needs one place \{\} for an adjective, as in 'A photo"
        ):
            refuse()


def test_the_pairs_of_pyiqa_are_five():
    assert [(pair.positive, pair.negative) for pair in PYIQA_PAIRS] == [
        ("Good image", "bad image"),
        ("Sharp image", "blurry image"),
        ("sharp edges", "blurry edges"),
        ("High resolution image", "low resolution image"),
        ("Noise-free image", "noisy image"),
    ]
