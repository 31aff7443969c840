"""Properties of the antonym probability and of the score map."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from perceptmetrics.functional.score import antonym_probability, signed_log
from perceptmetrics.spec import LogisticMap

SEEDS = st.integers(0, 10_000)
SCALES = st.floats(0.1, 100)


def normal(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def example(seed, images=4, pairs=3, size=6):
    return normal(images, size, seed=seed), F.normalize(normal(pairs, 2, size, seed=seed + 1), dim=-1)


def explicit_softmax(image, pair, scale):
    """Equations 1 to 3 of CLIP-IQA for one image and one pair, in plain Python."""
    image, positive, negative = image.tolist(), *pair.tolist()

    def cosine(a, b):
        product = sum(x * y for x, y in zip(a, b, strict=True))
        return product / math.hypot(*a) / math.hypot(*b)

    logits = [scale * cosine(image, positive), scale * cosine(image, negative)]
    exponentials = [math.exp(logit - max(logits)) for logit in logits]
    return exponentials[0] / sum(exponentials)


@settings(deadline=None)
@given(seed=SEEDS, scale=SCALES)
def test_the_probability_is_the_softmax_of_scaled_cosines(seed, scale):
    images, texts = example(seed)
    probability = antonym_probability(images, texts, scale)
    expected = [[explicit_softmax(image, pair, scale) for pair in texts] for image in images]
    torch.testing.assert_close(probability, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-12)


@settings(deadline=None)
@given(seed=SEEDS, scale=st.floats(0, 1e4))
def test_the_probability_stays_in_the_unit_interval(seed, scale):
    probability = antonym_probability(*example(seed), scale)
    assert ((probability >= 0) & (probability <= 1)).all()


@settings(deadline=None)
@given(seed=SEEDS, scale=SCALES)
def test_swapping_the_prompts_gives_the_complement(seed, scale):
    images, texts = example(seed)
    swapped = antonym_probability(images, texts.flip(1), scale)
    torch.testing.assert_close(swapped, 1 - antonym_probability(images, texts, scale))


@settings(deadline=None)
@given(seed=SEEDS, factor=st.floats(1e-6, 1e6))
def test_the_length_of_image_features_does_not_matter(seed, factor):
    images, texts = example(seed)
    expected = antonym_probability(images, texts, 50.0)
    torch.testing.assert_close(antonym_probability(images * factor, texts, 50.0), expected)


@settings(deadline=None)
@given(seed=SEEDS)
def test_pairs_and_images_do_not_influence_each_other(seed):
    images, texts = example(seed)
    together = antonym_probability(images, texts, 20.0)
    for row, image in enumerate(images):
        for column, pair in enumerate(texts):
            alone = antonym_probability(image[None], pair[None], 20.0)
            torch.testing.assert_close(alone[0, 0], together[row, column])


def test_leading_dimensions_are_kept():
    images, texts = example(0)
    grid = images.reshape(2, 2, 6)
    expected = antonym_probability(images, texts, 10.0).reshape(2, 2, 3)
    torch.testing.assert_close(antonym_probability(grid, texts, torch.tensor(10.0)), expected)


def test_features_without_direction_are_undecided_and_have_finite_gradients():
    images = torch.zeros(1, 6, dtype=torch.float64, requires_grad=True)
    probability = antonym_probability(images, example(0)[1], 100.0)
    probability.sum().backward()
    assert probability.tolist() == [[0.5] * 3]
    assert images.grad.isfinite().all()


def test_gradients_of_the_probability():
    images, texts = example(1)
    scale = torch.tensor(7.0, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(antonym_probability, (images.requires_grad_(), texts.requires_grad_(), scale))


@given(raw=st.floats(-20, 20), scale=st.floats(-2, 2), shift=st.floats(-5, 5))
def test_the_logistic_map_is_its_formula(raw, scale, shift):
    mapped = LogisticMap(scale=scale, shift=shift)(torch.tensor([raw], dtype=torch.float64))
    assert mapped.item() == pytest.approx(1 / (1 + math.exp(-(scale * raw + shift))))


def test_the_logistic_map_of_extreme_values_is_finite():
    raw = torch.tensor([-1e30, 0.0, 1e30], requires_grad=True)
    mapped = LogisticMap()(raw)
    mapped.sum().backward()
    assert mapped.tolist() == [0.0, 0.5, 1.0]
    assert raw.grad.isfinite().all()


def test_gradients_of_the_logistic_map():
    torch.autograd.gradcheck(LogisticMap(scale=1.7, shift=-0.4), normal(3, 2, seed=0).requires_grad_())


@given(value=st.floats(-1e12, 1e12))
def test_the_signed_logarithm_is_its_formula(value):
    expected = math.copysign(math.log(1 + abs(value)), value)
    features = torch.tensor([value, -value], dtype=torch.float64)
    assert signed_log(features).tolist() == pytest.approx([expected, -expected], abs=1e-12)


def test_gradients_of_the_signed_logarithm():
    torch.autograd.gradcheck(signed_log, normal(3, 4, seed=0).requires_grad_())
