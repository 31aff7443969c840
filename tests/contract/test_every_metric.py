"""What every registered metric promises, whatever it computes."""

from __future__ import annotations

import io
import pickle

import pytest
import torch
from torch import Tensor

from perceptmetrics import Metric, PerceptualLoss
from perceptmetrics.spec.json import spec_from_json, spec_to_json
from tests.contract.conftest import one_of_each_network
from tests.support.photographs import photographs
from tests.support.registered_metrics import build

TOLERANCE = {"atol": 1e-5, "rtol": 0.0}
PROMPT = "A photo of a cup of coffee."


@pytest.fixture(scope="module")
def images() -> Tensor:
    return photographs(96, 128)[:3]


def call(metric: Metric, images: Tensor | list[Tensor]) -> Tensor:
    """Scores with gradients; a metric that reads prompts gets one for all images."""
    return metric(images, PROMPT) if metric.reads_prompts else metric(images)


def score(metric: Metric, images: list[Tensor]) -> Tensor:
    """Scores without gradients."""
    return metric.score(images, PROMPT) if metric.reads_prompts else metric.score(images)


def single_scores(scores: Tensor) -> tuple[Tensor, ...]:
    """The scores label by label; the sum of probabilities is constant, so it has no gradient."""
    return scores.unbind(dim=1) if scores.ndim == 2 else (scores,)


def expected_shape(metric: Metric, count: int) -> tuple[int, ...]:
    return (count, len(metric.labels)) if metric.labels else (count,)


@pytest.mark.parametrize("count", [1, 2])
def test_shape_and_type(metric: Metric, images: Tensor, count: int) -> None:
    scores = call(metric, images[:count])
    assert scores.shape == expected_shape(metric, count)
    assert scores.dtype == torch.float32


def test_single_image_is_a_batch_of_one(metric: Metric, images: Tensor) -> None:
    torch.testing.assert_close(call(metric, images[0]), call(metric, images[:1]))


def test_batch_equals_one_by_one(metric: Metric, images: Tensor) -> None:
    one_by_one = torch.cat([call(metric, image[None]) for image in images])
    torch.testing.assert_close(call(metric, images), one_by_one, **TOLERANCE)


def test_batch_order_does_not_matter(metric: Metric, images: Tensor) -> None:
    torch.testing.assert_close(call(metric, images.flip(0)).flip(0), call(metric, images), **TOLERANCE)


def test_scores_differ_between_photographs(metric: Metric, images: Tensor) -> None:
    assert call(metric, images).std(dim=0).min() > 1e-6


def test_repeatable(metric: Metric, images: Tensor) -> None:
    assert torch.equal(call(metric, images), call(metric, images))


def test_list_of_sizes(metric: Metric, images: Tensor) -> None:
    mixed = [images[0], images[1, :, :64, :80], images[2]]
    separate = torch.cat([call(metric, image[None]) for image in mixed])
    torch.testing.assert_close(call(metric, mixed), separate, **TOLERANCE)
    torch.testing.assert_close(score(metric, mixed), separate, **TOLERANCE)


def test_gradients_reach_every_pixel_and_no_parameter(metric: Metric, images: Tensor) -> None:
    pixels = images.clone().requires_grad_()
    for scores in single_scores(call(metric, pixels)):
        pixels.grad = None
        scores.sum().backward(retain_graph=True)
        assert pixels.grad is not None
        assert torch.isfinite(pixels.grad).all()
        assert (pixels.grad.abs().amax(dim=(1, 2, 3)) > 0).all()
    assert all(parameter.grad is None for parameter in metric.parameters())
    assert not any(parameter.requires_grad for parameter in metric.parameters())


def test_constant_image_has_finite_gradient(metric: Metric) -> None:
    pixels = torch.full((1, 3, 64, 64), 0.5, requires_grad=True)
    for scores in single_scores(call(metric, pixels)):
        pixels.grad = None
        scores.sum().backward(retain_graph=True)
        assert pixels.grad is not None
        assert torch.isfinite(pixels.grad).all()


def test_training_mode_changes_nothing(metric: Metric, images: Tensor) -> None:
    before = call(metric, images)
    state = {name: value.clone() for name, value in metric.state_dict().items()}
    metric.train()
    assert torch.equal(call(metric, images), before)
    assert all(torch.equal(value, state[name]) for name, value in metric.state_dict().items())


def test_pickle_and_state_dict_round_trip(metric: Metric, images: Tensor) -> None:
    copy = pickle.loads(pickle.dumps(metric))
    assert torch.equal(call(copy, images), call(metric, images))
    buffer = io.BytesIO()
    torch.save(metric.state_dict(), buffer)
    buffer.seek(0)
    copy.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(call(copy, images), call(metric, images))


def test_scores_stay_in_the_declared_range(metric: Metric, images: Tensor) -> None:
    noise = torch.rand(1, 3, 64, 64)
    extremes = [images[0], noise[0], torch.zeros(3, 64, 64), torch.ones(3, 64, 64)]
    lower, upper = metric.score_range
    scores = score(metric, extremes)
    assert torch.isfinite(scores).all()
    if not metric.spec.score.strict_range:  # the range of the training data, which holds no prediction to it
        assert not metric.spec.score.map.is_bounded, "this map bounds its scores, so the range is strict"
        return
    assert lower is None or scores.min() >= lower
    assert upper is None or scores.max() <= upper


def test_declared_metadata(metric: Metric) -> None:
    assert metric.metric_name == metric.spec.name
    assert metric.metric_mode == "NR"
    assert metric.lower_better is not metric.spec.score.higher_is_better
    assert spec_from_json(spec_to_json(metric.spec)) == metric.spec
    assert metric.spec.card.paper_url.startswith("https://")


def test_loss_falls_when_the_score_gets_better(metric: Metric, images: Tensor) -> None:
    target = metric.labels[0] if metric.labels else None
    loss = PerceptualLoss(metric, target=target, reduction="none")
    losses = loss(images, prompts=PROMPT) if metric.reads_prompts else loss(images)
    assert loss.score is not None
    order = loss.score.argsort(descending=not metric.lower_better)
    assert (losses[order].diff() >= 0).all()


def test_created_as_a_loss(images: Tensor) -> None:
    loss = build("clipiqa", prompts=["quality", "brightness"], as_loss=True, loss_target="brightness", loss_weight=2.0)
    assert isinstance(loss, PerceptualLoss)
    torch.testing.assert_close(loss(images), 2 * (1 - loss.metric(images)[:, 1]).mean())


@pytest.mark.parametrize("metric", one_of_each_network(), indirect=True)
def test_torch_compile_gives_the_same_graph_free_of_breaks(metric: Metric, images: Tensor) -> None:
    torch.compiler.reset()  # compilations of other tests count toward its limit
    explained = torch.compile(metric, backend="eager", fullgraph=True)
    texts = [metric.encode_prompts([PROMPT] * len(images))] if metric.reads_prompts else []
    torch.testing.assert_close(explained(images, *texts), call(metric, images), **TOLERANCE)
