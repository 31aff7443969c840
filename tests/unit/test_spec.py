"""A specification that is incomplete or contradicts itself does not construct."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from perceptmetrics.errors import InvalidSpecError
from perceptmetrics.metrics import BUILTIN_SPECS
from perceptmetrics.metrics.clip_uiqa import CLIP_UIQA
from perceptmetrics.metrics.clipiqa import CLIPIQA, CLIPIQA_PLUS
from perceptmetrics.metrics.lite import LITE_IQA
from perceptmetrics.spec import (
    AffineMap,
    AntonymHeadSpec,
    CardSpec,
    CentreCropView,
    ClipEncoderSpec,
    ContextSpec,
    CosineHeadSpec,
    CropsView,
    FragmentsView,
    HubFile,
    LoraSpec,
    MetricSpec,
    MlpHeadSpec,
    PackageFile,
    PoolSpec,
    PromptPair,
    RegressorSpec,
    SalientView,
    ScoreSpec,
    SoftmaxMap,
    TimmEncoderSpec,
    ViewsSpec,
    WholeView,
)

FILE = HubFile(repo="organisation/name", filename="model.safetensors", revision="main")
QUALITY = PromptPair(name="quality", positive="Good photo.", negative="Bad photo.")
SHARP = PromptPair(name="sharpness", positive="Sharp photo.", negative="Blurry photo.")
CONTEXT = ContextSpec(length=16, weights=None)
REGRESSOR = RegressorSpec(widths=(1, 8, 1), weights=None)

# A complete set of required fields of every part.
COMPLETE = {
    HubFile: {"repo": "organisation/name", "filename": "model.safetensors", "revision": "main"},
    PackageFile: {"package": "package", "filename": "folder/file.pth"},
    ClipEncoderSpec: {
        "architecture": "RN50",
        "quick_gelu": True,
        "weights": FILE,
        "positional_embedding": "drop",
    },
    TimmEncoderSpec: {
        "architecture": "resnet18",
        "quick_gelu": False,
        "weights": FILE,
        "features": "stages",
    },
    AffineMap: {"scale": 2.0, "shift": 1.0},
    LoraSpec: {"rank": 16, "alpha": 8.0},
    WholeView: {},
    CentreCropView: {"size": 224},
    CropsView: {"height": 512, "width": 384, "size": 224, "count": 15},
    SalientView: {"size": 448},
    FragmentsView: {"grid": 12, "cell": 32},
    ViewsSpec: {"views": (WholeView(),), "mean": (0.5, 0.5, 0.5), "std": (0.2, 0.2, 0.2)},
    PromptPair: {"name": "quality", "positive": "Good photo.", "negative": "Bad photo."},
    AntonymHeadSpec: {"pairs": (QUALITY,)},
    ContextSpec: {"length": 16, "weights": FILE},
    CosineHeadSpec: {"prompt": "Good photo."},
    MlpHeadSpec: {"widths": (4, 1), "weights": FILE},
    RegressorSpec: {"widths": (7, 128, 128, 1), "weights": FILE},
    PoolSpec: {},
    ScoreSpec: {"lower": 0.0, "upper": 1.0, "higher_is_better": True},
    CardSpec: {"summary": "Summary.", "paper": "Paper", "paper_url": "https://example.org", "licence": "MIT"},
    MetricSpec: {
        field.name: getattr(CLIPIQA, field.name)
        for field in dataclasses.fields(MetricSpec)
        if field.name not in ("pool", "interval")
    },
}

# A network of timm must state its features, a CLIP has none.
REQUIRED = [(part, field) for part, fields in COMPLETE.items() for field in fields if field != "features"]

INVALID = [
    (HubFile, {"repo": ""}, "HubFile.repo must be stated"),
    (HubFile, {"repo": "name"}, "HubFile.repo must read 'organisation/name', got 'name'"),
    (HubFile, {"repo": "a/b/c"}, "HubFile.repo must read 'organisation/name'"),
    (HubFile, {"filename": " "}, "HubFile.filename must be stated, got ' '"),
    (HubFile, {"revision": ""}, "HubFile.revision must be stated"),
    (HubFile, {"sha256": "ABC"}, "HubFile.sha256 must be 64 lower-case hexadecimal digits"),
    (HubFile, {"sha256": "A" * 64}, "HubFile.sha256 must be 64 lower-case hexadecimal digits"),
    (PackageFile, {"package": ""}, "PackageFile.package must be stated"),
    (PackageFile, {"filename": ""}, "PackageFile.filename must be stated"),
    (PackageFile, {"sha256": "0" * 63}, "PackageFile.sha256 must be 64"),
    (ClipEncoderSpec, {"architecture": ""}, "ClipEncoderSpec.architecture must be stated"),
    (TimmEncoderSpec, {"quick_gelu": None}, "TimmEncoderSpec.quick_gelu must be stated as True or False, got None"),
    (ClipEncoderSpec, {"positional_embedding": None}, r"must be one of \('drop', .*\), got None"),
    (ClipEncoderSpec, {"positional_embedding": "shift"}, "got 'shift'"),
    (TimmEncoderSpec, {"features": None}, r"features must be one of \('stages', 'blocks', 'pooled'\), got None"),
    (TimmEncoderSpec, {"lora": LoraSpec(rank=16, alpha=8.0)}, "lora needs a vision transformer"),
    (LoraSpec, {"rank": 0}, "LoraSpec.rank must be positive, got 0"),
    (LoraSpec, {"alpha": -8.0}, "LoraSpec.alpha must be positive, got -8.0"),
    (LoraSpec, {"dropout": 1.0}, r"LoraSpec.dropout must be in \[0, 1\), got 1.0"),
    (LoraSpec, {"dropout": -0.1}, r"LoraSpec.dropout must be in \[0, 1\), got -0.1"),
    (LoraSpec, {"targets": ()}, r"targets must name some of \('q', 'k', 'v'\), in this order, got \(\)"),
    (LoraSpec, {"targets": ("v", "q")}, r"in this order, got \('v', 'q'\)"),
    (LoraSpec, {"targets": ("q", "o")}, r"targets must name some of .* got \('q', 'o'\)"),
    (WholeView, {"max_long_side": 0}, "max_long_side must be a positive number of pixels or None, got 0"),
    (WholeView, {"max_long_side": -3}, "got -3"),
    (CentreCropView, {"size": 0}, "CentreCropView.size must be a positive number of pixels, got 0"),
    (CropsView, {"size": 385}, "CropsView.size must be positive and fit into 512 x 384, got 385"),
    (CropsView, {"size": 0}, "CropsView.size must be positive"),
    (CropsView, {"count": 0}, "CropsView.count must be positive, got 0"),
    (CropsView, {"mode": "spiral"}, "CropsView.mode must be 'random' or 'grid', got 'spiral'"),
    (ViewsSpec, {"views": ()}, "ViewsSpec.views needs at least one view"),
    (ViewsSpec, {"mean": (0.5, 0.5)}, r"ViewsSpec.mean needs three numbers \(R, G, B\), got \(0.5, 0.5\)"),
    (ViewsSpec, {"std": (0.5,) * 4}, "ViewsSpec.std needs three numbers"),
    (ViewsSpec, {"std": (0.5, 0.5, 0.0)}, "ViewsSpec.std must be positive"),
    (PromptPair, {"name": ""}, "PromptPair.name must be stated"),
    (PromptPair, {"positive": "  "}, "PromptPair.positive must be stated"),
    (PromptPair, {"negative": "Good photo. "}, "The prompts of the pair 'quality' are identical"),
    (AntonymHeadSpec, {"pairs": ()}, "AntonymHeadSpec.pairs needs at least one pair"),
    (AntonymHeadSpec, {"pairs": (QUALITY, SHARP, QUALITY)}, r"names \['quality'\] more than once"),
    (ContextSpec, {"length": 0}, "ContextSpec.length must be positive, got 0"),
    (ContextSpec, {"position": "front"}, "ContextSpec.position must be 'middle' or 'end', got 'front'"),
    (CosineHeadSpec, {"prompt": " "}, "CosineHeadSpec.prompt must be stated"),
    (RegressorSpec, {"widths": (7,)}, "RegressorSpec.widths needs at least an input and an output size"),
    (RegressorSpec, {"widths": (7, 0, 1)}, r"all positive; got \(7, 0, 1\)"),
    (PoolSpec, {"aggregation": "max"}, "PoolSpec.aggregation must be 'mean' or 'concat', got 'max'"),
    (PoolSpec, {"aggregation": "concat"}, "'concat' needs a regressor that reads the views side by side"),
    (SalientView, {"size": 0}, "SalientView.size must be a positive number of pixels, got 0"),
    (FragmentsView, {"grid": 0}, "FragmentsView.grid and cell must be positive, got 0 and 32"),
    (FragmentsView, {"cell": -1}, "got 12 and -1"),
    (MlpHeadSpec, {"widths": (4,)}, "widths needs at least an input and an output size"),
    (MlpHeadSpec, {"widths": (4, 0, 1)}, r"all positive; got \(4, 0, 1\)"),
    (MlpHeadSpec, {"activation": "tanh"}, r"activation must be one of \('relu', 'gelu', 'none'\), got 'tanh'"),
    (MlpHeadSpec, {"feature_map": "log"}, r"feature_map must be one of .*'signed_log', 'l2'\), got 'log'"),
    (MlpHeadSpec, {"dropout": 1.0}, r"MlpHeadSpec.dropout must be in \[0, 1\), got 1.0"),
    (ScoreSpec, {"higher_is_better": None}, "higher_is_better must be stated as True or False, got None"),
    (ScoreSpec, {"higher_is_better": 1}, "must be stated as True or False, got 1"),
    (ScoreSpec, {"lower": 1.0}, "lower must be below ScoreSpec.upper, got 1.0 and 1.0"),
    (ScoreSpec, {"lower": float("nan")}, "lower must be below ScoreSpec.upper, got nan and 1.0"),
    (ScoreSpec, {"map": "tanh"}, "map must be a ScoreMap, got 'tanh'"),
    (ScoreSpec, {"map": SoftmaxMap()}, "'softmax' needs several labels"),
    (ScoreSpec, {"positive_labels": ("awe",)}, r"positive_labels must be among the labels, got \('awe',\)"),
    (ScoreSpec, {"labels": ("a", "b", "a")}, r"labels repeat: \('a', 'b', 'a'\)"),
    (CardSpec, {"summary": ""}, "CardSpec.summary must be stated"),
    (CardSpec, {"paper": ""}, "CardSpec.paper must be stated"),
    (CardSpec, {"paper_url": ""}, "CardSpec.paper_url must be stated"),
    (CardSpec, {"licence": "\n"}, "CardSpec.licence must be stated"),
    (MetricSpec, {"name": "my metric"}, "name must consist of letters, digits and .* got 'my metric'"),
    (MetricSpec, {"name": "../x"}, "name must consist of"),
    (
        MetricSpec,
        {"task": "beauty"},
        "task must be one of quality, aesthetics, memorability, .*, preference, got 'beauty'",
    ),
    (MetricSpec, {"head": MlpHeadSpec(widths=(1024, 2), weights=FILE)}, "2 outputs, but the score names 0 labels"),
    (MetricSpec, {"encoder": LITE_IQA.encoder}, "needs the encoder of a CLIP, got one of kind 'timm'"),
    (MetricSpec, {"pool": PoolSpec(regressor=RegressorSpec(widths=(3, 1), weights=None))}, "takes 3 values, .* give 1"),
    (
        MetricSpec,
        {"pool": PoolSpec(regressor=RegressorSpec(widths=(1, 2), weights=None))},
        "2 outputs, but .* 0 labels",
    ),
    (
        MetricSpec,
        {"encoder": dataclasses.replace(CLIPIQA.encoder, lora=LoraSpec(rank=16, alpha=8.0))},
        "and this metric has prompts",
    ),
    (MetricSpec, {"head": CosineHeadSpec(prompt="a"), "encoder": LITE_IQA.encoder}, "needs the encoder of a CLIP"),
]


@pytest.mark.parametrize("part", COMPLETE)
def test_the_required_fields_suffice(part):
    assert part(**COMPLETE[part]) == part(**COMPLETE[part])


@pytest.mark.parametrize(("part", "field"), REQUIRED)
def test_no_required_field_has_a_default(part, field):
    incomplete = {name: value for name, value in COMPLETE[part].items() if name != field}
    with pytest.raises(TypeError, match=f"missing 1 required keyword-only argument: '{field}'"):
        part(**incomplete)


@pytest.mark.parametrize(
    ("part", "change", "message"), INVALID, ids=[f"{part.__name__}-{change}" for part, change, _ in INVALID]
)
def test_invalid_values_have_their_message(part, change, message):
    with pytest.raises(InvalidSpecError, match=message):
        part(**COMPLETE[part] | change)


@pytest.mark.parametrize("part", COMPLETE)
def test_parts_are_immutable_and_named(part):
    made = part(**COMPLETE[part])
    name = dataclasses.fields(part)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, name, None)
    with pytest.raises(TypeError, match="positional argument"):
        part("positional")


@pytest.mark.parametrize(("lower", "upper"), [(None, 1.0), (0.0, None), (None, None), (-5.0, 5.0)])
def test_a_range_may_be_open(lower, upper):
    score = ScoreSpec(lower=lower, upper=upper, higher_is_better=False)
    assert (score.lower, score.upper) == (lower, upper)


def test_averaged_pairs_have_no_labels():
    average = AntonymHeadSpec(pairs=(QUALITY, SHARP), average=True)
    assert dataclasses.replace(CLIPIQA, head=average).score.labels == ()
    named = dataclasses.replace(CLIPIQA.score, labels=("quality", "sharpness"))
    with pytest.raises(InvalidSpecError, match="has 1 outputs, but the score names 2 labels"):
        dataclasses.replace(CLIPIQA, head=average, score=named)


@pytest.mark.parametrize("higher", [True, False])
def test_lower_better_is_the_opposite_of_higher_is_better(higher):
    score = dataclasses.replace(CLIPIQA.score, higher_is_better=higher)
    assert dataclasses.replace(CLIPIQA, score=score).lower_better is not higher


def test_several_prompts_need_their_labels():
    with pytest.raises(InvalidSpecError, match="2 outputs, but the score names 0 labels"):
        dataclasses.replace(CLIPIQA, head=AntonymHeadSpec(pairs=(QUALITY, SHARP)))
    swapped = dataclasses.replace(CLIPIQA.score, labels=("sharpness", "quality"))
    with pytest.raises(InvalidSpecError, match=r"labels must be \('quality', 'sharpness'\)"):
        dataclasses.replace(CLIPIQA, head=AntonymHeadSpec(pairs=(QUALITY, SHARP)), score=swapped)


def test_a_regressor_reads_the_mean_of_the_views_or_all_of_them():
    head = AntonymHeadSpec(pairs=(QUALITY, SHARP))
    mean = PoolSpec(regressor=RegressorSpec(widths=(2, 8, 1), weights=None))
    concat = PoolSpec(aggregation="concat", regressor=RegressorSpec(widths=(6, 8, 1), weights=None))
    for pool in (mean, concat):
        assert dataclasses.replace(CLIP_UIQA, head=head, pool=pool).score.labels == ()
    with pytest.raises(InvalidSpecError, match="'concat' give 6"):
        dataclasses.replace(CLIP_UIQA, head=head, pool=dataclasses.replace(concat, regressor=mean.regressor))
    with pytest.raises(InvalidSpecError, match="a regressor goes with prompts, not with another head"):
        dataclasses.replace(LITE_IQA, pool=PoolSpec(regressor=REGRESSOR))


def test_the_trained_file_of_a_metric_with_prompts():
    with_context = dataclasses.replace(CLIPIQA, head=dataclasses.replace(CLIPIQA.head, context=CONTEXT))
    assert (CLIPIQA.has_trained_part, with_context.has_trained_part) == (False, True)
    assert with_context.trained_file is None
    plus = CLIPIQA_PLUS.head.context.weights
    assert CLIPIQA_PLUS.weight_sources == (CLIPIQA_PLUS.encoder.weights, plus)
    both = dataclasses.replace(CLIPIQA_PLUS, pool=PoolSpec(regressor=dataclasses.replace(REGRESSOR, weights=FILE)))
    assert both.trained_file == FILE
    assert both.has_trained_part


def test_weight_sources_are_all_files_of_a_metric():
    assert CLIPIQA.weight_sources == (CLIPIQA.encoder.weights,)
    assert LITE_IQA.weight_sources == (LITE_IQA.encoder.weights, LITE_IQA.head.weights)


def test_built_in_names_are_unique():
    assert len({spec.name for spec in BUILTIN_SPECS}) == len(BUILTIN_SPECS)


def test_specifications_need_no_torch():
    modules = "perceptmetrics.metrics, perceptmetrics.spec.json, perceptmetrics.metrics.registry"
    program = f"import sys, {modules}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
