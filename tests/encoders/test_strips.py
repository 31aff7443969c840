"""In strips, a convolutional network computes what it computes on the whole image."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from perceptmetrics.models.encoders import ClipResNet, clip_resnet
from perceptmetrics.models.encoders.strips import StripSizes, map_in_strips
from tests.support import small_clip
from tests.support.small_clip import RESNET

WHOLE = StripSizes(whole=2**40, strip=1)
SIZES = [(32, 32), (33, 35), (64, 47), (95, 32), (41, 300), (300, 41), (161, 162), (32, 450), (350, 33)]


@pytest.fixture(scope="module", autouse=True)
def tiny_architecture(tmp_path_factory):
    small_clip.register(tmp_path_factory.mktemp("configurations"))


@pytest.fixture(scope="module")
def exact():
    return ClipResNet(small_clip.build(RESNET).visual.double(), "interpolate").eval()


@pytest.fixture
def encoder():
    return ClipResNet(small_clip.build(RESNET).visual, "interpolate").eval()


def noise(*shape, dtype=torch.float32):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def with_gradients(encoder, pixels):
    """Features, and the gradients of a function of them with respect to the pixels and the first convolution."""
    pixels = pixels.clone().requires_grad_()
    features = encoder(pixels)
    sought = [given for given in (pixels, encoder.trunk.conv1.weight) if given.requires_grad]
    return [features.detach(), *torch.autograd.grad(features.square().sum(), sought)]


@pytest.mark.parametrize("pixels_of_a_strip", [1, 96 * 64])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_features_and_gradients_are_those_of_the_whole_image(exact, size, pixels_of_a_strip):
    """Any size, also below one strip and with rows left over; strips of the fewest rows, and of more."""
    pixels = noise(2, 3, *size, dtype=torch.float64)
    exact.strips = WHOLE
    expected = with_gradients(exact, pixels)
    exact.strips = StripSizes(whole=0, strip=pixels_of_a_strip)
    for value, right in zip([*with_gradients(exact, pixels), exact(pixels)], [*expected, expected[0]], strict=True):
        torch.testing.assert_close(value, right, rtol=1e-10, atol=1e-12)


def test_directions_in_float32_differ_by_rounding_only(encoder):
    pixels = noise(1, 3, 300, 200)
    expected = F.normalize(encoder(pixels))
    encoder.strips = StripSizes(whole=0, strip=1)
    assert (F.normalize(encoder(pixels)) - expected).abs().max() <= 1e-6


def test_weights_that_train_get_the_same_gradients(exact):
    pixels = noise(1, 3, 160, 64, dtype=torch.float64)
    exact.trunk.conv1.weight.requires_grad_()
    exact.strips = WHOLE
    expected = with_gradients(exact, pixels)
    exact.strips = StripSizes(whole=0, strip=1)
    found = with_gradients(exact, pixels)
    exact.trunk.conv1.weight.requires_grad_(False)
    assert len(expected) == 3
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_a_strip_at_a_time_is_in_memory(encoder):
    """The largest tensor that a layer makes does not grow with the image, nor does what gradients keep of a strip."""

    def largest(height):
        sizes = [0]
        hook = torch.autograd.graph.saved_tensors_hooks(lambda kept: (sizes.append(kept.numel()), kept)[1], lambda t: t)
        with hook:
            map_in_strips(encoder.trunk, noise(1, 3, height, 64).requires_grad_(), 32)
        return max(sizes)

    whole = []
    with torch.autograd.graph.saved_tensors_hooks(lambda kept: (whole.append(kept.numel()), kept)[1], lambda t: t):
        encoder.trunk(noise(1, 3, 1024, 64).requires_grad_())
    assert largest(1024) <= largest(512) < max(whole) / 8


@pytest.mark.parametrize("size", [(2000, 2000), (1, 4_000_000), (384, 512)])
def test_ordinary_images_are_not_cut(size):
    assert ClipResNet.strips.rows(*size, stride=32) is None


def test_strips_have_a_bounded_number_of_pixels():
    for height, width in ((2001, 2000), (6000, 8000), (10000, 10000), (40, 2_000_000)):
        rows = ClipResNet.strips.rows(height, width, stride=32)
        assert rows % 32 == 0
        assert rows * min(height, width) <= 400_000


def in_no_case(*_):
    raise AssertionError("The image was cut.")


def test_traced_and_transformed_programs_see_whole_images(encoder, monkeypatch):
    pixels = noise(2, 1, 3, 64, 64)
    expected = torch.stack([encoder(image) for image in pixels])
    encoder.strips = StripSizes(whole=0, strip=1)
    monkeypatch.setattr(clip_resnet, "map_in_strips", in_no_case)
    exported = torch.export.export(encoder, (pixels[0],)).module()
    torch.testing.assert_close(exported(pixels[0]), expected[0])
    torch.testing.assert_close(torch.func.vmap(encoder)(pixels), expected)
    with pytest.raises(AssertionError, match="The image was cut"):
        encoder(pixels[0])


def test_hooks_see_whole_feature_maps(encoder):
    encoder.strips = StripSizes(whole=0, strip=1)
    shapes = []
    encoder.trunk.layer4.register_forward_hook(lambda _module, _given, found: shapes.append(found.shape[-2:]))
    encoder(noise(1, 3, 160, 64))
    assert shapes == [(5, 2)]


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 4, 3, padding="same"),
        nn.Conv2d(3, 4, 3, padding=2, dilation=2),
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(3, 4, 1, stride=2),
        nn.Conv2d(3, 4, 2, stride=2, padding=1),
        nn.AvgPool2d(2, ceil_mode=True),
        nn.AvgPool2d(1, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Sequential(nn.ReLU(), nn.InstanceNorm2d(3)),
    ],
    ids=str,
)
def test_layers_of_other_kinds_are_not_cut(layer):
    assert map_in_strips(layer, noise(1, 3, 64, 32), 32) is None
