"""Broken images are found and named, healthy ones are left alone."""

from __future__ import annotations

import dataclasses
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import perceptmetrics
from perceptmetrics.images.examples import sample_photographs
from perceptmetrics.tripwire import KINDS, Verdict, check_images, find_broken
from perceptmetrics.tripwire.features import features_of
from perceptmetrics.tripwire.head import OUTPUTS, load_head
from tests.benchmarks.tripwire import breakages, healthy

PHOTOGRAPHS = {name: np.asarray(image) for name, image in sample_photographs().items() if name != "motorcycle_left"}
PHOTOGRAPH = PHOTOGRAPHS["chelsea"]
DATA = os.environ.get("PERCEPTMETRICS_DATA")


def tensor(image: np.ndarray = PHOTOGRAPH) -> torch.Tensor:
    return torch.from_numpy(image.transpose(2, 0, 1) / 255.0).float()


def judged(image: object) -> Verdict:
    (verdict,) = check_images(image, workers=0)
    return verdict


def changed(values: torch.Tensor, where: tuple[object, ...], value: float) -> torch.Tensor:
    broken = values.clone()
    broken[where] = value
    return broken


@pytest.mark.parametrize("name", sorted(PHOTOGRAPHS))
def test_photographs_are_healthy(name: str) -> None:
    verdict = judged(PHOTOGRAPHS[name])
    assert (verdict.broken, verdict.kind) == (False, None), verdict
    assert verdict.value <= verdict.threshold


@pytest.mark.parametrize(
    ("image", "kind", "words"),
    [
        (changed(tensor(), (0, slice(3, 9)), float("nan")), "not_finite", "NaN or infinite"),
        (changed(tensor(), (2, 5, 5), float("inf")), "not_finite", "NaN or infinite"),
        (np.full((40, 40, 3), np.nan, dtype=np.float32), "not_finite", "100.00%"),
        (tensor() * 255, "value_range", "instead of 0..1"),
        ((tensor() * 2 - 1).half(), "value_range", "-1"),
        (tensor() / 255, "value_range", "0 or 1 of 255"),
        (PHOTOGRAPH // 128, "value_range", "0 or 1 of 255"),
        (tensor() * 0, "constant", "RGB (0, 0, 0)"),
        (np.full((1, 1), 255, dtype=np.uint8), "constant", "RGB (255, 255, 255)"),
        (np.tile(PHOTOGRAPH[:100, :150], (3, 3, 1)), "repeated", "3 tiles"),
        (np.tile(PHOTOGRAPH[:, :60], (1, 7, 1)), "repeated", "7 tiles"),
    ],
)
def test_faults_that_can_be_measured_are_named(image: object, kind: str, words: str) -> None:
    verdict = judged(image)
    assert (verdict.broken, verdict.kind) == (True, kind), verdict
    assert words in verdict.reason


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("colour", [0, 128, 255])
def test_a_lost_part_is_found_at_each_side_also_after_a_codec(turns: int, colour: int) -> None:
    broken = PHOTOGRAPH.copy()
    broken[120:] = colour
    buffer = io.BytesIO()
    Image.fromarray(np.rot90(broken, turns)).save(buffer, format="JPEG", quality=90)
    verdict = judged(buffer.getvalue())
    assert verdict.kind == "lost_part", verdict
    assert "180 of 300" in verdict.reason or verdict.value > 0.5


def test_bars_margins_and_grounds_are_no_lost_part() -> None:
    assert not judged(np.pad(PHOTOGRAPH, [(60, 60), (0, 0), (0, 0)])).broken
    page = np.full((400, 300, 3), 255, dtype=np.uint8)
    page[20:120:8, 20:280] = 0
    assert not judged(page).broken


@pytest.mark.parametrize(
    "name",
    [
        *("uniform_noise", "noise_over", "blocks", "checkerboard_over", "posterised", "stripes", "smeared"),
        *("extreme_contrast", "wrapped", "bytes_as_units", "lost_macroblocks", "wrong_stride", "planes_as_pixels"),
    ],
)
def test_breakages_of_photographs_are_found(name: str) -> None:
    broken = breakages.TRAINING[name][1](PHOTOGRAPH, np.random.default_rng(1), 0.6)
    verdict = judged(np.ascontiguousarray(broken))
    assert verdict.broken, verdict
    assert verdict.kind in KINDS


@pytest.mark.parametrize("draw", [*healthy.TRAINING.values(), *(draw for _, draw in healthy.TEST.values())])
def test_nothing_is_measured_in_drawings_and_documents(draw: healthy.Draw) -> None:
    found = judged(draw(np.random.default_rng(5)))
    assert found.kind not in ("constant", "lost_part", "repeated", "unreadable", "not_finite"), found


def test_images_come_from_anywhere_and_unreadable_ones_are_broken(tmp_path: Path) -> None:
    Image.fromarray(PHOTOGRAPH).save(tmp_path / "good.png")
    Image.new("RGB", (64, 48)).save(tmp_path / "black.png")
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    found = {Path(verdict.name).name: verdict.kind for verdict in find_broken(tmp_path)}
    assert found == {"black.png": "constant", "cut.png": "unreadable"}
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        archive.add(tmp_path / "black.png", "black.png")
    assert [verdict.kind for verdict in find_broken(tmp_path / "images.tar")] == ["constant"]
    mixed = [tmp_path / "good.png", Image.new("L", (50, 50), 7), None, torch.zeros(4, 9, 9)]
    assert [verdict.kind for verdict in check_images(mixed)] == [None, "constant", "unreadable", "unreadable"]
    assert [verdict.name for verdict in find_broken(torch.zeros(2, 3, 40, 40))] == ["image 0", "image 1"]


def test_a_stream_is_judged_as_it_comes() -> None:
    taken = []

    def stream():
        for number in range(100):
            taken.append(number)
            yield Image.new("RGB", (40, 40))

    verdicts = check_images(stream(), workers=0)
    assert next(verdicts).broken
    assert len(taken) < 5


def test_what_stands_for_no_images_is_refused() -> None:
    with pytest.raises(perceptmetrics.InvalidImageError, match="Expected an image"):
        find_broken(3)
    for nothing in ([], iter(())):  # a program that made no image has not passed
        with pytest.raises(perceptmetrics.InvalidImageError, match="nothing to check"):
            find_broken(nothing)


def test_tiny_images_are_only_measured() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (31, 200, 3), dtype=np.uint8)
    assert "not judged further" in judged(noise).reason


def test_the_head_fits_the_features_and_the_kinds() -> None:
    head = load_head()
    features = features_of(np.zeros((3, 33, 70), dtype=np.uint8))
    assert np.isfinite(features).all()
    assert head.hidden.shape[0] == len(features)
    assert head.thresholds.shape == (len(OUTPUTS),)
    assert {name: kind for name, (kind, _) in breakages.TRAINING.items()} == OUTPUTS
    assert {kind for kind, _ in breakages.LEFT_OUT.values()} <= set(OUTPUTS.values()) <= KINDS.keys()
    assert {field.name for field in dataclasses.fields(head)} == vars(head).keys()


@pytest.mark.skipif(DATA is None, reason="needs PERCEPTMETRICS_DATA")
def test_photographs_that_were_left_out_are_healthy_and_their_breakages_are_found() -> None:
    files = sorted(Path(str(DATA), "oasis", "images").glob("*.jpg"))[::50]
    assert [verdict for verdict in check_images(files) if verdict.broken] == []
    opened = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    made = [breakages.TRAINING["wrapped"][1](image, np.random.default_rng(0), 0.5) for image in opened]
    assert len(find_broken(made)) == len(files)
