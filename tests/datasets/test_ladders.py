"""Ladders of degradations: repeatable, growing, told apart, never parted from their photograph, tested on alone."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from perceptmetrics.datasets import LabelledImages, Split, check_dataset, load_dataset, make_splits
from perceptmetrics.datasets.degradations import ALL_KINDS, KINDS
from perceptmetrics.datasets.ladder_attributes import ATTRIBUTES
from perceptmetrics.datasets.ladders import PROTOCOLS, SHOWINGS
from perceptmetrics.errors import DatasetError, InvalidOptionError

RUNGS = 6


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures with detail at every scale, larger than a crop and smaller than any long side."""
    folder = tmp_path_factory.mktemp("photographs")
    for number in range(12):
        rng = np.random.default_rng(number)
        layers = [gaussian_filter(rng.normal(size=(104, 136, 3)), (sigma, sigma, 0)) * sigma for sigma in (0.5, 2, 8)]
        pixels = 120 + 40 * sum(layers)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def everything(photographs: Path) -> LabelledImages:
    return load_dataset("ladders", photographs)


def pixels_of(dataset: LabelledImages, place: int) -> torch.Tensor:
    image = dataset.images[place]
    assert not isinstance(image, Path)
    return image.render()


def identities(dataset: LabelledImages) -> list[str]:
    return [image.identity for image in dataset.images if not isinstance(image, Path)]


def test_each_photograph_has_a_ladder_of_each_showing_protocol_and_kind(everything: LabelledImages) -> None:
    ladders = (len(SHOWINGS) + len(PROTOCOLS)) * len(KINDS)
    assert len(everything) == 12 * ladders * RUNGS
    assert everything.groups is not None
    assert everything.ranks_within_groups
    assert len(set(everything.groups)) == 12 * ladders
    assert everything.ratings is not None
    for start in range(0, len(everything), RUNGS):
        assert len(set(everything.groups[start : start + RUNGS])) == 1
        assert everything.ratings[start : start + RUNGS, 0] == pytest.approx([1, 0.5, 0.375, 0.25, 0.125, 0])


@pytest.fixture(scope="module")
def attributes(photographs: Path) -> LabelledImages:
    return load_dataset("ladders", photographs, kinds=ALL_KINDS, attributes=True)


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("number", [3, 7])
def test_each_rung_is_farther_from_the_untouched_photograph(attributes: LabelledImages, kind: str, number: int) -> None:
    mine = [f"{number:02}.png/{ladder}/{kind}" for ladder in (*SHOWINGS, *PROTOCOLS)]
    for ladder in mine:
        start = attributes.names.index(f"{ladder}/0")
        rungs = [pixels_of(attributes, start + rung) for rung in range(RUNGS)]
        assert all(rung.dtype == torch.uint8 and rung.shape == rungs[0].shape for rung in rungs)
        errors = [(rung.double() - rungs[0].double()).square().mean().item() for rung in rungs]
        psnr = [math.inf if error == 0 else -10 * math.log10(error / 255**2) for error in errors]
        assert psnr == sorted(psnr, reverse=True), ladder
        assert len(set(psnr)) == RUNGS, ladder


def test_the_untouched_rung_is_the_photograph(photographs: Path, everything: LabelledImages) -> None:
    stored = np.asarray(Image.open(photographs / "05.png"))
    whole, mirrored, wide = (
        pixels_of(everything, everything.names.index(f"05.png/{ladder}/jpeg/0")).permute(1, 2, 0).numpy()
        for ladder in ("whole", "mirrored", "wide")
    )
    assert np.array_equal(whole, stored)
    assert np.array_equal(mirrored, stored[:, ::-1])
    assert np.array_equal(wide, stored)  # never enlarged


def test_showings_shrink_and_crop(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (700, 1400, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    dataset = load_dataset("ladders", tmp_path, kinds="blur")
    sizes = {
        name.split("/")[1]: tuple(pixels_of(dataset, place * RUNGS).shape[1:])
        for place, name in enumerate(dataset.names[::RUNGS])
    }
    assert sizes["whole"] == sizes["mirrored"] == (700, 1400)
    assert 480 <= sizes["shrunk"][1] <= 960
    assert sizes["shrunk"][0] == pytest.approx(sizes["shrunk"][1] / 2, abs=1)
    assert all(384 <= side <= 640 for side in sizes["crop"])
    assert sizes["wide"] == sizes["mild"] == (640, 1280)
    assert sizes["small"] == (320, 640)


def test_pixels_and_draws_are_repeatable(photographs: Path, everything: LabelledImages) -> None:
    again = load_dataset("ladders", photographs)
    assert identities(again) == identities(everything)
    for place in range(0, len(everything), 211):
        assert torch.equal(pixels_of(again, place), pixels_of(everything, place))


def test_different_pixels_have_different_identities(everything: LabelledImages) -> None:
    """Over all rungs of two photographs; equal identities, of untouched rungs, have equal pixels."""
    seen: dict[str, bytes] = {}
    for place in range(2 * len(everything) // 12):
        image = everything.images[place]
        assert not isinstance(image, Path)
        content = image.render().numpy().tobytes()
        assert seen.setdefault(image.identity, content) == content, everything.names[place]
    untouched = len(SHOWINGS) + len(PROTOCOLS)
    degraded = untouched * len(KINDS) * (RUNGS - 1)
    assert len(seen) == 2 * (degraded + untouched) - 2  # wide and mild show the same


def test_a_changed_photograph_has_another_identity(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.new("RGB", (40, 30), (90, 60, 30)).save(file)
    before = identities(load_dataset("ladders", tmp_path, kinds="blur"))
    os.utime(file, ns=(1, 1))
    after = identities(load_dataset("ladders", tmp_path, kinds="blur"))
    assert not set(before) & set(after)


def test_draws_depend_on_the_seed_and_the_photograph_alone(photographs: Path, tmp_path: Path) -> None:
    few = load_dataset("ladders", photographs, kinds=["scale", "noise"], showings=["crop"], protocols=[])
    many = load_dataset("ladders", photographs, showings=["whole", "crop"])
    of_many = dict(zip(many.names, identities(many), strict=True))
    assert identities(few) == [of_many[name] for name in few.names]
    other = load_dataset("ladders", photographs, kinds=["scale", "noise"], showings=["crop"], protocols=[], seed=1)
    assert not set(identities(few)) & set(identities(other))


def test_a_repeated_showing_or_kind_is_drawn_anew(photographs: Path) -> None:
    twice = load_dataset("ladders", photographs, kinds="jpeg", showings=["crop", "crop"], protocols=[])
    assert len(twice) == 2 * 12 * RUNGS
    assert len(set(identities(twice))) == len(twice)
    kinds = load_dataset("ladders", photographs, kinds=["jpeg", "jpeg"], showings=["crop"], protocols=["small"])
    assert kinds.groups is not None
    assert list(dict.fromkeys(kinds.groups))[:3] == ["00.png/crop/jpeg", "00.png/crop/jpeg2", "00.png/small/jpeg"]
    assert len(kinds) == 3 * 12 * RUNGS
    assert len(set(identities(kinds))) == len(kinds) - 12  # the untouched crop stands in two ladders


def test_splits_part_no_photograph_and_train_on_no_protocol(everything: LabelledImages) -> None:
    assert everything.contents is not None
    contents = np.array(everything.contents)
    protocols = {place for place, name in enumerate(everything.names) if name.split("/")[1] in PROTOCOLS}
    assert set(range(len(everything))) - set(everything.trainable.tolist()) == protocols
    for split in make_splits(everything):
        owners = [set(contents[part]) for part in (split.train, split.validation, split.test)]
        assert [len(part) for part in owners] == [9, 1, 2]
        assert len(set.union(*owners)) == 12
        assert not protocols & {*split.train.tolist(), *split.validation.tolist()}
        assert len(split.test) == 2 * len(everything) // 12


def test_published_splits_keep_what_is_for_test_only_out_of_training(everything: LabelledImages) -> None:
    half = len(everything) // 2
    published = Split(train=np.arange(half), validation=np.arange(0), test=np.arange(half, 2 * half))
    for share in (0.0, 0.2):
        (split,) = make_splits(replace(everything, official_splits=(published,)), validation=share)
        assert {*split.train.tolist(), *split.validation.tolist()} == set(everything.trainable.tolist()) & set(
            range(half)
        )
        assert np.array_equal(split.test, published.test)


def test_a_check_finds_no_leak_and_no_duplicate(everything: LabelledImages) -> None:
    report = check_dataset(everything, make_splits(everything))
    assert report.problems == ()
    assert report.groups == 12
    assert report.rendered == len(everything)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": ["blurr"]}, r"kinds: there is no 'blurr'. Did you mean 'blur'"),
        ({"showings": "shrunken"}, r"showings: there is no 'shrunken'. Did you mean 'shrunk'"),
        ({"protocols": ["wild"]}, r"protocols: there is no 'wild'. Did you mean"),
        ({"seed": -1}, "seed of 0 or more, got -1"),
        ({"kinds": []}, "at least one kind"),
        ({"showings": [], "protocols": []}, "at least one showing or protocol"),
    ],
)
def test_options_that_make_no_sense_are_refused(photographs: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        load_dataset("ladders", photographs, **options)  # type: ignore[arg-type]


def test_a_folder_without_photographs_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"Expected photographs in .*, got none"):
        load_dataset("ladders", tmp_path)


OWN = {
    "blur": "sharpness",
    "scale": "sharpness",
    "noise": "noisiness",
    "jpeg": "compression",
    "over": "overexposure",
    "under": "underexposure",
    "contrast": "contrast",
    "colour": "colorfulness",
}


def test_a_ladder_worsens_its_own_attribute_and_no_other(attributes: LabelledImages) -> None:
    assert attributes.task == "attribute"
    assert attributes.labels == ATTRIBUTES
    assert attributes.ratings is not None
    assert attributes.groups is not None
    for start in range(0, len(attributes), RUNGS):
        rungs = attributes.ratings[start : start + RUNGS]
        own = ATTRIBUTES.index(OWN[attributes.groups[start].split("/")[-1]])
        assert rungs[0, own] == 1
        assert (np.diff(rungs[:, own]) < 0).all()
        assert rungs[-1, own] > -0.05
        others = np.delete(rungs, own, axis=1)
        assert ((others == 1) | np.isnan(others)).all()
        assert (np.isnan(others) == np.isnan(others[0])).all()


def test_attributes_show_the_same_images_as_quality(everything: LabelledImages, attributes: LabelledImages) -> None:
    assert set(identities(everything)) < set(identities(attributes))


def test_kinds_may_be_drawn_for_each_showing(photographs: Path, attributes: LabelledImages) -> None:
    options = {"kinds": ALL_KINDS, "attributes": True, "protocols": []}
    drawn = load_dataset("ladders", photographs, drawn=2, **options)
    assert drawn.groups is not None
    by_showing: dict[str, set[str]] = {}
    for group in drawn.groups:
        showing, _, kind = group.rpartition("/")
        by_showing.setdefault(showing, set()).add(kind)
    assert len(by_showing) == 12 * len(SHOWINGS)
    assert {len(kinds) for kinds in by_showing.values()} == {2}
    assert set.union(*by_showing.values()) == set(ALL_KINDS)
    assert set(identities(drawn)) < set(identities(attributes))
    for wrong in (0, 9):
        with pytest.raises(InvalidOptionError, match="drawn: expected 1 to 8"):
            load_dataset("ladders", photographs, drawn=wrong, **options)


def test_photographs_may_be_drawn(photographs: Path, everything: LabelledImages) -> None:
    some = load_dataset("ladders", photographs, photographs=5)
    assert some.contents is not None
    assert len(set(some.contents)) == 5
    assert set(identities(some)) < set(identities(everything))
    other = load_dataset("ladders", photographs, photographs=5, seed=1)
    assert other.contents is not None
    assert set(other.contents) != set(some.contents)
    with pytest.raises(InvalidOptionError, match="photographs: expected 1 or more"):
        load_dataset("ladders", photographs, photographs=0)
