"""Views of the whole image at another size, and patches at a stride: their pixels, counts, windows and refusals."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as tv

from perceptmetrics.errors import InvalidSpecError
from perceptmetrics.models.views import Views
from perceptmetrics.spec import CentreCropView, PaddedView, PatchesView, ResizedView, ScaledView, SquareView, ViewsSpec
from tests.support.photographs import photographs

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
SAME = {"rtol": 0, "atol": 1e-5}


def shown(view, images):
    (group,) = Views(ViewsSpec(views=(view,), **PLAIN))(images)
    return group


def windows(view, height, width):
    (group,) = Views(ViewsSpec(views=(view,), **PLAIN)).windows(height, width)
    return group


@pytest.mark.parametrize("size", [(80, 120), (120, 80), (300, 411), (33, 500)])
def test_padded_is_the_image_in_the_middle_of_a_black_square(size):
    images = photographs(*size)[:2] * 0.8 + 0.1
    found = shown(PaddedView(size=64, interpolation="bicubic"), images)
    scale = 64 / max(size)
    height, width = (round(side * scale) for side in size)
    resized = tv.resize(images, [height, width], InterpolationMode.BICUBIC, antialias=True)
    top, left = (64 - height) // 2, (64 - width) // 2
    expected = torch.zeros(2, 3, 64, 64)
    expected[..., top : top + height, left : left + width] = resized
    torch.testing.assert_close(found, expected, **SAME)
    ((window,),) = windows(PaddedView(size=64), *size)
    assert tuple(window.in_view) == (top, left, height, width)
    assert tuple(window.in_image) == (0, 0, 1, 1)


def test_padded_leaves_a_square_of_its_size_alone_and_reads_8_bits_as_their_floats():
    images = photographs(64, 64)[:1]
    assert torch.equal(shown(PaddedView(size=64), images), images)
    eight = photographs(90, 120)[:1].mul(255).round().byte()
    torch.testing.assert_close(
        shown(PaddedView(size=64), eight), shown(PaddedView(size=64), eight.float() / 255), **SAME
    )


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "bilinear_aliased"])
def test_square_squeezes_the_image(interpolation):
    images = photographs(90, 120)[:2]
    mode, antialias = interpolation.removesuffix("_aliased"), not interpolation.endswith("aliased")
    expected = F.interpolate(images, (48, 48), mode=mode, antialias=antialias)
    torch.testing.assert_close(shown(SquareView(size=48, interpolation=interpolation), images), expected, **SAME)
    eight = images.mul(255).round().byte()
    assert (shown(SquareView(size=48, interpolation=interpolation), eight) - expected.clamp(0, 1)).abs().mean() < 0.003


@pytest.mark.parametrize("size", [(90, 120), (150, 30)])
def test_resized_sets_the_short_side_bicubically(size):
    images = photographs(*size)[:2]
    expected = tv.resize(images, 48, InterpolationMode.BICUBIC, antialias=True)
    torch.testing.assert_close(shown(ResizedView(size=48), images), expected, **SAME)
    assert tuple(windows(ResizedView(size=48), *size)[0][0].in_view) == (0, 0, *expected.shape[-2:])
    eight = images.mul(255).round().byte()
    pillow = tv.to_tensor(tv.resize(tv.to_pil_image(eight[0]), 48, InterpolationMode.BICUBIC))
    torch.testing.assert_close(shown(ResizedView(size=48), eight)[0], pillow, **SAME)
    bilinear = tv.resize(images, 48, antialias=True)
    torch.testing.assert_close(shown(ResizedView(size=48, interpolation="bilinear"), images), bilinear, **SAME)


def test_scaled_halves_the_image_and_rounds_down():
    images = photographs(81, 120)[:2]
    expected = tv.resize(images, [40, 60], antialias=True)
    torch.testing.assert_close(shown(ScaledView(divisor=2), images), expected, **SAME)
    assert tuple(windows(ScaledView(divisor=2), 81, 120)[0][0].in_view) == (0, 0, 40, 60)
    aliased = F.interpolate(images, (40, 60), mode="bilinear")
    torch.testing.assert_close(shown(ScaledView(divisor=2, interpolation="bilinear_aliased"), images), aliased, **SAME)


@pytest.mark.parametrize("kind", ["float", "uint8"])
def test_a_centre_crop_is_resized_bicubically_where_it_says_so(kind):
    images = photographs(90, 120)[:1]
    images = images if kind == "float" else images.mul(255).round().byte()
    view = CentreCropView(size=45, interpolation="bicubic")
    if kind == "float":
        expected = tv.center_crop(tv.resize(images, 45, InterpolationMode.BICUBIC, antialias=True), [45, 45])
    else:
        pillow = tv.to_pil_image(images[0])
        expected = tv.to_tensor(tv.center_crop(tv.resize(pillow, 45, InterpolationMode.BICUBIC), [45, 45]))[None]
    torch.testing.assert_close(shown(view, images), expected, **SAME)
    assert (shown(CentreCropView(size=45), images) - expected).abs().max() > 0.01


@pytest.mark.parametrize(
    ("options", "size", "count"),
    [({}, (64, 64), 1), ({}, (64, 96), 3), ({"most": 4}, (128, 128), 4), ({}, (128, 128), 25), ({}, (40, 50), 2)],
)
def test_patches_are_cut_at_a_stride(options, size, count):
    images = photographs(*size)[:2]
    view = PatchesView(size=64, stride=16, **options)
    found = shown(view, images)
    assert found.shape == (2 * count, 3, 64, 64)
    assert len(windows(view, *size)) == count
    if min(size) >= 64:
        every = images.unfold(2, 64, 16).unfold(3, 64, 16).permute(0, 2, 3, 1, 4, 5).flatten(1, 2)
        step = max(1, every.shape[1] // count)
        assert torch.equal(found.view(2, count, 3, 64, 64), every[:, ::step][:, :count])
    assert torch.equal(shown(PatchesView(size=64, stride=16, selection="top_left"), images), found[::count])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SquareView(size=0), "size must be a positive number"),
        (lambda: SquareView(size=8, interpolation="nearest"), "interpolation must be one of"),
        (lambda: PaddedView(size=8, interpolation="bilinear_aliased"), "interpolation must be one of"),
        (lambda: CentreCropView(size=8, interpolation="bilinear_aliased"), "interpolation must be one of"),
        (lambda: ResizedView(size=0), "size must be a positive number"),
        (lambda: ResizedView(size=8, interpolation="bilinear_aliased"), "interpolation must be one of"),
        (lambda: ScaledView(divisor=1), "a whole number above 1"),
        (lambda: PatchesView(size=8, stride=0), "must be positive"),
        (lambda: PatchesView(size=64, stride=1), "stride must be at least size / 8 where most is None"),
        (lambda: PatchesView(size=8, stride=1, selection="last"), "'spread' or 'top_left'"),
    ],
)
def test_views_that_make_no_sense_are_refused(make, said):
    with pytest.raises(InvalidSpecError, match=said):
        make()
