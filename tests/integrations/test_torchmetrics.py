"""`PerceptualMetric` is a `torchmetrics.Metric` whose values are the scores of the metric that it wraps."""

from __future__ import annotations

import pickle
import runpy
import sys

import pytest
import torch
from torchmetrics import MetricCollection

from perceptmetrics import InvalidImageError, InvalidOptionError, create_metric
from perceptmetrics.errors import MissingExtraError
from perceptmetrics.integrations.torchmetrics import PerceptualMetric
from tests.support.mean_colour_metric import MEAN, tiny_metric

LABELS = ("joy", "fear", "awe")
GENERATOR = torch.Generator().manual_seed(0)
BATCHES = [torch.rand((count, 3, 6, 5), generator=GENERATOR) for count in (4, 1, 3)]
ALL = torch.cat(BATCHES)


def expected(scores, reduction):
    return scores.double().mean(dim=0).float() if reduction == "mean" else scores


def updated(metric):
    for batch in BATCHES:
        metric.update(batch)
    return metric


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("feed", ["update", "forward"])
def test_the_value_is_that_of_all_images_whatever_the_batches(reduction, feed):
    metric = PerceptualMetric(tiny_metric(), reduction)
    values = [getattr(metric, feed)(batch) for batch in BATCHES]
    torch.testing.assert_close(metric.compute(), expected(tiny_metric()(ALL), reduction))
    if feed == "forward":
        for value, batch in zip(values, BATCHES, strict=True):
            torch.testing.assert_close(value, expected(tiny_metric()(batch), reduction))


def test_the_mean_does_not_drift_over_many_batches():
    """A sum in float32 would be off by 1e-5 after that many batches."""
    metric = PerceptualMetric(tiny_metric(), check_values=False)
    batch = BATCHES[1]
    for _ in range(2000):
        metric.update(batch)
    assert metric.score_sum.item() == pytest.approx(2000 * tiny_metric()(batch).double().item(), rel=1e-12)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_labels_are_the_keys_of_the_value(reduction):
    metric = updated(PerceptualMetric(tiny_metric(labels=LABELS), reduction))
    scores = expected(tiny_metric(labels=LABELS)(ALL), reduction)
    assert tuple(metric.compute()) == LABELS
    for place, label in enumerate(LABELS):
        torch.testing.assert_close(metric.compute()[label], scores[..., place])
        one = updated(PerceptualMetric(tiny_metric(labels=LABELS), reduction, label=label))
        torch.testing.assert_close(one.compute(), scores[..., place])


def test_a_list_of_sizes_and_a_single_image_are_batches():
    metric = PerceptualMetric(tiny_metric(), "none")
    images = [BATCHES[0][0], torch.rand(3, 8, 9)]
    metric.update(images)
    metric.update(images[0])
    wrapped = tiny_metric()
    torch.testing.assert_close(metric.compute(), torch.cat([wrapped(images), wrapped(images[0])]))


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("labels", [(), LABELS])
def test_the_value_of_a_batch_has_gradients_and_the_states_have_none(reduction, labels):
    metric = PerceptualMetric(tiny_metric(labels=labels), reduction)
    assert metric.is_differentiable
    wrapped = tiny_metric(labels=labels)
    pixels, same = (BATCHES[0].clone().requires_grad_() for _ in range(2))
    value = metric(pixels)
    (value["fear"] if labels else value).mean().backward()
    scores = wrapped(same)
    (scores[:, 1] if labels else scores).mean().backward()
    torch.testing.assert_close(pixels.grad, same.grad)
    assert pixels.grad.abs().min() > 0
    states = [metric.compute(), metric.metric_state, metric._forward_cache]
    assert not any(tensor.requires_grad for tensor in tensors_in(states))
    assert not any(tensor.requires_grad for tensor in tensors_in(metric.clone().compute()))


def tensors_in(value):
    if isinstance(value, torch.Tensor):
        return [value]
    children = value.values() if isinstance(value, dict) else value
    return [tensor for child in children for tensor in tensors_in(child)]


def test_updating_keeps_no_graph():
    metric = PerceptualMetric(tiny_metric(), "none")
    metric.update(BATCHES[0].clone().requires_grad_())
    assert not metric.compute().requires_grad


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_reset_forgets_every_image(reduction):
    metric = updated(PerceptualMetric(tiny_metric(), reduction))
    metric.reset()
    assert not metric.update_called
    metric.update(BATCHES[0])
    torch.testing.assert_close(metric.compute(), expected(tiny_metric()(BATCHES[0]), reduction))


@pytest.mark.parametrize("labels", [(), LABELS])
def test_a_value_before_any_image_warns_as_torchmetrics_does(labels):
    with pytest.warns(UserWarning, match=r"was called before the ``update`` method"):
        mean = PerceptualMetric(tiny_metric(labels=labels)).compute()
    with pytest.warns(UserWarning, match=r"was called before the ``update`` method"):
        scores = PerceptualMetric(tiny_metric(labels=labels), "none").compute()
    assert torch.stack(tensors_in(mean)).isnan().all()
    assert [tuple(tensor.shape) for tensor in tensors_in(scores)] == [(0,)] * max(1, len(labels))


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_direction_and_range_are_those_of_the_metric(higher_is_better):
    metric = PerceptualMetric(tiny_metric(higher_is_better=higher_is_better, lower=-2.0, upper=None))
    assert metric.higher_is_better is higher_is_better
    assert (metric.plot_lower_bound, metric.plot_upper_bound) == (-2.0, None)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_pickles_and_clones_go_on_by_themselves(reduction):
    metric = PerceptualMetric(tiny_metric(), reduction)
    metric(BATCHES[0])
    for copy in (pickle.loads(pickle.dumps(metric)), metric.clone()):
        copy.update(BATCHES[1])
        torch.testing.assert_close(copy.compute(), expected(tiny_metric()(torch.cat(BATCHES[:2])), reduction))
    torch.testing.assert_close(metric.compute(), expected(tiny_metric()(BATCHES[0]), reduction))


def test_clones_share_the_memory_of_the_weights_until_one_of_them_moves():
    metric = PerceptualMetric(tiny_metric())
    clone = metric.clone()
    pairs = list(zip(metric.metric.parameters(), clone.metric.parameters(), strict=True))
    assert all(one.data_ptr() == other.data_ptr() for one, other in pairs)
    clone.to("meta")
    assert {parameter.device.type for parameter in metric.metric.parameters()} == {"cpu"}
    metric.update(BATCHES[0])
    assert metric.compute().isfinite()


def test_a_clone_that_trains_leaves_the_others_alone():
    first = PerceptualMetric(tiny_metric())
    second, third = first.clone(), first.clone()
    expected = [metric.metric(BATCHES[0]) for metric in (first, second)]
    second.metric.head.requires_grad_(True)
    third.metric.requires_grad_(True)
    with torch.no_grad():
        for parameter in (*second.metric.head.parameters(), *third.metric.parameters()):
            parameter.add_(1.0)
    assert torch.equal(first.metric(BATCHES[0]), expected[0])
    assert not torch.equal(second.metric(BATCHES[0]), expected[1])


def test_the_weights_move_with_the_metric_but_are_no_part_of_a_model_around_it():
    model = torch.nn.ModuleDict({"net": torch.nn.Linear(2, 2), "quality": PerceptualMetric(tiny_metric())})
    assert not any(name.startswith("quality") for name in model.state_dict())
    assert len(list(model.parameters())) == 2
    model.load_state_dict(torch.nn.ModuleDict({"net": torch.nn.Linear(2, 2)}).state_dict())
    model.half()
    assert next(model["quality"].metric.parameters()).dtype == torch.float32
    model.to("meta")
    assert model["quality"].metric.device.type == "meta"
    assert model["quality"].device.type == model["quality"].score_sum.device.type == "meta"


def test_states_are_saved_where_that_is_asked_for():
    metric = updated(PerceptualMetric(tiny_metric()))
    metric.persistent(mode=True)
    state = metric.state_dict()
    assert set(state) == {"score_sum", "count", "identity"}
    other = PerceptualMetric(tiny_metric())
    other.load_state_dict(state)
    other.update(BATCHES[0])
    everything = torch.cat([ALL, BATCHES[0]])
    torch.testing.assert_close(other.compute(), expected(tiny_metric()(everything), "mean"))


def test_a_device_without_float64_gets_float32():
    metric = PerceptualMetric(tiny_metric())

    def refuse(tensor):
        if tensor.dtype == torch.float64:
            raise TypeError("no float64")
        return tensor

    updated(metric._apply(refuse))
    assert metric.score_sum.dtype == torch.float32
    torch.testing.assert_close(metric.compute(), expected(tiny_metric()(ALL), "mean"))
    metric.reset()
    assert metric.score_sum.dtype == torch.float32


def test_states_of_two_instances_merge():
    one, other = (PerceptualMetric(tiny_metric(), "none") for _ in range(2))
    one.update(BATCHES[0])
    other.update(BATCHES[1])
    one.merge_state(other)
    assert sorted(one.compute().tolist()) == pytest.approx(sorted(tiny_metric()(torch.cat(BATCHES[:2])).tolist()))


def test_a_collection_gives_each_metric_its_own_value():
    metrics = {
        "quality": PerceptualMetric(tiny_metric()),
        "scores": PerceptualMetric(tiny_metric(), "none"),
        "feelings": PerceptualMetric(tiny_metric(labels=LABELS)),
    }
    collection = MetricCollection(metrics, prefix="val_")
    for batch in BATCHES:
        collection.update(batch)
    values = collection.compute()
    assert set(values) == {"val_quality", "val_scores", *(f"val_{label}" for label in LABELS)}
    torch.testing.assert_close(values["val_quality"], expected(tiny_metric()(ALL), "mean"))
    torch.testing.assert_close(values["val_scores"], tiny_metric()(ALL))
    torch.testing.assert_close(values["val_fear"], tiny_metric(labels=LABELS)(ALL).mean(dim=0)[1])


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_metrics_that_agree_on_the_first_batch_stay_apart_in_a_collection(reduction):
    """torchmetrics takes metrics whose states are equal after one batch for the same metric."""
    one, other = tiny_metric(), tiny_metric()
    with torch.no_grad():
        other.encoder.linear.weight[:, 0] += 1.0  # red counts more, and the first image has that of the mean
    collection = MetricCollection(
        {"one": PerceptualMetric(one, reduction), "other": PerceptualMetric(other, reduction)}
    )
    images = torch.cat([torch.full((1, 3, 6, 5), MEAN[0]), ALL])
    for image in images.split(1):
        collection.update(image)
    torch.testing.assert_close(one(images[:1]), other(images[:1]), atol=1e-7, rtol=0)
    torch.testing.assert_close(collection.compute()["one"], expected(one(images), reduction))
    torch.testing.assert_close(collection.compute()["other"], expected(other(images), reduction))


@pytest.mark.parametrize("wrong", [ALL * 255, ALL * 2 - 1, ALL * float("nan")], ids=["0..255", "-1..1", "NaN"])
def test_values_that_are_no_pixels_are_refused_unless_that_is_switched_off(wrong):
    with pytest.raises(InvalidImageError):
        PerceptualMetric(tiny_metric()).update(wrong)
    with pytest.raises(InvalidImageError):
        PerceptualMetric(tiny_metric())([wrong[0]])
    PerceptualMetric(tiny_metric(), check_values=False).update(wrong)


@pytest.mark.parametrize("wrong", [ALL.mul(255).byte(), ALL[:, :1], ALL[0, 0], ALL[:0]])
def test_other_forms_of_images_are_refused(wrong):
    metric = PerceptualMetric(tiny_metric())
    with pytest.raises(InvalidImageError, match=r"Expected|no pixels"):
        metric.update(wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric": torch.nn.Linear(1, 1)}, "got Linear"),
        ({"metric": create_metric("lite_iqa", as_loss=True)}, "got PerceptualLoss"),
        ({"reduction": "sum"}, "reduction must be 'mean' or 'none', got 'sum'"),
        ({"label": "joy"}, "single score; leave label='joy' out"),
        ({"metric": tiny_metric(labels=LABELS), "label": "jyo"}, "Did you mean 'joy'"),
        ({"prompts": ("quality",)}, r"`prompts`.*Pass options of the wrapped metric to create_metric"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(InvalidOptionError, match=message):
        PerceptualMetric(**{"metric": tiny_metric(), **arguments})


def test_a_name_is_enough_and_options_of_torchmetrics_are_understood():
    metric = PerceptualMetric("lite_iqa", compute_on_cpu=True, sync_on_compute=False)
    images = torch.rand(2, 3, 48, 64, generator=GENERATOR)
    torch.testing.assert_close(metric(images), create_metric("lite_iqa")(images).mean())
    assert metric.compute_on_cpu
    assert not metric.sync_on_compute


@pytest.mark.parametrize("value", [None, "one", "several"])
@pytest.mark.parametrize("labels", [(), LABELS])
def test_plots(value, labels):
    from matplotlib import pyplot as plt

    metric = PerceptualMetric(tiny_metric(labels=labels))
    values = [metric(batch) for batch in BATCHES]
    figure, axes = metric.plot({None: None, "one": values[0], "several": values}[value])
    assert axes.get_ylabel() == "tiny"
    assert axes.get_ylim()[0] < 0
    assert axes.get_ylim()[1] > 1
    assert figure.axes == [axes]
    plt.close(figure)


def test_a_plot_without_matplotlib_names_the_extra(monkeypatch):
    import torchmetrics.utilities.plot

    monkeypatch.setattr(torchmetrics.utilities.plot, "_MATPLOTLIB_AVAILABLE", False)
    with pytest.raises(MissingExtraError, match=r"perceptmetrics\[plots\]"):
        updated(PerceptualMetric(tiny_metric())).plot()


def test_without_torchmetrics_the_extra_is_named(monkeypatch):
    import perceptmetrics.integrations.torchmetrics as module

    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    with pytest.raises(MissingExtraError, match=r"perceptmetrics\[torchmetrics\]"):
        runpy.run_path(module.__file__)
