"""Scores of views: each as if it were alone, and how much it moves the score of the image."""

from __future__ import annotations

import pytest
import torch

from perceptmetrics import create_metric, view_scores
from perceptmetrics.errors import InvalidOptionError
from perceptmetrics.spec import CentreCropView, CropsView, IdentityMap, LogisticMap, WholeView
from tests.explain.cases import metric_and_reference
from tests.support.mean_colour_metric import tiny_metric

VIEWS = (WholeView(), CentreCropView(size=24), CropsView(height=48, width=48, size=32, count=3))


def image(height=40, width=60):
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))


def test_pulls_add_up_to_nothing_and_scores_to_the_score():
    metric, *_ = metric_and_reference("perceptclip_iqa")
    found = view_scores(metric, image())
    scores = torch.tensor([view.score for view in found.views])
    pulls = torch.tensor([view.pull for view in found.views])
    assert found.score == pytest.approx(float(metric.score(image())), abs=2e-6)
    assert float(scores.mean()) == pytest.approx(found.score, abs=1e-5)
    assert float(pulls.sum()) == pytest.approx(0, abs=1e-5)
    torch.testing.assert_close(pulls, (scores - found.score) / len(scores), rtol=1e-2, atol=2e-6)
    assert pulls.abs().amax() > 1e-4
    assert [view.name for view in found.views] == ["crop 1", "crop 2", "crop 3"]


@pytest.mark.parametrize("score_map", ["identity", "logistic"])
def test_each_view_is_scored_as_if_it_were_alone(score_map):
    metric = tiny_metric(
        views=VIEWS, map=LogisticMap(scale=3.0, shift=-0.2) if score_map == "logistic" else IdentityMap()
    )
    found = view_scores(metric, image())
    groups = metric.views(image()[None])
    outputs = torch.cat([metric.head(metric.encoder(group)) for group in groups])[:, 0]

    def score(raw):
        return torch.sigmoid(3.0 * raw - 0.2) if score_map == "logistic" else raw

    expected = [float(value) for value in score(outputs)]
    assert [view.score for view in found.views] == pytest.approx(expected, abs=1e-6)
    for number, view in enumerate(found.views):
        without = outputs.clone()
        without[number] = outputs.mean()
        assert view.pull == pytest.approx(float(score(outputs.mean()) - score(without.mean())), abs=1e-6)
    assert [view.name for view in found.views] == ["whole image", "middle", "crop 1", "crop 2", "crop 3"]


def test_the_map_is_the_mean_pull_of_the_views_that_look_there():
    metric = tiny_metric(views=(WholeView(), CentreCropView(size=40)))
    found = view_scores(metric, image(40, 100), max_side=100)
    whole, middle = (view.pull for view in found.views)
    torch.testing.assert_close(found.values[:, :30], torch.full((40, 30), whole))
    torch.testing.assert_close(found.values[:, 30:70], torch.full((40, 40), (whole + middle) / 2))


def test_a_label_chooses_the_score():
    metric = tiny_metric(views=VIEWS, labels=("a", "b"))
    scores = metric.score(image())[0]
    for place, label in enumerate("ab"):
        found = view_scores(metric, image(), label=label)
        assert (found.label, found.score) == (label, pytest.approx(float(scores[place]), abs=1e-6))
    assert view_scores(metric, image()).label == "ab"[int(scores.argmax())]


def test_a_single_view_is_refused():
    with pytest.raises(InvalidOptionError, match=r"single view.*'perceptclip_iqa'"):
        view_scores(create_metric("lite_iqa"), image())
