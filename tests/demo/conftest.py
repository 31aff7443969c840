"""A studio with small metrics, and files as visitors upload them."""

from __future__ import annotations

from pathlib import Path

import pytest

from perceptmetrics.apps.demo import DemoLimits, Offer, Studio, studio
from perceptmetrics.models.metric import Metric
from perceptmetrics.spec import LogisticMap, SoftmaxMap
from tests.support.encoded_images import encode, noise, png_file
from tests.support.mean_colour_metric import tiny_metric

METRICS = {
    "one": {},
    "moods": {"labels": ("joy", "fear", "awe"), "map": SoftmaxMap()},
    "looks": {"labels": ("sharp", "bright", "calm"), "map": LogisticMap()},
    "lower": {"higher_is_better": False},
}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, Metric]:
    """Tiny metrics by name, which the studio gets from `create_metric`."""
    metrics = {name: tiny_metric(**options) for name, options in METRICS.items()}
    monkeypatch.setattr(studio, "create_metric", lambda name, **_: metrics[name])
    return metrics


@pytest.fixture
def tried(made: dict[str, Metric]) -> Studio:
    """A studio with these metrics, and one whose weights are missing."""
    offers = [Offer(name=name, metric=name, spec=metric.spec) for name, metric in made.items()]
    absent = Offer(name="absent", metric="absent", spec=made["one"].spec, missing="perceptmetrics fetch absent")
    return Studio([*offers, absent], DemoLimits(max_bytes=100_000, max_pixels=30_000, max_images=3))


@pytest.fixture(scope="session")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Good files, and files of every kind that is refused."""
    folder = tmp_path_factory.mktemp("visitor")
    content = {
        "a.png": encode(noise(40, 60, seed=1), "PNG"),
        "b.jpg": encode(noise(50, 36, seed=2), "JPEG"),
        "<b>c&.png": encode(noise(20, 20, seed=3), "PNG"),
        "text.png": b"no image",
        "empty.png": b"",
        "cut.png": encode(noise(80, 80), "PNG")[:9000],
        "wide.png": png_file(4000, 3000, 8, 2, []),
        "bomb.png": png_file(60_000, 60_000, 8, 2, []),
        "heavy.png": encode(noise(150, 150), "PNG") + bytes(100_000),
        "dot.png": encode(noise(1, 1), "PNG"),
    }
    for name, file in content.items():
        (folder / name).write_bytes(file)
    return {name: folder / name for name in content}
