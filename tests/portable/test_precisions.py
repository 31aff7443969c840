"""Smaller and faster programs drift, and by how much is known."""

from __future__ import annotations

import logging

import numpy as np
import onnx
import pytest

from perceptmetrics.export.programs import export_onnx
from tests.portable.runs import largest_difference, run_onnx
from tests.support.photographs import photographs
from tests.support.registered_metrics import build


@pytest.fixture(autouse=True)
def untouched_root_logger():
    """onnxruntime's tools warn by the root logger, which then gets a handler; libraries leave it alone."""
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    records = []
    root.addFilter(lambda record: records.append(record) or True)
    yield
    root.filters.pop()
    assert (root.level, list(root.handlers)) == before
    assert records == []


def test_int8_quantises_the_linear_layers_of_a_transformer_and_not_the_head(tmp_path):
    metric = build("perceptclip_mem")
    checked = export_onnx(metric, tmp_path / "int8.onnx", size=(250, 300), precision="int8")
    operators = [node.op_type for node in onnx.load(checked.path).graph.node]
    assert operators.count("MatMulInteger") == 4 * 3  # four linear layers in each of three blocks
    assert operators.count("MatMul") >= 3  # of the head
    images = photographs(250, 300)
    assert 0 < largest_difference(metric, run_onnx(checked.path, images), images) < 0.05


def test_int8_quantises_convolutions_by_the_images_it_is_given(lite, tmp_path):
    images = photographs(192, 256)
    checked = export_onnx(lite, tmp_path / "int8.onnx", size=(192, 256), precision="int8", calibration=list(images))
    model = onnx.load(checked.path)
    quantised = [i for i in model.graph.initializer if i.data_type == onnx.TensorProto.INT8 and len(i.dims) == 4]
    assert len(quantised) > 20
    assert all(i.dims[1] > 1 for i in quantised)  # none over single channels
    drift = np.abs(run_onnx(checked.path, images).numpy() - lite(images).numpy())
    assert 0 < drift.mean() < 0.05
