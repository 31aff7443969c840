"""Views of 8-bit images are torchvision's of PIL images to the bit; those of tensors agree and are differentiable."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from perceptmetrics.errors import InvalidSpecError
from perceptmetrics.functional.image import crops, random_crop_offsets, resize
from perceptmetrics.metrics.perceptclip import PERCEPTCLIP_IQA, PERCEPTCLIP_MEM
from perceptmetrics.models.views import Views
from perceptmetrics.spec import CentreCropView, CropsView, ViewsSpec, WholeView
from tests.support.mean_colour_metric import MEAN, STD
from tests.support.photographs import photographs

CROPS = CropsView(height=40, width=30, size=16, count=5)
CENTRE = CentreCropView(size=16)
SIDES = st.integers(1, 70)
# Two roundings to 8 bits lie between Pillow's result and the exact one; a resampling weight too is rounded.
EIGHT_BITS = 1.5 / 255


def views_of(*specs, seed=0, plain=True):
    """Views; plain ones do not normalise."""
    mean, std = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)) if plain else (MEAN, STD)
    return Views(ViewsSpec(views=specs, mean=mean, std=std), seed)


def eight_bit(height, width, count=1, seed=0):
    """Coarse noise: neither flat nor all edges."""
    generator = np.random.default_rng(seed)
    return torch.from_numpy(generator.integers(0, 256, (count, 3, height, width), dtype=np.uint8))


def random(*shape, seed=0, dtype=torch.float32):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def pictures(images):
    return [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]


def by_torchvision(images, *steps):
    """(N, 3, h, w) in [0, 1], by transforms of PIL images."""
    return torch.stack([transforms.Compose([*steps, transforms.ToTensor()])(picture) for picture in pictures(images)])


def random_crops_by_torchvision(picture, view, seed):
    crop = transforms.Compose([transforms.RandomCrop(view.size), transforms.ToTensor()])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.stack([crop(picture) for _ in range(view.count)])


# The middle


def assert_centre_crop_is_torchvisions(height, width, size, seed=0):
    images = eight_bit(height, width, count=2, seed=seed)
    [group] = views_of(CentreCropView(size=size))(images)
    assert torch.equal(group, by_torchvision(images, transforms.Resize(size), transforms.CenterCrop(size)))


@settings(deadline=None, max_examples=150)
@given(height=SIDES, width=SIDES, size=st.integers(1, 40), seed=st.integers(0, 99))
def test_the_centre_crop_is_torchvisions_to_the_bit(height, width, size, seed):
    assert_centre_crop_is_torchvisions(height, width, size, seed)


@pytest.mark.parametrize(
    ("height", "width"), [(224, 224), (480, 640), (641, 427), (225, 333), (100, 37), (2, 30), (700, 21)]
)
def test_the_centre_crop_at_the_published_size(height, width):
    assert_centre_crop_is_torchvisions(height, width, 224)


@settings(deadline=None, max_examples=50)
@given(height=SIDES, width=SIDES, size=st.integers(2, 40))  # PyTorch's own resizing to a width of 1 is wrong
def test_the_centre_crop_of_tensors_agrees(height, width, size):
    images = eight_bit(height, width)
    [group], [exact] = (views_of(CentreCropView(size=size))(form) for form in (images, images / 255))
    assert group.shape == exact.shape == (1, 3, size, size)
    torch.testing.assert_close(group, exact, atol=EIGHT_BITS, rtol=0)


# Crops


@settings(deadline=None, max_examples=80)
@given(height=SIDES, width=SIDES, seed=st.integers(0, 10_000), view=st.sampled_from([CROPS, replace(CROPS, height=16)]))
def test_random_crops_are_torchvisions_to_the_bit(height, width, seed, view):
    images = eight_bit(height, width, count=2)
    [group] = views_of(view, seed=seed)(images)
    resized = [picture.resize((view.width, view.height), Image.Resampling.BILINEAR) for picture in pictures(images)]
    assert torch.equal(group, torch.cat([random_crops_by_torchvision(picture, view, seed) for picture in resized]))


def test_the_published_crops():
    [view] = PERCEPTCLIP_IQA.views.views
    images = (photographs(300, 401)[:1] * 255).to(torch.uint8)
    [group] = views_of(view, seed=3)(images)
    resized = transforms.Resize((512, 384))(pictures(images)[0])
    assert torch.equal(group, random_crops_by_torchvision(resized, view, seed=3))
    assert group.shape == (15, 3, 224, 224)


def offsets_of(view, images, seed=0):
    """Where each crop lies, read off pictures that hold their own coordinates."""
    [group] = views_of(view, seed=seed)(images)
    return [tuple(map(round, corner.tolist())) for corner in group[:, :2, 0, 0]]


def coordinates(view, count=1):
    rows, columns = torch.meshgrid(torch.arange(view.height), torch.arange(view.width), indexing="ij")
    return torch.stack([rows, columns, rows]).float().expand(count, -1, -1, -1)


@pytest.mark.parametrize("mode", ["random", "grid"])
def test_every_image_is_cropped_at_the_same_places(mode):
    view = replace(CROPS, mode=mode)
    alone = offsets_of(view, coordinates(view))
    assert len(set(alone)) > 1
    assert offsets_of(view, coordinates(view, count=3)) == alone * 3
    images = random(4, 3, 33, 21)
    [together], [reversed_] = views_of(view)(images), views_of(view)(images.flip(0))
    assert torch.equal(together.unflatten(0, (4, 5)), reversed_.unflatten(0, (4, 5)).flip(0))
    for place, image in enumerate(images):
        torch.testing.assert_close(views_of(view)(image[None])[0], together[5 * place : 5 * place + 5])


def test_the_seed_places_random_crops_and_nothing_else():
    images, centre = coordinates(CROPS), views_of(CENTRE, WholeView())(random(1, 3, 20, 24))
    assert offsets_of(CROPS, images, seed=1) == offsets_of(CROPS, images, seed=1)
    assert offsets_of(CROPS, images, seed=1) != offsets_of(CROPS, images, seed=2)
    grid = replace(CROPS, mode="grid")
    assert offsets_of(grid, images, seed=1) == offsets_of(grid, images, seed=2)
    other = views_of(CENTRE, WholeView(), seed=1)(random(1, 3, 20, 24))
    assert all(torch.equal(one, two) for one, two in zip(centre, other, strict=True))


def test_drawing_crops_leaves_the_callers_generators_alone():
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002 - the old generator is the one to be left alone
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    offsets = offsets_of(CROPS, coordinates(CROPS))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]  # noqa: NPY002
    torch.rand(5)
    assert offsets_of(CROPS, coordinates(CROPS)) == offsets


# Types of pixels

ALL_VIEWS = [WholeView(), WholeView(max_long_side=20), CENTRE, CROPS, replace(CROPS, mode="grid")]


@pytest.mark.parametrize("view", ALL_VIEWS, ids=repr)
@pytest.mark.parametrize(("height", "width"), [(33, 47), (64, 20), (12, 9)])
def test_bytes_and_numbers_of_an_image_agree(view, height, width):
    images = eight_bit(height, width, count=2)
    [from_bytes], [from_numbers] = (views_of(view)(form) for form in (images, images / 255))
    assert from_bytes.dtype == from_numbers.dtype == torch.float32
    torch.testing.assert_close(from_bytes, from_numbers, atol=EIGHT_BITS, rtol=0)


@pytest.mark.parametrize("view", ALL_VIEWS, ids=repr)
def test_bytes_laid_out_otherwise_give_the_same(view):
    images = eight_bit(33, 21, count=2)
    [expected], [group] = views_of(view)(images), views_of(view)(images.to(memory_format=torch.channels_last))
    assert torch.equal(group, expected)
    [cut] = views_of(view)(torch.nn.functional.pad(images, (3, 2))[..., 3:-2])
    assert torch.equal(cut, expected)


@pytest.mark.parametrize("view", ALL_VIEWS, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_pixels_go_through_the_geometry_in_float32(view, dtype):
    images = random(2, 3, 33, 47).to(dtype)
    [group], [expected] = views_of(view)(images), views_of(view)(images.float())
    assert group.dtype == torch.float32
    assert torch.equal(group, expected)


@pytest.mark.parametrize("view", [CENTRE, CROPS], ids=repr)
def test_resizing_tensors_agrees_with_pillow(view):
    images = random(2, 3, 61, 43)
    [group] = views_of(view)(images)
    for image, cut in zip(images, group.unflatten(0, (2, -1)), strict=True):
        channels = [Image.fromarray(channel.numpy()) for channel in image]
        size = (16, 22) if view is CENTRE else (view.width, view.height)
        resized = [torch.tensor(np.array(c.resize(size, Image.Resampling.BILINEAR))) for c in channels]
        offsets = [(3, 0)] if view is CENTRE else random_crop_offsets((24, 14), 5, seed=0)
        torch.testing.assert_close(cut, crops(torch.stack(resized)[None], offsets, 16), atol=1e-5, rtol=0)


@pytest.mark.parametrize("view", [CentreCropView(size=3), CropsView(height=5, width=4, size=3, count=3)], ids=repr)
@pytest.mark.parametrize("size", [(7, 5), (2, 3), (3, 9)])
def test_gradients_of_views(view, size):
    images = random(1, 3, *size, dtype=torch.float64).requires_grad_()
    torch.autograd.gradcheck(lambda pixels: views_of(view, plain=False)(pixels)[0], images)


@pytest.mark.parametrize("view", ALL_VIEWS, ids=repr)
def test_views_are_normalised_after_the_geometry(view):
    images = random(2, 3, 33, 47)
    [plain], [group] = views_of(view)(images), views_of(view, plain=False)(images)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    torch.testing.assert_close(group, (plain - mean) / std)


def test_several_views_come_in_order():
    groups = views_of(CENTRE, WholeView(), CROPS)(random(2, 3, 33, 47))
    assert [tuple(group.shape) for group in groups] == [(2, 3, 16, 16), (2, 3, 33, 47), (10, 3, 16, 16)]


def test_images_of_the_right_size_are_not_resampled():
    images = eight_bit(16, 30)
    assert torch.equal(views_of(CENTRE)(images)[0], images[..., 7:23].float() / 255)
    assert torch.equal(resize(images, (16, 30)), images)


def test_the_published_views():
    assert PERCEPTCLIP_IQA.views.views == (CropsView(height=512, width=384, size=224, count=15, mode="random"),)
    assert PERCEPTCLIP_MEM.views.views == (CentreCropView(size=224),)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": 0}, "CropsView.size"),
        ({"size": 31}, "fit into 40 x 30"),
        ({"count": 0}, "CropsView.count must be positive"),
        ({"mode": "centre"}, "'random' or 'grid', got 'centre'"),
    ],
)
def test_crops_that_are_impossible_are_refused(change, said):
    with pytest.raises(InvalidSpecError, match=said):
        replace(CROPS, **change)
    with pytest.raises(InvalidSpecError, match=r"CentreCropView\.size"):
        CentreCropView(size=-1)
