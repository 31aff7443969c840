"""`find_twins`: the same picture in any encoding or size is found, and nothing else is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptmetrics.datasets import LabelledImages, Scale, Split, check_dataset
from perceptmetrics.datasets import twins as module
from perceptmetrics.datasets.twins import find_twins


def scene(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def of_files(*paths: Path) -> LabelledImages:
    return LabelledImages(
        name="made",
        task="quality",
        images=paths,
        names=tuple(path.name for path in paths),
        labels=("quality",),
        ratings=np.linspace(0, 1, len(paths))[:, None],
        scales=(Scale(lower=0, upper=1),),
    )


def alike(*paths: Path) -> list[tuple[int, ...]]:
    return [tuple(index for _, index in group) for group in find_twins([of_files(*paths)]).alike]


def sixteen_bits(path: Path, image: Image.Image) -> None:
    grey = np.asarray(image.convert("L").convert("RGB"), dtype=np.uint16)[..., 0] * 257
    Image.fromarray(grey).save(path)


def on_its_side(path: Path, image: Image.Image) -> None:
    exif = Image.Exif()
    exif[274] = 6  # the file is to be turned by 90 degrees
    image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=90)


COPIES: dict[str, Callable[[Path, Image.Image], object]] = {
    "jpeg.jpg": lambda path, image: image.save(path, quality=15),
    "half.jpg": lambda path, image: image.resize((80, 60)).save(path),
    "square.jpg": lambda path, image: image.resize((224, 224)).save(path),
    "larger.png": lambda path, image: image.resize((400, 300), Image.Resampling.BICUBIC).save(path),
    "lossy.webp": lambda path, image: image.save(path, quality=40),
    "palette.gif": lambda path, image: image.save(path),
    "opaque.png": lambda path, image: image.convert("RGBA").save(path),
    "print.jpg": lambda path, image: image.convert("CMYK").save(path),
    "tagged.tif": lambda path, image: image.save(path),
    "turned.jpg": on_its_side,
}


def test_other_encodings_and_sizes_are_found_and_other_scenes_are_not(tmp_path: Path) -> None:
    original, *others = (tmp_path / f"scene{seed}.png" for seed in range(4))
    for seed, path in enumerate((original, *others)):
        scene(seed).save(path)
    copies = [tmp_path / name for name in COPIES]
    for copy, write in zip(copies, COPIES.values(), strict=True):
        write(copy, scene(0))
    ((*group,),) = alike(original, *others, *copies)
    missed = [path.name for index, path in enumerate(copies, start=4) if index not in group]
    assert (missed, [index for index in group if index < 4]) == ([], [0])


def test_grey_of_sixteen_bits_is_the_grey_of_eight(tmp_path: Path) -> None:
    scene(0).convert("L").save(tmp_path / "eight.jpg")
    sixteen_bits(tmp_path / "sixteen.png", scene(0))
    assert alike(tmp_path / "eight.jpg", tmp_path / "sixteen.png") == [(0, 1)]


@pytest.mark.parametrize(
    "other",
    [
        lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        lambda image: image.crop((40, 30, 160, 120)),
        lambda image: Image.merge("RGB", image.split()[::-1]),
        lambda image: Image.blend(image, Image.new("RGB", image.size, "grey"), 0.5),
    ],
    ids=["mirrored", "cropped", "recoloured", "paler"],
)
def test_another_picture_of_the_same_scene_is_none(tmp_path: Path, other: Callable[[Image.Image], Image.Image]) -> None:
    sky = Image.blend(scene(0), Image.new("RGB", (160, 120), (40, 90, 230)), 0.4)
    sky.save(tmp_path / "one.png")
    other(sky).save(tmp_path / "other.png")
    assert alike(tmp_path / "one.png", tmp_path / "other.png") == []


def test_pictures_without_detail_are_compared_by_their_bytes(tmp_path: Path) -> None:
    for name, colour in (("a.png", (90, 90, 90)), ("b.png", (90, 90, 91)), ("c.png", (90, 90, 90))):
        Image.new("RGB", (64, 64), colour).save(tmp_path / name)
    found = find_twins([of_files(*(tmp_path / name for name in ("a.png", "b.png", "c.png")))])
    assert found.copies == found.alike == (((0, 0), (0, 2)),)


def test_files_that_are_corrupt_or_gone_are_left_out(tmp_path: Path) -> None:
    scene(0).save(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:400])
    (tmp_path / "c.jpg").write_bytes(b"")
    assert alike(*(tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg", "gone.jpg"))) == []


def test_files_are_looked_at_once_until_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(3):
        scene(seed).save(tmp_path / f"{seed}.png")
    paths = [tmp_path / f"{seed}.png" for seed in range(3)]
    calls: list[int] = []
    find_twins([of_files(*paths)], lambda: calls.append(1))
    assert len(calls) == 3
    with monkeypatch.context() as patch:
        patch.setattr(module, "_small_version", None)
        assert alike(*paths) == []
        assert find_twins([replace(of_files(*paths), name="another")]).alike == ()
    shutil.copyfile(paths[0], paths[2])
    assert alike(*paths) == [(0, 2)]


def test_a_check_names_twins_that_are_no_copies(tmp_path: Path) -> None:
    for seed in range(6):
        scene(seed).save(tmp_path / f"{seed}.png")
    scene(2).save(tmp_path / "4.png", "JPEG", quality=40)
    dataset = of_files(*(tmp_path / f"{seed}.png" for seed in range(6)))
    split = Split(train=np.array([0, 1, 2]), validation=np.array([3]), test=np.array([4, 5]))
    report = check_dataset(dataset, [split])
    assert (report.duplicates, report.lookalikes) == ((), (("2.png", "4.png"),))
    assert [(leak.parts, leak.what, leak.names) for leak in report.leaks] == [
        (("train", "test"), "picture", ("2.png = 4.png",))
    ]
    assert report.problems == (
        "1 images occur in more than one group in another format, size or compression.",
        "Split 1: train and test overlap (picture: 1).",
    )
    together = replace(dataset, groups=("a", "b", "c", "d", "c", "e"))
    assert check_dataset(together).problems == ()
