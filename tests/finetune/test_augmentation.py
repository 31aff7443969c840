"""How training images are varied: from the seed alone, inside the image, distributed as torchvision's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from torchvision.transforms import RandomResizedCrop

from perceptmetrics.finetune.data.feeds import TrainingViews, draw_flip, possible_flips
from perceptmetrics.finetune.recipe import AugmentationRecipe
from perceptmetrics.models.views import Views, whole
from perceptmetrics.spec import CentreCropView, CropsView, FragmentsView, ViewsSpec, WholeView

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
HEIGHT, WIDTH = 40, 56


def training_views(view, **options):
    return TrainingViews(Views(ViewsSpec(views=(view,), mean=MEAN, std=STD)), AugmentationRecipe(**options))


def coordinates(height=HEIGHT, width=WIDTH, dtype=torch.uint8):
    """Pixels that encode their position: red the row, green the column."""
    rows = torch.arange(height, dtype=dtype)[:, None].expand(height, width)
    columns = torch.arange(width, dtype=dtype)[None].expand(height, width)
    return torch.stack([rows, columns, torch.zeros_like(rows)])


def places(shown):
    """Rows and columns of what was shown, from the normalised pixels."""
    pixels = shown[0] * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    return (pixels[:2] * 255).round().int()


VIEWS = {
    "crops": (CropsView(height=HEIGHT, width=WIDTH, size=16, count=3), {}),
    "centre crop": (CentreCropView(size=32), {}),
    "random part": (CentreCropView(size=32), {"random_resized_crop": True}),
    "whole": (WholeView(), {}),
    "random square": (WholeView(), {"random_crop": 24}),
    "random square of a shrunken image": (WholeView(max_long_side=30), {"random_crop": 16}),
    "random square of a small image": (WholeView(), {"random_crop": 100}),
}


@pytest.mark.parametrize("kind", VIEWS)
def test_showing_follows_from_its_seed_alone(kind):
    view, options = VIEWS[kind]
    views = training_views(view, horizontal_flip=True, vertical_flip=True, **options)
    prepared = views.prepare(coordinates())
    first = views.draw(prepared, (3, 1))[0]
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    assert views.draw(prepared, (3, 1))[0].equal(first)
    assert any(not views.draw(prepared, (3, seed))[0].equal(first) for seed in range(2, 9))


@pytest.mark.parametrize("kind", ["crops", "random square"])
def test_crops_lie_inside_the_image_and_reach_all_of_it(kind):
    view, options = VIEWS[kind]
    views = training_views(view, **options)
    prepared = views.prepare(coordinates())
    seen = [places(views.draw(prepared, (seed,))[0]) for seed in range(300)]
    size = seen[0].shape[-1]
    for rows, columns in seen:
        assert rows[:, 0].diff().eq(1).all()
        assert columns[0].diff().eq(1).all()
    tops = {int(rows[0, 0]) for rows, _ in seen}
    lefts = {int(columns[0, 0]) for _, columns in seen}
    assert (min(tops), max(tops)) == (0, HEIGHT - size)
    assert (min(lefts), max(lefts)) == (0, WIDTH - size)


@pytest.mark.parametrize(("horizontal", "vertical"), [(True, False), (False, True), (True, True), (False, False)])
def test_images_are_mirrored_as_asked_half_of_the_time(horizontal, vertical):
    views = training_views(WholeView(), horizontal_flip=horizontal, vertical_flip=vertical)
    seen = [places(views.draw(coordinates(), (seed,))[0]) for seed in range(200)]
    across = np.mean([bool(columns[0, 0] > 0) for _, columns in seen])
    upside_down = np.mean([bool(rows[0, 0] > 0) for rows, _ in seen])
    assert (0.4 < across < 0.6) if horizontal else across == 0
    assert (0.4 < upside_down < 0.6) if vertical else upside_down == 0


def test_drawn_possible_flips_are_those_that_are_kept():
    for across, upside_down in [(False, False), (True, False), (False, True), (True, True)]:
        recipe = AugmentationRecipe(horizontal_flip=across, vertical_flip=upside_down)
        drawn = {draw_flip(recipe, np.random.default_rng(seed)) for seed in range(64)}
        kept = possible_flips(recipe)
        assert kept[0] == ()
        assert drawn == set(kept)
        assert len(kept) == len(drawn)


def test_showing_without_variation_is_what_scoring_sees():
    image = torch.randint(0, 256, (3, HEIGHT, WIDTH), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for view in (WholeView(), WholeView(max_long_side=30), CentreCropView(size=32), VIEWS["crops"][0]):
        views = training_views(view)
        expected = views.views(image[None])
        prepared = views.prepare(image)
        assert views.fixed(prepared)[0].equal(expected[0])
        if not isinstance(view, CropsView):
            assert views.draw(prepared, (0,))[0].equal(expected[0])


@pytest.mark.parametrize("others", [(), (WholeView(),)], ids=["alone", "beside the whole image"])
def test_fragments_are_cut_at_other_offsets_at_each_showing(others):
    """Each cell is cut inside its own field, anywhere in it; what else is shown does not change."""
    views = ViewsSpec(views=(*others, FragmentsView(grid=2, cell=8)), mean=MEAN, std=STD)
    fixed, varied = (
        TrainingViews(Views(views), AugmentationRecipe(random_fragments=random_fragments))
        for random_fragments in (False, True)
    )
    prepared = varied.prepare(coordinates())
    scoring = fixed.views(coordinates()[None])
    for seed in range(3):
        assert all(one.equal(other) for one, other in zip(fixed.draw(prepared, (seed,)), scoring, strict=True))
    seen = []
    for seed in range(200):
        *rest, fragments = varied.draw(prepared, (seed,))
        assert all(one.equal(other) for one, other in zip(rest, scoring[:-1], strict=True))
        seen.append(places(fragments))
    for down in range(2):
        for across in range(2):
            rows = {int(one[down * 8, across * 8]) for one, _ in seen}
            columns = {int(other[down * 8, across * 8]) for _, other in seen}
            assert (min(rows), max(rows)) == (down * HEIGHT // 2, (down + 1) * HEIGHT // 2 - 8)
            assert (min(columns), max(columns)) == (across * WIDTH // 2, (across + 1) * WIDTH // 2 - 8)


def test_random_crop_is_cut_from_a_crop_view_at_its_size():
    view = CropsView(height=32, width=48, size=16, count=3)
    views = training_views(view)
    image = torch.randint(0, 256, (3, HEIGHT, WIDTH), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    whole = Views(ViewsSpec(views=(CropsView(height=32, width=48, size=32, count=1),), mean=MEAN, std=STD))
    assert views.draw(views.prepare(image), (0,))[0].shape == (1, 3, 16, 16)
    assert views.prepare(image).shape == (3, 32, 48)
    assert whole(image[None])[0].shape == (1, 3, 32, 32)


def test_random_square_has_the_scale_of_scoring():
    """Of an image that scoring shrinks to a half, the square must be cut from the half."""
    image = torch.zeros(3, 120, 160, dtype=torch.uint8)
    image[:, :, 80:] = 255  # an edge whose position is seen in every shrunken row
    views = training_views(WholeView(max_long_side=80), random_crop=60)
    shrunken = views.fixed(image)[0]
    shown = views.draw(image, (0,))[0]
    assert shown.shape == (1, 3, 60, 60)
    rows = {tuple(shrunken[0, 0, 0, left : left + 60].tolist()) for left in range(21)}
    assert tuple(shown[0, 0, 0].tolist()) in rows


@pytest.mark.parametrize("size", [(80, 100), (60, 60), (20, 150), (150, 20)])
def test_random_parts_are_distributed_as_torchvisions(size, monkeypatch):
    height, width = size
    image = torch.empty(1, height, width)
    ours = []
    monkeypatch.setattr(
        whole, "resize", lambda part, *_: ours.append(measure(part[0], height, width)) or torch.zeros(1, 3, 8, 8)
    )

    def measure(part, height, width):
        offset = part.storage_offset()
        return offset // width, offset % width, *part.shape[-2:]

    views = training_views(CentreCropView(size=8), random_resized_crop=True)
    for seed in range(600):
        views.draw(image, (seed,))
    torch.manual_seed(0)
    theirs = [RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(600)]
    for top, left, part_height, part_width in ours:
        assert 0 <= top <= height - part_height
        assert 0 <= left <= width - part_width
    for one, other in zip(np.array(ours).T, np.array(theirs).T, strict=True):
        assert ks_2samp(one, other).pvalue > 1e-3
    fractions = [part_height * part_width / (height * width) for _, _, part_height, part_width in ours]
    assert min(fractions) > 0.05
    assert max(fractions) <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 2), (1, 60), (60, 1), (90, 2)])
def test_random_part_of_a_very_thin_image_has_pixels(size):
    views = training_views(CentreCropView(size=8), random_resized_crop=True)
    for seed in range(40):
        (shown,) = views.draw(torch.full((3, *size), 128, dtype=torch.uint8), (seed,))
        assert shown.shape == (1, 3, 8, 8)
        pixels = shown[0] * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
        torch.testing.assert_close(pixels, torch.full((3, 8, 8), 128 / 255))
