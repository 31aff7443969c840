"""From the outputs of views to those of an image: mean, concatenation, regressor."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from perceptmetrics import create_metric
from perceptmetrics.errors import InvalidOptionError, WeightsError
from perceptmetrics.factory.options import apply_options
from perceptmetrics.metrics.clip_uiqa import CLIP_UIQA
from perceptmetrics.models.pool import Pool
from perceptmetrics.spec import PoolSpec, RegressorSpec

PAIRS = ["quality", "natural", "happy", "aesthetic", "new", "complexity", "scary"]  # CLIP-UIQA's


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def weights_of(pool, seed=1):
    return {name: random(*tensor.shape, seed=seed) for name, tensor in pool.state_dict().items()}


def by_hand(row, weights, slope=0.1):
    """The regressor's formula, number by number."""
    layers = sorted({int(name.split(".")[1]) for name in weights})
    for layer in layers:
        weight, bias = weights[f"regressor.{layer}.weight"], weights[f"regressor.{layer}.bias"]
        row = [
            sum(float(w) * x for w, x in zip(line, row, strict=True)) + float(b)
            for line, b in zip(weight, bias, strict=True)
        ]
        if layer != layers[-1]:
            row = [x if x > 0 else slope * x for x in row]
    return row


def test_the_mean_over_the_views():
    outputs = random(4, 3, 2)
    torch.testing.assert_close(Pool(PoolSpec())(outputs), outputs.sum(dim=1) / 3)
    assert not list(Pool(PoolSpec()).parameters())


@pytest.mark.parametrize("widths", [(2, 1), (2, 5, 4, 1), (2, 3, 2)])
@pytest.mark.parametrize("slope", [None, 0.3])
def test_the_regressor_is_its_formula(widths, slope):
    stated = {} if slope is None else {"negative_slope": slope}
    pool = Pool(PoolSpec(regressor=RegressorSpec(widths=widths, weights=None, **stated)))
    pool.load_state_dict(weights := weights_of(pool))
    outputs = random(4, 3, 2, seed=2)
    expected = [by_hand(row.mean(dim=0).tolist(), weights, slope or 0.1) for row in outputs]
    torch.testing.assert_close(pool(outputs), torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_views_are_concatenated_view_by_view():
    pool = Pool(PoolSpec(aggregation="concat", regressor=RegressorSpec(widths=(6, 1), weights=None)))
    pool.load_state_dict(weights := weights_of(pool))
    outputs = random(4, 3, 2, seed=2)
    expected = [by_hand([*view_0, *view_1, *view_2], weights) for view_0, view_1, view_2 in outputs.tolist()]
    torch.testing.assert_close(pool(outputs), torch.tensor(expected), rtol=1e-4, atol=1e-5)


# In a metric


def trained_file(path, inputs, seed=3, **more):
    pool = Pool(PoolSpec(regressor=RegressorSpec(widths=(inputs, 128, 128, 1), weights=None)))
    tensors = {f"head.{name}": 0.3 * tensor for name, tensor in weights_of(pool, seed).items()}
    save_file(tensors | more, path)
    return path


@pytest.mark.parametrize(("aggregation", "inputs"), [("mean", 7), ("concat", 21)])
def test_prompts_of_three_views_go_through_a_trained_regressor(tiny_clips, tmp_path, aggregation, inputs):
    trained = trained_file(tmp_path / "regressor.safetensors", inputs)
    metric = create_metric(
        "clip_uiqa",
        prompts=PAIRS,
        regressor=True,
        aggregation=aggregation,
        checkpoint=trained,
        backbone_checkpoint=tiny_clips,
    )
    assert metric.labels == ()
    assert metric.spec.pool.regressor.widths == (inputs, 128, 128, 1)
    plain = create_metric("clip_uiqa", prompts=PAIRS, backbone_checkpoint=tiny_clips)
    images = torch.rand(2, 3, 400, 420, generator=torch.Generator().manual_seed(0))
    outputs = [plain.head(features) for features in plain.encode(plain.views(images))]  # three views of (2, 7)
    inputs_of = {"mean": sum(outputs) / 3, "concat": torch.cat(outputs, dim=1)}[aggregation]
    weights = dict(metric.pool.state_dict())
    expected = torch.tensor([by_hand(row.tolist(), weights)[0] for row in inputs_of])
    torch.testing.assert_close(metric.score(images), expected, rtol=1e-4, atol=1e-5)


def test_a_regressor_without_a_published_file_must_be_given(tiny_clips):
    with pytest.raises(InvalidOptionError, match=r"No trained file is published .* Pass one as checkpoint="):
        create_metric("clip_uiqa", regressor=True, backbone_checkpoint=tiny_clips)


def test_a_regressor_of_another_size_is_refused(tiny_clips, tmp_path):
    trained = trained_file(tmp_path / "regressor.safetensors", 5)
    with pytest.raises(WeightsError, match=r"0\.weight has shape \(128, 5\), expected \(128, 1\)"):
        create_metric("clip_uiqa", regressor=True, checkpoint=trained, backbone_checkpoint=tiny_clips)


def test_learned_prompts_that_would_not_be_used_are_refused(tiny_clips, tmp_path):
    trained = trained_file(tmp_path / "regressor.safetensors", 1, **{"head.context": torch.zeros(16, 64)})
    with pytest.raises(WeightsError, match="holds learned prompts, but the metric has none"):
        create_metric("clip_uiqa", regressor=True, checkpoint=trained, backbone_checkpoint=tiny_clips)


def test_a_regressor_that_would_not_be_used_is_refused(tiny_clips, tmp_path):
    trained = trained_file(tmp_path / "both.safetensors", 1, **{"head.context": torch.zeros(16, 64)})
    with pytest.raises(WeightsError, match=r"unexpected 0\.bias, 0\.weight"):
        create_metric("clipiqa+", checkpoint=trained, backbone_checkpoint=tiny_clips)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"aggregation": "concat"}, "aggregation='concat' needs regressor=True"),
        ({"aggregation": "max"}, r"aggregation= must be one of \('mean', 'concat'\), got 'max'"),
        ({"prompt": "Good photo.", "regressor": True}, "regressor= goes with antonym prompts"),
    ],
)
def test_options_that_contradict_each_other_are_refused(tiny_clips, options, said):
    with pytest.raises(InvalidOptionError, match=said):
        create_metric("clip_uiqa", weights=None, **options)


def test_averaged_pairs_are_one_input():
    changed = apply_options(CLIP_UIQA, {"prompts": "pyiqa", "regressor": True, "aggregation": "concat"})
    assert changed.pool.regressor.widths == (3, 128, 128, 1)


def test_a_metric_with_one_view_has_nothing_to_aggregate(tiny_clips):
    with pytest.raises(InvalidOptionError, match="'clipiqa' has no option 'aggregation'"):
        create_metric("clipiqa", weights=None, aggregation="mean")


def test_regressor_opens_the_range_and_leaves_one_score():
    changed = apply_options(CLIP_UIQA, {"regressor": True})
    assert (changed.score.labels, changed.score.strict_range) == ((), False)
    with pytest.raises(InvalidOptionError, match=r"^regressor= must be True or False, got 'yes'\.$"):
        apply_options(CLIP_UIQA, {"regressor": "yes"})
