"""lite_iqa as programs for images of any size, which take seconds to trace."""

from __future__ import annotations

import pytest

from perceptmetrics import Metric, create_metric
from perceptmetrics.export.programs import CheckedProgram, export_onnx, export_pt2


@pytest.fixture(scope="session")
def lite() -> Metric:
    return create_metric("lite_iqa")


@pytest.fixture(scope="session")
def lite_onnx(lite: Metric, tmp_path_factory: pytest.TempPathFactory) -> CheckedProgram:
    return export_onnx(lite, tmp_path_factory.mktemp("onnx") / "lite_iqa.onnx")


@pytest.fixture(scope="session")
def lite_pt2(lite: Metric, tmp_path_factory: pytest.TempPathFactory) -> CheckedProgram:
    return export_pt2(lite, tmp_path_factory.mktemp("pt2") / "lite_iqa.pt2")
