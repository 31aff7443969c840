"""The encoder before training: CLIP without the adapters, from whatever files a metric has."""

from __future__ import annotations

import pytest
import torch

from perceptmetrics import create_metric
from perceptmetrics.errors import WeightsError
from perceptmetrics.explain import create_pretrained_encoder
from perceptmetrics.export.convert import convert
from perceptmetrics.weights.cache import CACHE_VARIABLE, cache_home
from tests.support import released_files
from tests.support.released_files import released_state, write

METRIC = "perceptclip_mem"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    with released_files.registered(tmp_path / "configurations"):
        yield


@pytest.fixture
def released(tmp_path):
    return write(tmp_path / "tuned.pth", released_state())


@pytest.fixture
def expected(tmp_path):
    """Features by the same file with adapters that do nothing."""
    state = {name: torch.zeros_like(t) if "lora_B" in name else t for name, t in released_state().items()}
    return create_metric(METRIC, checkpoint=write(tmp_path / "zeros.pth", state)).encoder(pixels())


def pixels():
    return torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def check(encoder, metric, expected):
    torch.testing.assert_close(encoder(pixels()), expected)
    assert (metric.encoder(pixels()) - expected).abs().amax() > 0.1


def test_of_a_released_file(released, expected):
    encoder, metric = create_pretrained_encoder(METRIC, checkpoint=released), create_metric(METRIC, checkpoint=released)
    check(encoder, metric, expected)
    own = {parameter.data_ptr() for parameter in metric.encoder.parameters()}
    shared = [parameter.data_ptr() in own for parameter in encoder.parameters()]
    assert shared.count(False) == released_files.LAYERS  # the projections that LoRA changed


def test_of_a_released_file_without_a_cache(released, expected, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))  # nothing can be written there
    check(create_pretrained_encoder(METRIC, checkpoint=released), create_metric(METRIC, checkpoint=released), expected)


def test_of_converted_folders(released, expected, tmp_path):
    create_metric(METRIC, checkpoint=released)  # fills the cache
    (base,) = (cache_home() / "encoders").iterdir()
    for form in ("slim", "merged"):
        convert(released, tmp_path / form, metric=METRIC, format=form)
        options = {"backbone_checkpoint": base} if form == "merged" else {}
        check(create_pretrained_encoder(tmp_path / form, **options), create_metric(tmp_path / form), expected)
    with pytest.raises(WeightsError, match=r"not in the cache and downloads are disabled"):
        create_pretrained_encoder(tmp_path / "merged")


def test_of_a_metric_whose_encoder_was_not_trained():
    assert create_pretrained_encoder("lite_iqa") is None
    assert create_pretrained_encoder("clipiqa") is None
