"""A single path is one path wherever several may be given: never its characters, one of which may be a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.experiments import climb_ladders, rank_images
from perceptmetrics.explain import explain_images
from perceptmetrics.images.find import find_images
from perceptmetrics.images.sources import find_parts, find_sources
from perceptmetrics.scoring.stream import score_images
from tests.support.mean_colour_metric import tiny_metric


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(2):
        Image.new("RGB", (40, 30), (90 * index, 120, 60)).save(tmp_path / f"{index}.png")
    return tmp_path


def test_paths_are_found_below_a_single_one(folder: Path) -> None:
    expected = [folder / "0.png", folder / "1.png"]
    for given in (folder, str(folder), [folder], f"{folder}/*.png"):
        assert list(find_images(given)) == expected
        assert [image.name for image in find_sources(given)] == list(map(str, expected))
        assert [file for part in find_parts(given) for file in part.files] == list(map(str, expected))


def test_a_single_path_is_scored_ranked_and_explained(folder: Path) -> None:
    metric = tiny_metric()
    names = [str(folder / "0.png"), str(folder / "1.png")]
    assert [row.name for row in score_images([metric], str(folder))] == names
    assert sorted(row.image for row in rank_images(metric, folder).images) == names
    assert [climb.image for climb in climb_ladders(metric, str(folder), ["noise"], steps=3).ladders[0].climbs] == names
    found = explain_images(metric, str(folder), methods=["saliency"], samples=1)
    assert [image.name for image in found.images] == names


def test_a_column_of_a_table_is_several_images(folder: Path) -> None:
    files = [folder / "0.png", folder / "1.png"]
    paths, encoded = np.array([*map(str, files)]), np.array([file.read_bytes() for file in files], dtype=object)
    expected = tiny_metric().score(files)
    for column in (paths, paths.astype(object), encoded):
        assert torch.equal(tiny_metric().score(column), expected)
        assert len(list(score_images([tiny_metric()], column))) == 2


@pytest.mark.parametrize("given", [None, b"photos", 3], ids=["nothing", "bytes", "a number"])
def test_what_is_no_path_is_refused(given: object) -> None:
    for find in (find_images, find_sources, find_parts):
        with pytest.raises(InvalidImageError, match="Expected a path or an iterable of paths, got"):
            list(find(given))  # type: ignore[operator]
