"""The JSON form of a specification: a round trip, and errors that name the field."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptmetrics.errors import InvalidSpecError
from perceptmetrics.metrics import BUILTIN_SPECS
from perceptmetrics.metrics.clip_uiqa import CLIP_UIQA
from perceptmetrics.metrics.clipiqa import CLIPIQA
from perceptmetrics.metrics.lite import LITE_IQA
from perceptmetrics.spec import (
    AffineMap,
    AntonymHeadSpec,
    ContextSpec,
    CosineHeadSpec,
    FragmentsView,
    HubFile,
    PackageFile,
    PoolSpec,
    PromptPair,
    RegressorSpec,
    SalientView,
    WholeView,
)
from perceptmetrics.spec.json import FORMAT_VERSION, spec_from_json, spec_to_json

EDITED = {
    "several pairs": replace(
        CLIPIQA,
        head=AntonymHeadSpec(
            pairs=(
                PromptPair(name="a", positive="Schön.", negative="Häßlich.\n"),
                PromptPair(name="b", positive='"Quoted"', negative="\\ and 写真"),
            )
        ),
        score=replace(CLIPIQA.score, labels=("a", "b")),
    ),
    "averaged": replace(CLIPIQA, head=replace(CLIPIQA.head, average=True)),
    "open range": replace(CLIPIQA, score=replace(CLIPIQA.score, lower=None, upper=None, higher_is_better=False)),
    "several views": replace(LITE_IQA, views=replace(LITE_IQA.views, views=(WholeView(), WholeView(max_long_side=9)))),
    "single prompt": replace(CLIPIQA, head=CosineHeadSpec(prompt="Schön."), score=replace(CLIPIQA.score, lower=-1.0)),
    "learned prompts": replace(
        CLIPIQA, head=replace(CLIPIQA.head, context=ContextSpec(length=4, weights=None, position="end"))
    ),
    "views side by side": replace(
        CLIP_UIQA,
        views=replace(CLIP_UIQA.views, views=(SalientView(size=9), FragmentsView(grid=2, cell=3))),
        pool=PoolSpec(
            aggregation="concat",
            regressor=RegressorSpec(
                widths=(2, 3, 1), weights=PackageFile(package="perceptmetrics", filename="f"), negative_slope=0.2
            ),
        ),
    ),
    "regressor without a file": replace(CLIPIQA, pool=PoolSpec(regressor=RegressorSpec(widths=(1, 1), weights=None))),
    "whole table": replace(CLIPIQA, encoder=replace(CLIPIQA.encoder, positional_embedding="interpolate_table")),
    "other sources": replace(
        LITE_IQA,
        encoder=replace(LITE_IQA.encoder, weights=HubFile(repo="a/b", filename="c", revision="d", sha256="0" * 64)),
        head=replace(LITE_IQA.head, weights=PackageFile(package="perceptmetrics", filename="f", size=3, extra="lite")),
    ),
}
SPECS = {spec.name: spec for spec in BUILTIN_SPECS} | EDITED


@pytest.mark.parametrize("name", SPECS)
def test_a_specification_survives_the_round_trip(name):
    text = spec_to_json(SPECS[name])
    assert spec_from_json(text) == SPECS[name]
    assert spec_to_json(spec_from_json(text)) == text
    assert text.endswith("}\n")


NUMBERS = st.floats(-1e6, 1e6)


@given(
    scale=NUMBERS,
    shift=NUMBERS,
    mean=st.tuples(NUMBERS, NUMBERS, NUMBERS),
    texts=st.tuples(*[st.text(min_size=1).filter(str.strip)] * 3),
)
def test_numbers_and_texts_survive_exactly(scale, shift, mean, texts):
    spec = replace(
        LITE_IQA,
        score=replace(LITE_IQA.score, map=AffineMap(scale=scale, shift=shift)),
        views=replace(LITE_IQA.views, mean=mean),
        card=replace(LITE_IQA.card, summary=texts[0], licence=texts[1], limits=texts[2]),
    )
    assert spec_from_json(spec_to_json(spec)) == spec


def places(document, path=()):
    """Every field of a document, as a path of keys."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, key))


def edited(spec, path, change):
    document = json.loads(spec_to_json(spec))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    change(inner, path[-1])
    return json.dumps(document)


def named(path):
    """How an error message names a place: spec.views.views[0]."""
    return "spec" + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)


def required_fields():
    optional = {"sha256", "size", "extra", "positional_embedding", "max_long_side", "average", "labels", "map"}
    optional |= {"activation", "feature_map", "scale", "shift", "training_data", "limits", "kind", "format_version"}
    optional |= {"context", "position", "pool", "aggregation", "regressor", "negative_slope"}
    optional |= {
        "features",
        "lora",
        "dropout",
        "input_dropout",
        "targets",
        "in_trained_file",
        "mode",
        "standardise",
        "strict_range",
        "positive_labels",
        "interpolation",
        "joined_views",
        "layout",
        "encoder_prefix",
        "renames",
        "weight",
        "clamp",
        "scaled",
        "selection",
        "most",
        "temperature",
        "power",
        "base_cosine",
        "base_magnitude",
    }
    for spec in BUILTIN_SPECS:
        for path in places(json.loads(spec_to_json(spec))):
            is_optional = path[-1] in optional or path[-2:] == ("weights", "licence")
            if isinstance(path[-1], str) and not is_optional:
                yield pytest.param(spec, path, id=f"{spec.name}-{named(path)}")


@pytest.mark.parametrize(("spec", "path"), list(required_fields()))
def test_a_missing_field_is_named(spec, path):
    with pytest.raises(InvalidSpecError) as caught:
        spec_from_json(edited(spec, path, lambda inner, key: inner.pop(key)))
    assert str(caught.value) == f"{named(path[:-1])} must state {path[-1]}."


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("name",), 5, "spec.name must be of type str, got 5"),
        (("task",), "beauty", "MetricSpec.task must be"),
        (("task",), ["quality"], "MetricSpec.task must be"),
        (("encoder",), "RN50", "spec.encoder must be a mapping, got 'RN50'"),
        (("encoder",), None, "spec.encoder must be a mapping, got None"),
        (("encoder", "quick_gelu"), "yes", "spec.encoder.quick_gelu must be of type bool, got 'yes'"),
        (("encoder", "quick_gelu"), 0, "spec.encoder.quick_gelu must be of type bool, got 0"),
        (("encoder", "kind"), "keras", r"spec.encoder.kind must be one of \['open_clip', 'timm'\], got 'keras'"),
        (("encoder", "weights", "kind"), "ftp", r"spec.encoder.weights.kind must be one of \['hub', 'package'\]"),
        (("encoder", "weights"), "file.pt", "spec.encoder.weights must be a mapping, got 'file.pt'"),
        (("encoder", "weights"), {}, r"spec.encoder.weights.kind must be one of .* got None"),
        (("encoder", "lora"), "r16", "spec.encoder.lora must be a mapping, got 'r16'"),
        (("encoder", "lora"), {"rank": 2.5, "alpha": 1}, "spec.encoder.lora.rank must be of type int, got 2.5"),
        (("encoder", "lora"), {"rank": 4}, "spec.encoder.lora must state alpha"),
        (("encoder", "weights", "size"), 1.5, "spec.encoder.weights.size must be of type int, got 1.5"),
        (("encoder", "weights", "size"), True, "spec.encoder.weights.size must be of type int, got True"),
        (("encoder", "weights", "sha256"), "xyz", "HubFile.sha256 must be 64"),
        (("views", "views"), {}, "spec.views.views must be a list"),
        (("views", "views", 0), 3, r"spec.views.views\[0\] must be a mapping, got 3"),
        (
            ("views", "views", 0, "kind"),
            "crop",
            r"views\[0\].kind must be one of \['centre_crop', 'crops', 'fragments', .* 'whole'\], got 'crop'",
        ),
        (("views", "mean", 1), "half", r"spec.views.mean\[1\] must be of type float, got 'half'"),
        (("views", "mean", 1), True, r"spec.views.mean\[1\] must be of type float, got True"),
        (("views", "mean"), [0.5], "ViewsSpec.mean needs three numbers"),
        (("head", "pairs", 0, "positive"), None, r"spec.head.pairs\[0\].positive must be of type str, got None"),
        (("head", "pairs"), [], "AntonymHeadSpec.pairs needs at least one pair"),
        (
            ("head", "kind"),
            "forest",
            r"spec.head.kind must be one of \['antonym', 'cosine', .* 'mlp', 'prompt', 'text_grid'\], got 'forest'",
        ),
        (("score", "higher_is_better"), None, "spec.score.higher_is_better must be of type bool, got None"),
        (("score", "labels"), "quality", "spec.score.labels must be a list"),
        (("score", "map"), "tanh", "spec.score.map must be a mapping, got 'tanh'"),
        (("score", "map", "kind"), "tanh", "spec.score.map.kind must be one of .*, got 'tanh'"),
        (("score", "strict_range"), 1, "spec.score.strict_range must be of type bool, got 1"),
        (("score", "positive_labels"), ["awe"], r"positive_labels must be among the labels, got \('awe',\)"),
        (("card", "licence"), "", "CardSpec.licence must be stated"),
    ],
)
def test_a_wrong_value_is_named(path, value, message):
    with pytest.raises(InvalidSpecError, match=message):
        spec_from_json(edited(CLIPIQA, path, lambda inner, key: inner.__setitem__(key, value)))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (("taks",), "spec has an unknown field 'taks'. Did you mean 'task'?"),
        (
            ("score", "higher_better"),
            "spec.score has an unknown field 'higher_better'. Did you mean 'higher_is_better'",
        ),
        (("encoder", "weights", "revison"), "spec.encoder.weights has an unknown field 'revison'. Did you mean 'rev"),
        (("card", "kind"), "spec.card.kind must be None, got 1."),
        (("zzz",), "spec has an unknown field 'zzz'. Known: card, encoder, head, name, pool, score, task, views."),
    ],
)
def test_an_unknown_field_is_answered_with_the_nearest(path, message):
    with pytest.raises(InvalidSpecError) as caught:
        spec_from_json(edited(CLIPIQA, path, lambda inner, key: inner.__setitem__(key, 1)))
    assert str(caught.value).startswith(message)


def test_whole_numbers_are_numbers():
    text = edited(CLIPIQA, ("score", "upper"), lambda inner, key: inner.__setitem__(key, 1))
    spec = spec_from_json(text)
    assert spec == CLIPIQA
    assert isinstance(spec.score.upper, float)


@pytest.mark.parametrize("version", [None, 0, FORMAT_VERSION + 1, "1"])
def test_another_format_version_is_refused(version):
    text = edited(CLIPIQA, ("format_version",), lambda inner, key: inner.__setitem__(key, version))
    with pytest.raises(InvalidSpecError, match=f"format_version {FORMAT_VERSION}, got {version!r}"):
        spec_from_json(text)


def test_the_format_version_must_be_stated():
    with pytest.raises(InvalidSpecError, match="got None"):
        spec_from_json(edited(CLIPIQA, ("format_version",), lambda inner, key: inner.pop(key)))


@pytest.mark.parametrize("text", ["", "no JSON", "{", spec_to_json(CLIPIQA)[:-20]])
def test_text_that_is_no_json_is_refused(text):
    with pytest.raises(InvalidSpecError, match="A metric specification must be JSON: "):
        spec_from_json(text)


@pytest.mark.parametrize(("text", "kind"), [("[]", "list"), ("5", "int"), ("null", "NoneType"), ('"a"', "str")])
def test_json_that_is_no_object_is_refused(text, kind):
    with pytest.raises(InvalidSpecError, match=f"must be a JSON object, got {kind}"):
        spec_from_json(text)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


@given(data=st.data(), value=JSON_VALUES)
def test_no_value_of_any_field_raises_another_error(data, value):
    spec = data.draw(st.sampled_from(BUILTIN_SPECS))
    path = data.draw(st.sampled_from(sorted(places(json.loads(spec_to_json(spec))), key=str)))
    text = edited(spec, path, lambda inner, key: inner.__setitem__(key, value))
    with contextlib.suppress(InvalidSpecError):
        spec_from_json(text)
