"""A metric is exported whole, checked, or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from perceptmetrics import create_metric
from perceptmetrics.errors import InvalidOptionError, WeightsError
from perceptmetrics.export.collect import trained_weights_of
from perceptmetrics.export.write import export_metric
from perceptmetrics.factory.folder import largest_deviation
from perceptmetrics.spec import IdentityMap
from tests.support.every_encoder import VIT, assembled, timm_network, timm_spec, with_head, write
from tests.support.photographs import photographs

pytestmark = pytest.mark.usefixtures("cache")

FILES = {"config.json", "spec.json", "model.safetensors", "golden.safetensors", "README.md"}


@pytest.fixture
def encoder(tmp_path):
    return write(timm_network(VIT), tmp_path / "encoder.safetensors")


@pytest.fixture
def metric(encoder):
    return assembled(with_head(timm_spec(VIT, "pooled"), side=64), encoder)


def export(metric, folder, encoder, **options):
    weights = trained_weights_of(metric)
    given = {"spec": metric.spec, "weights": weights, "encoder": encoder, "card": "A card.\n"}
    return export_metric(metric, folder, **given | options)


def names_in(folder):
    return {path.name for path in folder.iterdir()}


def test_what_is_exported_is_the_metric(tmp_path, metric, encoder):
    images = photographs(80, 96)[:2]
    extra = {"recipe.yaml": "lr: 1\n", "report.html": b"<html>"}
    assert export(metric, tmp_path / "out", encoder, extra_files=extra) == 0
    assert names_in(tmp_path / "out") == FILES | extra.keys()
    again = create_metric(tmp_path / "out", backbone_checkpoint=encoder)
    assert torch.equal(again(images), metric(images))
    assert largest_deviation(tmp_path / "out", again) == 0
    assert (tmp_path / "out" / "README.md").read_text() == "A card.\n"
    assert (tmp_path / "out" / "report.html").read_bytes() == b"<html>"


def test_golden_scores_are_those_of_the_evaluated_metric(tmp_path, encoder):
    spec = with_head(timm_spec(VIT, "pooled"), side=64)
    metric = assembled(replace(spec, head=replace(spec.head, dropout=0.9)), encoder)
    metric.head.requires_grad_(True)
    metric.train()
    frozen = [module for module in metric.modules() if not module.training]
    assert export(metric, tmp_path / "out", encoder) == 0
    assert metric.head.training
    assert [module for module in metric.modules() if not module.training] == frozen
    assert all(parameter.requires_grad for parameter in metric.head.parameters())


def test_a_copy_that_scores_otherwise_is_not_left_behind(tmp_path, metric, encoder):
    weights = trained_weights_of(metric)
    with torch.no_grad():
        metric.head.layers[-1].bias += 1
    with pytest.raises(WeightsError, match="'tiny' does not reproduce the original's scores"):
        export(metric, tmp_path / "out", encoder, weights=weights)
    assert names_in(tmp_path) == {"encoder.safetensors", "cache"}


def test_a_score_that_is_no_number_is_refused(tmp_path, metric, encoder):
    nn.init.constant_(metric.head.layers[-1].bias, float("nan"))
    with pytest.raises(WeightsError, match=r"does not reproduce the original's scores \(largest difference nan"):
        export(metric, tmp_path / "out", encoder)


def test_the_tolerance_is_a_share_of_the_range(tmp_path, metric, encoder):
    weights = trained_weights_of(metric)
    wide = replace(
        metric.spec, score=replace(metric.spec.score, map=IdentityMap(), lower=0.0, upper=1e6, strict_range=False)
    )
    metric.spec = wide
    with torch.no_grad():
        metric.head.layers[-1].bias += 1
    assert export(metric, tmp_path / "wide", encoder, weights=weights, spec=wide) == pytest.approx(1)
    narrow = replace(wide, score=replace(wide.score, upper=1e4))
    with pytest.raises(WeightsError, match="does not reproduce"):
        export(metric, tmp_path / "narrow", encoder, weights=weights, spec=narrow)


# What lies there already


def test_an_exported_metric_is_replaced_only_when_asked(tmp_path, metric, encoder):
    export(metric, tmp_path / "out", encoder, extra_files={"recipe.yaml": "old"})
    with pytest.raises(InvalidOptionError, match="already exists"):
        export(metric, tmp_path / "out", encoder)
    export(metric, tmp_path / "out", encoder, overwrite=True)
    assert names_in(tmp_path / "out") == FILES


def test_other_things_are_never_replaced(tmp_path, metric, encoder):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "metrics.jsonl").write_text("{}")
    with pytest.raises(InvalidOptionError, match=r"more than an exported metric \(metrics\.jsonl\)"):
        export(metric, tmp_path / "out", encoder, overwrite=True)
    with pytest.raises(InvalidOptionError, match="is a file"):
        export(metric, encoder, encoder)


def test_a_run_keeps_its_own_files(tmp_path, metric, encoder):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "metrics.jsonl").write_text("{}")
    export(metric, run, encoder, keep_others=True)
    assert names_in(run) == FILES | {"checkpoints", "metrics.jsonl"}
    assert create_metric(run, backbone_checkpoint=encoder).spec == metric.spec
    with pytest.raises(InvalidOptionError, match="already exists"):
        export(metric, run, encoder, keep_others=True)
    export(metric, run, encoder, keep_others=True, overwrite=True)


def test_a_failed_export_leaves_a_run_as_it_was(tmp_path, metric, encoder):
    run = tmp_path / "run"
    export(metric, run, encoder, keep_others=True)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    weights = trained_weights_of(metric)
    with torch.no_grad():
        metric.head.layers[-1].bias += 1
    with pytest.raises(WeightsError, match="does not reproduce"):
        export(metric, run, encoder, weights=weights, keep_others=True, overwrite=True)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_an_interrupted_replacement_is_no_metric(tmp_path, metric, encoder, monkeypatch):
    run = tmp_path / "run"
    export(metric, run, encoder, keep_others=True)
    replace_file = type(run).replace

    def interrupted(path, target):
        if path.name == "model.safetensors":
            raise OSError("no space left")
        return replace_file(path, target)

    monkeypatch.setattr(type(run), "replace", interrupted)
    with pytest.raises(OSError, match="no space left"):
        export(metric, run, encoder, keep_others=True, overwrite=True)
    with pytest.raises(WeightsError, match=r"no exported metric: spec\.json missing"):
        create_metric(run, backbone_checkpoint=encoder)
