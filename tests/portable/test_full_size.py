"""The published sizes, with random weights: seconds of tracing become minutes, and files gigabytes."""

from __future__ import annotations

import pytest

from perceptmetrics import create_metric
from perceptmetrics.export.programs import export_onnx
from tests.portable.runs import largest_difference, run_onnx
from tests.support.full_size_perceptclip import MEMORABILITY, released_state, write_released
from tests.support.photographs import photographs

pytestmark = pytest.mark.slow


def test_vit_l14_is_one_file_that_scores_as_the_metric_does(tmp_path):
    write_released(tmp_path / "memorability.pth", released_state(*MEMORABILITY))
    metric = create_metric("perceptclip_mem", checkpoint=tmp_path / "memorability.pth")
    checked = export_onnx(metric, tmp_path / "program" / "memorability.onnx")
    assert [file.name for file in (tmp_path / "program").iterdir()] == ["memorability.onnx"]
    assert 1.1e9 < checked.bytes < 1.4e9
    images = photographs(300, 400)[:2]
    scores = run_onnx(checked.path, images)
    assert abs(float(scores[0] - scores[1])) > 0.05
    assert largest_difference(metric, scores, images) < 1e-4
