"""`calculate_perceptmetrics` from a YAML, as the validation of BasicSR, neosr and traiNNer-redux calls it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml

from perceptmetrics import create_metric
from perceptmetrics.errors import InvalidImageError, InvalidOptionError
from perceptmetrics.integrations.basicsr_metrics import register_metric_with_basicsr
from tests.integrations.registry_stand_in import Registry

OPTIONS = "{type: calculate_perceptmetrics, metric: lite_iqa, better: higher, crop_border: 4}"
RGB = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
EXPECTED = float(
    create_metric("lite_iqa")(torch.from_numpy(RGB[4:-4, 4:-4].transpose(2, 0, 1).copy()).float()[None] / 255)
)


class LowercaseRegistry(Registry):
    """traiNNer-redux's: names in lower case, and `register` with the function returns nothing."""

    def register(self, obj=None, suffix=None):
        self.classes[obj.__name__.lower()] = obj

    def get(self, name, suffix="traiNNer"):
        return self.classes[name.lower()]


def validate(registry, data, options=OPTIONS, **state):
    options = yaml.safe_load(options)
    return registry.get(options.pop("type"))(**data, **options, **state)


def test_basicsr_and_neosr_hand_over_bgr():
    registry = Registry()
    register_metric_with_basicsr(registry)
    register_metric_with_basicsr(registry)
    value = validate(registry, {"img": RGB[:, :, ::-1], "img2": RGB})
    assert type(value) is float
    assert value == pytest.approx(EXPECTED, abs=1e-6)


def test_trainner_redux_hands_over_rgb_and_a_device():
    registry = LowercaseRegistry()
    register_metric_with_basicsr(registry, channel_order="rgb")
    assert validate(registry, {"img": RGB}, device=torch.device("cpu")) == pytest.approx(EXPECTED, abs=1e-6)
    unit = RGB.astype(np.float64) / 255
    assert validate(registry, {"img": unit}, device="cpu") == pytest.approx(EXPECTED, abs=1e-6)


def test_grey_images_are_scored_as_grey():
    registry = Registry()
    register_metric_with_basicsr(registry)
    grey = RGB[:, :, 0]
    colour = validate(registry, {"img": np.repeat(grey[:, :, None], 3, axis=2)})
    assert validate(registry, {"img": grey}) == validate(registry, {"img": grey[:, :, None]}) == colour


@pytest.mark.parametrize(
    ("image", "options", "error", "said"),
    [
        (RGB[:, :, :2], OPTIONS, InvalidImageError, "shape"),
        (RGB.astype(np.int32), OPTIONS, InvalidImageError, "got int32"),
        (RGB.astype(np.float32), OPTIONS, InvalidImageError, "255"),
        (RGB, OPTIONS.replace("4", "24"), InvalidOptionError, "leaves nothing"),
        (RGB, OPTIONS.replace("}", ", label: awe}"), InvalidOptionError, "single score"),
    ],
)
def test_what_cannot_be_scored_is_named(image, options, error, said):
    registry = Registry()
    register_metric_with_basicsr(registry)
    with pytest.raises(error, match=said):
        validate(registry, {"img": image}, options)


def test_what_is_no_registry_and_another_order_are_refused():
    registry = Registry()
    register_metric_with_basicsr(registry)
    with pytest.raises(InvalidOptionError, match="other order of channels"):
        register_metric_with_basicsr(registry, channel_order="rgb")
    with pytest.raises(InvalidOptionError, match="got dict"):
        register_metric_with_basicsr({})
    with pytest.raises(InvalidOptionError, match="'bgr' or 'rgb'"):
        register_metric_with_basicsr(Registry(), channel_order="RGB")
