"""`check_dataset`: what is sound passes, and each kind of damage is found and named."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from perceptmetrics.datasets import LabelledImages, Scale, Split, check_dataset, load_dataset, make_splits
from tests.datasets.layouts import Expected, picture
from tests.support.rated_data import data_folder

COUNT = 20


@pytest.fixture
def dataset(tmp_path: Path) -> LabelledImages:
    names = tuple(f"{number}.png" for number in range(COUNT))
    return LabelledImages(
        name="made",
        task="quality",
        images=tuple(picture(tmp_path / name, number) for number, name in enumerate(names)),
        names=names,
        labels=("quality",),
        ratings=np.linspace(0.25, 0.75, COUNT)[:, None],
        scales=(Scale(lower=1, upper=5, higher_is_better=False),),
    )


def paths(dataset: LabelledImages) -> list[Path]:
    return [image for image in dataset.images if isinstance(image, Path)]


def test_every_layout_is_sound_but_for_its_small_size(layout: Expected) -> None:
    dataset = load_dataset(layout.name, layout.root, **(layout.options or {}))  # type: ignore[arg-type]
    report = check_dataset(dataset, make_splits(dataset))
    problems = [problem for problem in report.problems if "the official release has" not in problem]
    assert problems == []
    assert (report.sizes is None) == (layout.files is None)
    assert report.rendered == (len(dataset) if layout.files is None else 0)
    assert report.splits == min(10, len(layout.splits or range(10)))


def test_numbers_of_a_report(dataset: LabelledImages) -> None:
    calls: list[int] = []
    report = check_dataset(dataset, make_splits(dataset), progress=lambda: calls.append(1))
    assert report.problems == ()
    assert len(calls) == COUNT
    (rating,) = report.ratings
    assert (rating.least, rating.mean, rating.greatest) == pytest.approx((2, 3, 4))  # lower is better: 5 - 4 * share
    assert report.sizes is not None
    assert report.sizes.distinct == 3
    assert report.sizes.most_frequent == (6, 4)
    assert report.sizes.fraction == 7 / 20
    assert (report.sizes.fewest_pixels, report.sizes.most_pixels) == ((6, 4), (8, 4))
    assert report.expected_images is None


def test_missing_files_are_a_problem_unless_they_are_accepted(dataset: LabelledImages) -> None:
    lacking = replace(dataset, missing=("gone.png",))
    assert check_dataset(lacking).problems == ("1 labelled images have no file.",)
    assert check_dataset(lacking, accept_missing=True).problems == ()


def test_corrupt_empty_and_vanished_files_are_named(dataset: LabelledImages) -> None:
    paths(dataset)[3].write_text("no image")
    paths(dataset)[4].write_bytes(b"")
    paths(dataset)[5].unlink()
    report = check_dataset(dataset)
    assert [name for name, _ in report.unreadable] == ["3.png", "4.png", "5.png"]
    assert report.problems == ("3 files cannot be read as images.",)


def test_copies_in_different_groups_are_named(dataset: LabelledImages) -> None:
    paths(dataset)[7].write_bytes(paths(dataset)[2].read_bytes())
    paths(dataset)[9].write_bytes(paths(dataset)[1].read_bytes())
    assert check_dataset(dataset).duplicates == (("1.png", "9.png"), ("2.png", "7.png"))
    groups = tuple("one" if number in (2, 7) else str(number) for number in range(COUNT))
    report = check_dataset(replace(dataset, groups=groups))
    assert report.duplicates == (("1.png", "9.png"),)
    assert report.problems == ("1 images occur in more than one group, byte for byte.",)


def test_a_header_alone_is_read(dataset: LabelledImages) -> None:
    encoded = paths(dataset)[0].read_bytes()
    paths(dataset)[0].write_bytes(encoded[: len(encoded) - 12])
    assert check_dataset(dataset).unreadable == ()


@pytest.mark.filterwarnings("error")
def test_a_huge_image_is_no_problem(dataset: LabelledImages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)  # all have between one and two times as many
    assert check_dataset(dataset).unreadable == ()


def split(train: list[int], validation: list[int], test: list[int]) -> Split:
    return Split(train=np.array(train), validation=np.array(validation), test=np.array(test))


@pytest.mark.parametrize(
    ("leaking", "what", "parts", "names"),
    [
        (split([0, 1, 2], [5], [2, 3]), "image", ("train", "test"), ("2.png",)),
        (split([0, 1], [4, 6], [4, 3]), "image", ("validation", "test"), ("4.png",)),
        (split([0, 10], [5], [3, 11]), "group", ("train", "test"), ("pair",)),
        (split([0, 10], [11], [3]), "group", ("train", "validation"), ("pair",)),
        (split([0, 14], [5], [15]), "content", ("train", "test"), ("14.png = 15.png",)),
        (split([0], [15], [14]), "content", ("validation", "test"), ("15.png = 14.png",)),
    ],
)
def test_a_leak_is_found_and_named(
    dataset: LabelledImages, leaking: Split, what: str, parts: tuple[str, str], names: tuple[str, ...]
) -> None:
    paths(dataset)[15].write_bytes(paths(dataset)[14].read_bytes())
    groups = tuple("pair" if number in (10, 11) else str(number) for number in range(COUNT))
    grouped = replace(dataset, groups=groups)
    sound = split([0, 1, 10, 11, 14, 15], [2], [3])
    report = check_dataset(grouped, (sound, leaking))
    found = {(leak.split, leak.parts, leak.what): leak.names for leak in report.leaks}
    assert found.pop((2, parts, what)) == names
    assert all(number == 2 and other == "group" for number, _, other in found)  # an image takes its group along
    assert any(f"Split 2: {parts[0]} and {parts[1]} overlap ({what}: 1)." == problem for problem in report.problems)


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        (np.full(COUNT, 0.5), r"All ratings 'quality' are equal \(3\)"),
        (np.linspace(-0.5, 1, COUNT), "range from 1 to 7, beyond their scale of 1 to 5"),
        (np.array([np.nan, *np.linspace(0, 1, COUNT - 1)]), "1 images have no rating 'quality'"),
        (np.full(COUNT, np.nan), "No image has a rating 'quality'"),
    ],
)
def test_labels_that_cannot_be_right_are_told(dataset: LabelledImages, column: np.ndarray, problem: str) -> None:
    (told,) = check_dataset(replace(dataset, ratings=column[:, None])).problems
    assert re.search(problem, told)


def test_an_empty_class_is_told(dataset: LabelledImages) -> None:
    classes = np.zeros(COUNT, dtype=np.intp)
    emotional = replace(dataset, ratings=None, scales=(), classes=classes, labels=("joy", "fear"), task="emotion")
    report = check_dataset(emotional)
    assert report.class_counts == {"joy": COUNT, "fear": 0}
    assert report.problems == ("No image is of the class 'fear'.",)


def test_the_official_number_of_images_is_compared() -> None:
    dataset = load_dataset("livec", data_folder("livec"), missing="skip")
    report = check_dataset(dataset, make_splits(dataset), accept_missing=True)
    assert (report.images, report.expected_images, len(report.missing)) == (627, 1162, 535)
    assert report.problems == ()
    assert check_dataset(replace(dataset, missing=())).problems == (
        "There are labels for 627 images; the official release has 1162.",
    )


@dataclass(frozen=True)
class Drawn:
    identity: str

    def render(self) -> Tensor:
        return torch.zeros(3, 2, 2, dtype=torch.uint8)


def test_images_that_are_rendered_are_compared_by_identity(dataset: LabelledImages) -> None:
    drawn = replace(dataset, images=tuple(Drawn(str(number % 19)) for number in range(COUNT)))
    report = check_dataset(drawn)
    assert (report.rendered, report.sizes) == (COUNT, None)
    assert report.duplicates == (("0.png", "19.png"),)
