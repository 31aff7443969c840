"""Kinds from outside: registered once, refused twice, and an unknown one is answered with what to do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from typing import ClassVar

import pytest

import perceptmetrics
from perceptmetrics import create_metric, metric_info
from perceptmetrics.datasets import DatasetInfo, list_datasets, registry
from perceptmetrics.errors import DatasetError, InvalidSpecError
from perceptmetrics.models.heads import MlpHead
from perceptmetrics.models.views import Crops
from perceptmetrics.spec import CropsView, WholeView
from perceptmetrics.spec import kinds as spec_kinds
from perceptmetrics.spec.heads import HEADS, HeadSpec
from perceptmetrics.spec.views import VIEWS
from tests.external.liqe import LevelHead, StridedPatches
from tests.support.registered_metrics import temporary_metrics


def test_a_kind_is_registered_once():
    with pytest.raises(InvalidSpecError, match=r"A view of kind 'crops' is registered already \(perceptmetrics"):
        perceptmetrics.register_view(Crops)
    with pytest.raises(InvalidSpecError, match="A head of kind 'mlp' is registered already"):
        perceptmetrics.register_head(MlpHead)
    perceptmetrics.register_head(MlpHead, replace=True)


@pytest.mark.parametrize("builder", [object(), Crops, "MlpHead"])
def test_what_is_no_head_is_refused_and_changes_nothing(builder):
    before = HEADS.kinds()
    with pytest.raises(InvalidSpecError, match="A head to register needs an attribute spec_class"):
        perceptmetrics.register_head(builder)
    assert HEADS.kinds() == before


def test_a_specification_that_nothing_builds_says_what_to_do():
    @dataclass(frozen=True, kw_only=True)
    class Nameless(HeadSpec):
        kind: ClassVar[str] = "nameless"

        @property
        def outputs(self):
            return 1

    with pytest.raises(InvalidSpecError, match=r"Nothing builds the head Nameless\. Register .*register_head"):
        HEADS.builder_of(Nameless())


def test_kinds_come_by_entry_points(monkeypatch):
    entry = EntryPoint("liqe", "tests.external.liqe:StridedPatches", VIEWS.group)
    broken = EntryPoint("broken", "tests.external.liqe:nothing", VIEWS.group)
    monkeypatch.setattr(spec_kinds, "entry_points", lambda group: [broken, entry] if group == VIEWS.group else [])
    monkeypatch.setattr(VIEWS, "_entry_points_read", False)
    try:
        assert VIEWS.spec_class("strided_patches") is StridedPatches.spec_class
    finally:
        VIEWS.unregister("strided_patches")


def test_data_sets_come_by_registration():
    class Own:
        INFO = DatasetInfo(
            name="own",
            title="Own",
            task="quality",
            paper="none",
            licence="none",
            obtain="none",
            scale="0..1",
            splits="-",
        )

        @staticmethod
        def read(root, missing):
            raise DatasetError(f"{root} was read.")

    perceptmetrics.register_dataset(Own)
    try:
        assert "own" in list_datasets()
        with pytest.raises(DatasetError, match="x was read"):
            perceptmetrics.load_dataset("own", "x")
        with pytest.raises(DatasetError, match="'own' is registered already"):
            perceptmetrics.register_dataset(Own)
    finally:
        del registry._MODULES["own"]
    with pytest.raises(DatasetError, match="needs INFO"):
        perceptmetrics.register_dataset(object())


def test_the_views_of_a_metric_are_counted_in_one_place():
    uiqa = metric_info("clip_uiqa")
    crops = CropsView(height=256, width=256, size=224, count=4)
    mine = replace(uiqa, name="mine", views=replace(uiqa.views, views=(WholeView(), crops)))
    with temporary_metrics(mine):
        metric = create_metric("mine", weights=None, backbone="RN50", aggregation="concat", regressor=True)
    assert metric.spec.pool.regressor.widths[0] == 5
    assert LevelHead.spec_class.kind == "levels"
