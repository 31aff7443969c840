"""Programs give the metric's scores, at sizes and batches that they were not checked with when they were written."""

from __future__ import annotations

import json

import onnx
import pytest
import torch

from perceptmetrics.errors import InvalidOptionError, WeightsError
from perceptmetrics.export.programs import METADATA_FILE, TOLERANCES, checks, export_onnx, export_pt2
from perceptmetrics.models.lora import attach_lora, has_lora
from perceptmetrics.spec import LoraSpec
from perceptmetrics.spec.json import spec_from_json
from tests.portable.runs import largest_difference, load_onnx, load_pt2, run_onnx, run_pt2
from tests.support import adapted_encoders
from tests.support.photographs import photographs
from tests.support.registered_metrics import build

# Above and below the limit of 1280 pixels, odd, square, a tie of the rounding (1441 * 1280 / 2560), the smallest.
SIZES = [(1, 1441, 2560), (2, 333, 333), (3, 97, 640), (1, 32, 33), (1, 1300, 64)]
SLOW = ["clipiqa", "clipiqa+_rn50_512", "perceptclip_mem", "perceptclip_emo", "clip_uiqa"]
CLIP_SIZES = [(2, 224, 224), (1, 448, 600), (2, 65, 97)]


@pytest.fixture(scope="module")
def lite_programs(lite_onnx, lite_pt2):
    return {"onnx": load_onnx(lite_onnx.path), "pt2": load_pt2(lite_pt2.path)}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("form", ["onnx", "pt2"])
def test_lite_iqa_is_the_same_program_at_every_size(lite, lite_programs, form, size):
    count, height, width = size
    images = photographs(height, width)[:count]
    assert largest_difference(lite, lite_programs[form](images), images) < 1e-4


@pytest.mark.parametrize("name", ["perceptclip_iqa", *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)])
def test_clip_metrics_are_the_same_programs_at_every_size(name, tmp_path):
    metric = build(name)
    checked = export_onnx(metric, tmp_path / "metric.onnx")
    assert checked.largest_difference < 1e-4 * metric.spec.score.span
    for count, height, width in CLIP_SIZES:
        images = photographs(height, width)[:count]
        assert largest_difference(metric, run_onnx(checked.path, images), images) < 1e-4


@pytest.mark.parametrize("name", ["clipiqa+_vitL14_512", *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)])
def test_clip_metrics_are_the_same_pt2_programs_at_every_size(name, tmp_path):
    metric = build(name)
    checked = export_pt2(metric, tmp_path / "metric.pt2")
    for count, height, width in CLIP_SIZES:
        images = photographs(height, width)[:count]
        assert largest_difference(metric, run_pt2(checked.path, images), images) < 1e-4


def test_a_program_of_a_fixed_size_takes_any_number_of_images_of_that_size_alone(tmp_path):
    metric = build("clipiqa", positional_embedding="keep")
    with pytest.raises(InvalidOptionError, match="--size HEIGHTxWIDTH"):
        export_onnx(metric, tmp_path / "metric.onnx")
    assert not list(tmp_path.iterdir())
    checked = export_onnx(metric, tmp_path / "metric.onnx", size=(96, 96))
    for count in (1, 5):
        images = photographs(96, 96)[:count]
        assert largest_difference(metric, run_onnx(checked.path, images), images) < 1e-4
    with pytest.raises(Exception, match="Got invalid dimensions"):
        run_onnx(checked.path, photographs(96, 97))
    with pytest.raises(InvalidOptionError, match="96 x 128 pixels: positional_embedding='keep'"):
        export_onnx(metric, tmp_path / "other.onnx", size=(96, 128))


def test_adapters_are_merged_for_the_program_and_stay_apart_in_the_metric(tmp_path):
    metric = build("perceptclip_mem")
    images = photographs(230, 240)[:2]
    without = metric(images).detach()
    attach_lora(metric.encoder, LoraSpec(rank=2, alpha=4.0, dropout=0.0, targets=("q", "v")))
    adapted_encoders.switch_on(metric.encoder)
    assert float((metric(images).detach() - without).abs().max()) > 1e-3
    checked = export_onnx(metric, tmp_path / "metric.onnx", size=(230, 240))
    assert has_lora(metric)
    assert not any(getattr(module, "merged", False) for module in metric.modules())
    assert largest_difference(metric, run_onnx(checked.path, images), images) < 1e-4
    assert not [i.name for i in onnx.load(checked.path).graph.initializer if "adapters" in i.name]


def test_a_program_says_what_it_is(lite, lite_onnx, lite_pt2):
    model = onnx.load(lite_onnx.path)
    stated = {entry.key.removeprefix("perceptmetrics."): entry.value for entry in model.metadata_props}
    inside = {METADATA_FILE: ""}
    torch.export.load(lite_pt2.path, extra_files=inside)
    assert json.loads(inside[METADATA_FILE]) == stated
    assert (stated["metric"], stated["range"], stated["higher_is_better"]) == ("lite_iqa", "0 to 1", "true")
    assert stated["licence"] == lite.spec.card.licence
    assert "H and W from 32" in stated["input"]
    assert spec_from_json(stated["spec"]) == lite.spec
    dimensions = [side.dim_param or side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim]
    assert dimensions == ["batch", 3, "height", "width"]
    assert [output.name for output in model.graph.output] == ["scores"]


def test_a_program_holds_no_path_of_the_machine_that_wrote_it(lite_onnx, lite_pt2):
    here = str(checks.__file__).rpartition("/")[0].encode()
    assert here not in lite_onnx.path.read_bytes()
    assert here not in lite_pt2.path.read_bytes()


def test_labels_are_named_in_order(tmp_path):
    metric = build("perceptclip_emo")
    checked = export_onnx(metric, tmp_path / "emotion.onnx", size=(224, 224))
    stated = {entry.key: entry.value for entry in onnx.load(checked.path).metadata_props}
    assert json.loads(stated["perceptmetrics.labels"]) == list(metric.labels)
    assert stated["perceptmetrics.output"] == "float32, shape (N, 8): one score per label"


def test_a_program_that_scores_otherwise_is_not_left_behind(tmp_path, monkeypatch):
    metric = build("perceptclip_mem")
    monkeypatch.setitem(TOLERANCES, "float32", 0.0)
    monkeypatch.setattr(
        type(metric),
        "forward_batch",
        lambda self, images, _=None: self.forward_features(self.encode(self.views(images)), len(images)) + 1,
    )
    with pytest.raises(WeightsError, match="Nothing was written"):
        export_onnx(metric, tmp_path / "metric.onnx", size=(224, 224))
    with pytest.raises(WeightsError, match="Nothing was written"):
        export_pt2(metric, tmp_path / "metric.pt2", size=(224, 224))
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_is_refused(tmp_path, lite):
    (tmp_path / "there.onnx").write_text("something")
    for path, options, message in (
        ("there.onnx", {}, "already exists"),
        ("metric.pt", {}, r"ends in \.onnx"),
        ("metric.onnx", {"opset": 17}, "opset must be from 18"),
        ("metric.onnx", {"precision": "int4"}, "float32, int8, got 'int4'"),
        ("metric.onnx", {"precision": "int8"}, "--calibration FOLDER"),
        ("metric.onnx", {"calibration": [torch.rand(3, 64, 64)]}, "Leave --calibration"),
        ("metric.onnx", {"size": (16, 16)}, "at least 32 x 32"),
    ):
        with pytest.raises(InvalidOptionError, match=message):
            export_onnx(lite, tmp_path / path, **options)
    assert [file.name for file in tmp_path.iterdir()] == ["there.onnx"]
