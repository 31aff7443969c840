"""Properties of resizing, shrinking and normalising."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from perceptmetrics.functional.image import _nearest, normalise, resize, shrink_to_long_side

SIDES = st.integers(1, 40)


def pixels(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("size", [(3, 4), (5, 7), (9, 11), (1, 1)])
def test_gradients_of_resize(size):
    torch.autograd.gradcheck(lambda x: resize(x, size), pixels(2, 3, 6, 5).requires_grad_())


@pytest.mark.parametrize("limit", [3, 6, 10])
def test_gradients_of_shrink(limit):
    torch.autograd.gradcheck(lambda x: shrink_to_long_side(x, limit), pixels(1, 3, 4, 6).requires_grad_())


def test_gradients_of_normalise():
    arguments = pixels(2, 3, 2, 2), pixels(3, seed=1), 0.1 + pixels(3, seed=2)
    torch.autograd.gradcheck(normalise, [argument.requires_grad_() for argument in arguments])


@settings(deadline=None)
@given(height=SIDES, width=SIDES, limit=st.integers(1, 45))
def test_shrinking_keeps_the_aspect_ratio_and_never_enlarges(height, width, limit):
    images = pixels(1, 3, height, width)
    shrunk = shrink_to_long_side(images, limit)
    if max(height, width) <= limit:
        assert shrunk is images
        return
    new_height, new_width = shrunk.shape[-2:]
    assert max(new_height, new_width) == limit
    scale = limit / max(height, width)
    assert abs(new_height - height * scale) <= 0.5 or new_height == 1
    assert abs(new_width - width * scale) <= 0.5 or new_width == 1
    assert min(new_height, new_width) >= 1


@settings(deadline=None)
@given(size=st.tuples(SIDES, SIDES), target=st.tuples(SIDES, SIDES), value=st.floats(0, 1))
def test_resizing_a_flat_image_changes_nothing_but_the_size(size, target, value):
    flat = torch.full((1, 3, *size), value, dtype=torch.float64)
    torch.testing.assert_close(resize(flat, target), torch.full((1, 3, *target), value, dtype=torch.float64))


@settings(deadline=None)
@given(size=st.tuples(SIDES, SIDES), target=st.tuples(SIDES, SIDES), seed=st.integers(0, 99))
def test_resizing_stays_within_the_values_and_commutes_with_flipping(size, target, seed):
    images = pixels(2, 3, *size, seed=seed)
    resized = resize(images, target)
    assert resized.shape == (2, 3, *target)
    assert resized.min() >= images.min() - 1e-12
    assert resized.max() <= images.max() + 1e-12
    torch.testing.assert_close(resize(images.flip(-1), target), resized.flip(-1))


@pytest.mark.parametrize(("size", "target"), [((60, 80), (13, 21)), ((60, 80), (45, 60)), ((9, 9), (20, 30))])
def test_resizing_agrees_with_pillow(size, target):
    image = pixels(*size).float()
    expected = Image.fromarray(image.numpy()).resize(target[::-1], Image.Resampling.BILINEAR)
    resized = resize(image[None, None], target)[0, 0]
    np.testing.assert_allclose(resized.numpy(), np.asarray(expected), atol=1e-5)


@given(seed=st.integers(0, 999))
def test_normalising_subtracts_and_divides(seed):
    images, mean, std = pixels(2, 3, 4, 5, seed=seed), pixels(3, seed=seed + 1), 0.1 + pixels(3, seed=seed + 2)
    expected = torch.stack([(images[:, c] - mean[c]) / std[c] for c in range(3)], dim=1)
    torch.testing.assert_close(normalise(images, mean, std), expected)


@given(st.integers(0, 10**7), st.integers(1, 10**4))
def test_sizes_are_rounded_in_integers_as_fractions_are(numerator, denominator):
    assert _nearest(numerator, denominator) == round(Fraction(numerator, denominator))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(20, 7), (9, 30), (5, 2)])
def test_column_of_pixels_is_the_column_of_its_rows(mode, size):
    """Each row of a result one pixel wide is what its row of the image, resized to the height, becomes."""
    images = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    column = resize(images, (12, 1), mode)
    rows = F.interpolate(images, (12, size[1]), mode=mode, antialias=True)
    for number in range(12):
        torch.testing.assert_close(
            column[..., number : number + 1, :], resize(rows[..., number : number + 1, :], (1, 1), mode)
        )
