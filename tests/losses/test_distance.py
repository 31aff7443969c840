"""`PerceptualLoss`: what is minimised, for every direction, range, weight and reduction."""

from __future__ import annotations

import pytest
import torch

from perceptmetrics.errors import InvalidImageError, InvalidOptionError
from perceptmetrics.models.losses import PerceptualLoss
from tests.support.mean_colour_metric import tiny_metric

LABELS = ("joy", "fear", "awe")
BATCH = torch.rand((4, 3, 6, 5), generator=torch.Generator().manual_seed(0))

# higher is better, lower, upper -> the loss of a score
DISTANCES = [
    (True, 0.0, 1.0, lambda score: 1.0 - score),
    (True, -2.0, 10.0, lambda score: 10.0 - score),
    (True, None, None, lambda score: -score),
    (True, 3.0, None, lambda score: -score),
    (True, None, 0.0, lambda score: -score),
    (False, 0.0, 1.0, lambda score: score),
    (False, -2.0, 10.0, lambda score: score + 2.0),
    (False, None, None, lambda score: score),
    (False, None, 3.0, lambda score: score),
]


@pytest.mark.parametrize(("higher_is_better", "lower", "upper", "distance"), DISTANCES)
def test_the_loss_is_the_distance_from_the_best_score(higher_is_better, lower, upper, distance):
    metric = tiny_metric(higher_is_better=higher_is_better, lower=lower, upper=upper)
    loss = PerceptualLoss(metric, reduction="none")
    torch.testing.assert_close(loss(BATCH), distance(metric(BATCH)))


@pytest.mark.parametrize("higher_is_better", [True, False])
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (None, None)])
def test_a_step_against_the_gradient_makes_the_score_better(higher_is_better, bounds):
    metric = tiny_metric(higher_is_better=higher_is_better, lower=bounds[0], upper=bounds[1])
    loss, pixels = PerceptualLoss(metric), BATCH.clone().requires_grad_()
    loss(pixels).backward()
    change = metric(pixels.detach() - 0.1 * pixels.grad / pixels.grad.abs().max()) - metric(BATCH)
    assert (change > 0).all() if higher_is_better else (change < 0).all()


@pytest.mark.parametrize("weight", [0.25, 0.0, -1.0, torch.tensor(0.5), torch.tensor([1.0, 0.0, 2.0, 0.5])])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_weights_and_reductions(weight, reduction):
    metric = tiny_metric()
    weighted = weight * (1 - metric(BATCH))
    expected = {"mean": weighted.mean(), "sum": weighted.sum(), "none": weighted}[reduction]
    loss = PerceptualLoss(metric, weight=weight, reduction=reduction)(BATCH)
    assert loss.shape == expected.shape
    torch.testing.assert_close(loss, expected)


def test_the_mean_is_the_default():
    metric = tiny_metric()
    torch.testing.assert_close(PerceptualLoss(metric)(BATCH), (1 - metric(BATCH)).mean())


@pytest.mark.parametrize("target", LABELS)
def test_the_score_of_the_target_label_counts(target):
    metric = tiny_metric(labels=LABELS)
    loss = PerceptualLoss(metric, target=target, reduction="none")
    scores = metric(BATCH)[:, LABELS.index(target)]
    torch.testing.assert_close(loss(BATCH), 1 - scores)
    assert torch.equal(loss.score, scores)


@pytest.mark.parametrize(
    ("labels", "target", "message"),
    [
        (LABELS, None, "must name one of the outputs of 'tiny', got None. Labels: " + ", ".join(LABELS)),
        (LABELS, "fera", "must name one of the outputs of 'tiny', got 'fera'. Labels: " + ", ".join(LABELS)),
        ((), "joy", "got 'joy'. It has a single score; leave it out."),
    ],
)
def test_a_wrong_target_is_refused(labels, target, message):
    with pytest.raises(InvalidOptionError, match=message):
        PerceptualLoss(tiny_metric(labels=labels), target=target)


@pytest.mark.parametrize("reduction", ["avg", None, ""])
def test_a_wrong_reduction_is_refused(reduction):
    with pytest.raises(InvalidOptionError, match=f"must be 'mean', 'sum' or 'none', got {reduction!r}"):
        PerceptualLoss(tiny_metric(), reduction=reduction)


def test_the_last_score_is_kept_without_its_graph():
    metric = tiny_metric()
    loss = PerceptualLoss(metric, weight=3.0)
    assert loss.score is None
    loss(BATCH.clone().requires_grad_()).backward()
    assert torch.equal(loss.score, metric(BATCH))
    assert not loss.score.requires_grad
    loss(BATCH[:1])
    assert loss.score.shape == (1,)


def test_the_loss_has_nothing_to_train():
    loss = PerceptualLoss(tiny_metric())
    pixels = BATCH.clone().requires_grad_()
    loss(pixels).backward()
    assert not [parameter for parameter in loss.parameters() if parameter.requires_grad]
    assert all(parameter.grad is None for parameter in loss.parameters())
    assert pixels.grad.abs().min() > 0


def test_training_mode_of_the_surrounding_model_changes_nothing():
    loss = PerceptualLoss(tiny_metric())
    model = torch.nn.ModuleDict({"loss": loss}).train()
    before = loss(BATCH)
    assert not loss.metric.encoder.dropout.training
    assert torch.equal(model["loss"](BATCH), before)
    torch.testing.assert_close(before, (1 - tiny_metric()(BATCH)).mean())


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (torch.ones(2, 1), r"a number or a tensor of shape \(N,\), got shape \(2, 1\)"),
        ("1", "a number or a tensor of shape"),
        ([1.0, 2.0], "a number or a tensor of shape"),
        (None, "a number or a tensor of shape"),
        (float("nan"), "must be finite"),
        (torch.tensor([1.0, float("inf")]), "must be finite"),
    ],
)
def test_a_wrong_weight_is_refused(weight, message):
    with pytest.raises(InvalidOptionError, match=message):
        PerceptualLoss(tiny_metric(), weight=weight)


@pytest.mark.parametrize("count", [1, 2])
def test_weights_for_another_number_of_images_are_refused(count):
    loss = PerceptualLoss(tiny_metric(), weight=torch.ones(3))
    with pytest.raises(InvalidOptionError, match=rf"shape \(3,\), but the batch has {count} images"):
        loss(BATCH[:count])


def test_the_weight_is_a_copy_and_can_be_changed_in_place():
    weight = torch.tensor(0.5)
    loss = PerceptualLoss(tiny_metric(), weight=weight)
    before = loss(BATCH)
    weight.fill_(2.0)
    assert torch.equal(loss(BATCH), before)
    loss.weight.fill_(1.0)
    torch.testing.assert_close(loss(BATCH), 2 * before)


def test_the_weight_starts_where_the_metric_is():
    assert PerceptualLoss(tiny_metric().to("meta"), weight=torch.ones(2)).weight.device.type == "meta"


@pytest.mark.parametrize("higher_is_better", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("labels", [(), LABELS])
def test_a_raw_loss_is_the_weighted_score_whatever_the_direction(higher_is_better, reduction, labels):
    metric = tiny_metric(higher_is_better=higher_is_better, lower=-2.0, upper=10.0, labels=labels)
    loss = PerceptualLoss(metric, labels[1] if labels else None, 0.3, reduction, sign="raw")
    scores = metric(BATCH)[:, 1] if labels else metric(BATCH)
    expected = {"mean": scores.mean(), "sum": scores.sum(), "none": scores}[reduction]
    torch.testing.assert_close(loss(BATCH), 0.3 * expected)
    assert torch.equal(loss.score, scores)


def test_a_wrong_sign_is_refused():
    with pytest.raises(InvalidOptionError, match="sign must be 'auto' or 'raw', got 'minimise'"):
        PerceptualLoss(tiny_metric(), sign="minimise")


def test_a_single_image_is_a_batch_of_one():
    loss = PerceptualLoss(tiny_metric(), reduction="none")
    assert torch.equal(loss(BATCH[0]), loss(BATCH[:1]))


def test_a_loss_takes_floating_point_pixels_only():
    with pytest.raises(InvalidImageError, match="floating"):
        PerceptualLoss(tiny_metric())(torch.zeros(1, 3, 4, 4, dtype=torch.long))


def test_the_weight_moves_with_the_loss():
    loss = PerceptualLoss(tiny_metric(), weight=torch.ones(2))
    assert loss.to("meta").weight.device.type == "meta"
    assert "weight" not in loss.state_dict()


def test_a_loss_takes_tensors_only(tmp_path):
    with pytest.raises(InvalidImageError, match="takes a tensor"):
        PerceptualLoss(tiny_metric())(str(tmp_path / "photo.png"))
