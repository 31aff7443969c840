"""arniqa on a full-size ResNet-50 equals torchmetrics on the same files, written in the layout of the release."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torchmetrics.functional.image.arniqa import _NoTrainArniqa

from perceptmetrics import create_metric, list_metrics, metric_info
from perceptmetrics.errors import InvalidImageError, InvalidOptionError, WeightsError
from perceptmetrics.explain import view_scores
from tests.support.photographs import photographs
from tests.support.small_clip import calibrate

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
NAMES = list_metrics("arniqa*")


class Regressor(nn.Module):
    """As the release scripts it: two parameters, one of them a bare number."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(200 * torch.randn(1, 4096))
        self.biases = nn.Parameter(torch.tensor(40.0))

    def forward(self, features):
        return F.linear(features, self.weights, self.biases)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """`ARNIQA.pth` and a scripted regressor."""
    folder = tmp_path_factory.mktemp("arniqa")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = torchvision.models.resnet50()
        calibrate(network, photographs(224, 224))
        regressor = Regressor()
    encoder = nn.Sequential(*list(network.children())[:-1])
    tensors = {f"model.{name}": tensor for name, tensor in encoder.state_dict().items()}
    tensors |= {"projector.0.weight": torch.ones(4, 2048), "projector.2.bias": torch.ones(4)}
    torch.save(tensors, folder / "ARNIQA.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(regressor), folder / "regressor.pth")
    return folder / "ARNIQA.pth", folder / "regressor.pth"


def create(name, files):
    return create_metric(name, checkpoint=files[1], backbone_checkpoint=files[0])


@pytest.mark.parametrize(("name", "data"), [("arniqa", "koniq10k"), ("arniqa-kadid", "kadid10k")])
@pytest.mark.parametrize("size", [(224, 224), (131, 200)])
def test_scores_and_gradients_equal_torchmetrics(name, data, size, files, monkeypatch):
    def read(url, **_):
        if url.endswith("/ARNIQA.pth"):
            return torch.load(files[0], weights_only=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.jit.load(files[1])

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", read)
    model = _NoTrainArniqa(data)
    ours, reference = (photographs(*size)[:2].requires_grad_() for _ in range(2))
    scores, expected = create(name, files)(ours), model(reference, normalize=True)[:, 0]
    torch.testing.assert_close(scores, expected, **TOLERANCE)
    assert expected.std() > 1e-3
    scores.sum().backward()
    expected.sum().backward()
    assert F.cosine_similarity(ours.grad.flatten(), reference.grad.flatten(), dim=0) > 0.9998


def test_each_regressor_has_the_scale_of_its_data_and_higher_is_better():
    assert len(NAMES) == 8
    raw = torch.tensor([[1.0], [100.0], [0.0], [9.0], [5.0]])
    scores = {name: metric_info(name).score.map(raw)[:, 0] for name in NAMES}
    for name in ("arniqa", "arniqa-clive", "arniqa-flive", "arniqa-spaq"):
        torch.testing.assert_close(scores[name][:2], torch.tensor([0.0, 1.0]), **TOLERANCE)
    torch.testing.assert_close(scores["arniqa-live"][:2], torch.tensor([1.0, 0.0]), **TOLERANCE)
    torch.testing.assert_close(scores["arniqa-csiq"][[2, 0]], torch.tensor([1.0, 0.0]), **TOLERANCE)
    torch.testing.assert_close(scores["arniqa-tid"][[2, 3]], torch.tensor([0.0, 1.0]), **TOLERANCE)
    torch.testing.assert_close(scores["arniqa-kadid"][[0, 4]], torch.tensor([0.0, 1.0]), **TOLERANCE)
    assert {metric_info(name).head.weights.filename for name in NAMES} == {
        f"regressor_{data}.pth"
        for data in ("live", "csiq", "tid2013", "kadid10k", "koniq10k", "clive", "flive", "spaq")
    }


def test_raw_scores_are_those_of_the_regressor(files):
    images = photographs(96, 128)[:2]
    metric, raw = (
        create("arniqa", files),
        create_metric("arniqa", raw=True, checkpoint=files[1], backbone_checkpoint=files[0]),
    )
    torch.testing.assert_close((raw(images) - 1) / 99, metric(images), **TOLERANCE)


def test_views_that_are_read_together_have_no_scores_of_their_own(files):
    with pytest.raises(InvalidOptionError, match="reads its views of an image together"):
        view_scores(create("arniqa", files), photographs(96, 128)[0])


def test_an_image_whose_half_is_too_small_is_refused(files):
    with pytest.raises(InvalidImageError, match="at least 32 x 32"):
        create("arniqa", files)(torch.rand(1, 3, 40, 70))


def test_the_encoder_of_another_layout_is_refused_by_name_and_timms_own_is_read(files, tmp_path):
    import timm

    network = timm.create_model("resnet50").eval()
    torch.save(network.state_dict(), tmp_path / "timm.pth")
    assert create("arniqa", (tmp_path / "timm.pth", files[1]))(torch.rand(1, 3, 64, 64)).shape == (1,)
    tensors = torch.load(files[0], weights_only=True)
    tensors["stranger.weight"] = torch.ones(1)
    torch.save(tensors, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"unexpected stranger\.weight"):
        create("arniqa", (tmp_path / "other.pth", files[1]))
