"""vitmem equals timm's network behind torchvision's transforms, from a file in the layout of the release."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize, ToTensor

from perceptmetrics import create_metric, metric_info
from perceptmetrics.errors import WeightsError
from perceptmetrics.export.collect import trained_weights_of
from perceptmetrics.export.write import export_metric
from tests.support.every_encoder import timm_network
from tests.support.photographs import photographs
from tests.support.registered_metrics import temporary_metrics, tiny

FULL = "vit_base_patch16_224_miil"
TRANSFORM = Compose([Resize((256, 256), interpolation=InterpolationMode.BILINEAR), CenterCrop(224), ToTensor()])


@pytest.fixture(scope="module")
def images():
    pixels = photographs(300, 420)[:3].mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(image) for image in np.ascontiguousarray(pixels)]


def write(network, path):
    """The release's state dictionary: timm's names behind `vit.`."""
    torch.save({f"vit.{name}": tensor.clone() for name, tensor in network.state_dict().items()}, path)
    return path


def small_network():
    return spread(timm_network("test_vit", num_classes=1, dynamic_img_size=True))


def spread(network):
    """Let the scores of photographs differ clearly."""
    network.head.weight.mul_(100)
    network.head.bias -= network(photographs(224, 224)).mean()
    return network


def expected_scores(network, images):
    return network(torch.stack([TRANSFORM(image) for image in images])).sigmoid()[:, 0]


@pytest.fixture
def small(tmp_path):
    network = small_network()
    with temporary_metrics(tiny(metric_info("vitmem"))):
        yield network, write(network, tmp_path / "vitmem.pth")


def test_scores_equal_timm(small, images):
    network, path = small
    expected = expected_scores(network, images)
    torch.testing.assert_close(create_metric("vitmem", checkpoint=path).score(images), expected, rtol=0, atol=1e-5)
    assert expected.std() > 1e-3


def test_the_files_of_the_library_give_the_same_scores(small, images, tmp_path):
    metric = create_metric("vitmem", checkpoint=small[1])
    spec = replace(metric.spec, name="mine")
    export_metric(metric, tmp_path / "copy", spec=spec, weights=trained_weights_of(metric), encoder=None)
    copy = create_metric(tmp_path / "copy")
    torch.testing.assert_close(copy.score(images), metric.score(images), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensors: tensors.pop("vit.head.bias"), "missing"),
        (lambda tensors: tensors.pop("vit.blocks.0.norm1.bias"), r"blocks\.0\.norm1\.bias"),
        (lambda tensors: tensors.update(extra=torch.ones(1)), "unexpected extra"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(small, tmp_path, change, said):
    tensors = torch.load(small[1], weights_only=True)
    change(tensors)
    torch.save(tensors, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=said):
        create_metric("vitmem", checkpoint=tmp_path / "other.pth")


@pytest.mark.slow
def test_scores_equal_timm_at_full_size(images, tmp_path):
    network = spread(timm_network(FULL, num_classes=1))
    assert timm.create_model(FULL, num_classes=1).state_dict().keys() == network.state_dict().keys()
    assert sum(tensor.numel() for tensor in network.state_dict().values()) == 85_771_777
    metric = create_metric("vitmem", checkpoint=write(network, tmp_path / "vitmem.pth"))
    expected = expected_scores(network, images)
    torch.testing.assert_close(metric.score(images), expected, rtol=0, atol=1e-5)
    assert expected.std() > 1e-4
