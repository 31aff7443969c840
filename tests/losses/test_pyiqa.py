"""What pyiqa's `as_loss` does, and how it is written here: the two columns of the table in docs/losses.md."""

from __future__ import annotations

import warnings

import pytest
import torch

from perceptmetrics.models.losses import PerceptualLoss
from tests.support.mean_colour_metric import tiny_metric

BATCH = torch.rand((4, 3, 6, 5), generator=torch.Generator().manual_seed(0))
WEIGHTS = torch.tensor([1.0, 0.0, 2.0, 0.5])


@pytest.fixture(scope="module")
def pyiqa_loss():
    """A function that makes pyiqa's own loss around one of our metrics."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyiqa.models.inference_model import InferenceModel

    class Wrapped(InferenceModel):
        def __init__(self, metric, **options):
            torch.nn.Module.__init__(self)
            self.metric_name, self.metric_mode, self.eps = "tiny", "NR", 1e-6
            self.as_loss, self.check_input_range = True, False
            self.loss_weight, self.loss_reduction = options.get("weight"), options.get("reduction", "mean")
            self.dummy_param = torch.nn.Parameter(torch.empty(0))
            self.net = lambda images: metric(images)[:, None]

    return Wrapped


@pytest.mark.parametrize("higher_is_better", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_raw_loss_without_weight_is_that_of_pyiqa(pyiqa_loss, higher_is_better, reduction):
    metric = tiny_metric(higher_is_better=higher_is_better)
    ours = PerceptualLoss(metric, reduction=reduction, sign="raw")(BATCH)
    torch.testing.assert_close(ours, pyiqa_loss(metric, reduction=reduction)(BATCH).squeeze())


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_a_raw_loss_with_a_weight_for_each_image_is_that_of_pyiqa(pyiqa_loss, reduction):
    metric = tiny_metric()
    ours = PerceptualLoss(metric, weight=WEIGHTS, reduction=reduction, sign="raw")(BATCH)
    theirs = pyiqa_loss(metric, weight=WEIGHTS[:, None], reduction=reduction)(BATCH).squeeze()
    torch.testing.assert_close(ours, theirs)


def test_the_weighted_mean_of_pyiqa_is_over_the_weights(pyiqa_loss):
    metric = tiny_metric()
    theirs = pyiqa_loss(metric, weight=WEIGHTS[:, None])(BATCH)
    torch.testing.assert_close(theirs, (WEIGHTS * metric(BATCH)).sum() / WEIGHTS.sum())
    ours = PerceptualLoss(metric, weight=WEIGHTS / WEIGHTS.mean(), sign="raw")(BATCH)
    torch.testing.assert_close(ours, theirs)


def test_one_weight_for_all_images_cancels_in_the_mean_of_pyiqa(pyiqa_loss):
    metric = tiny_metric()
    theirs = pyiqa_loss(metric, weight=torch.full((4, 1), 0.1))(BATCH)
    torch.testing.assert_close(theirs, metric(BATCH).mean())
    torch.testing.assert_close(PerceptualLoss(metric, weight=0.1, sign="raw")(BATCH), 0.1 * metric(BATCH).mean())


def test_a_number_as_the_weight_fails_in_pyiqa(pyiqa_loss):
    with pytest.raises(AttributeError, match="'float' object has no attribute 'dim'"):
        pyiqa_loss(tiny_metric(), weight=0.1)(BATCH)
