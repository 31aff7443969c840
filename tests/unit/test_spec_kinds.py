"""What views and heads say of themselves: their number, their training, and what goes together."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from perceptmetrics.errors import InvalidSpecError
from perceptmetrics.metrics import BUILTIN_SPECS
from perceptmetrics.spec import (
    AntonymHeadSpec,
    CentreCropView,
    ContextSpec,
    CosineHeadSpec,
    CropsView,
    MlpHeadSpec,
    PatchesView,
    PromptPair,
    WholeView,
)
from perceptmetrics.spec.pool import regressor_inputs
from perceptmetrics.spec.views import total_views

PAIR = PromptPair(name="quality", positive="Good photo.", negative="Bad photo.")
CROPS = {"height": 40, "width": 30, "size": 16, "count": 5}
PATCHES = {"size": 16, "stride": 8}


def test_another_trained_file_changes_its_source_alone():
    (source,) = {spec.head.weights for spec in BUILTIN_SPECS if spec.name == "lite_iqa"}
    mlp = MlpHeadSpec(widths=(4, 1), weights=None, activation="gelu")
    assert mlp.with_trained_file(source) == replace(mlp, weights=source)
    plain = AntonymHeadSpec(pairs=(PAIR,))
    assert plain.with_trained_file(source) == plain
    learned = replace(plain, context=ContextSpec(length=4, weights=None, position="end"))
    assert learned.with_trained_file(source) == replace(learned, context=replace(learned.context, weights=source))
    assert CosineHeadSpec(prompt="x").with_trained_file(source) == CosineHeadSpec(prompt="x")


def test_heads_say_what_of_them_is_trained_and_what_training_starts_from():
    plain = AntonymHeadSpec(pairs=(PAIR,))
    learned = replace(plain, context=ContextSpec(length=4, weights=None))
    assert (plain.describe_training(), learned.describe_training()) == ("", "learned context of the prompts")
    assert MlpHeadSpec(widths=(4, 1), weights=None).describe_training() == "a head"
    assert CosineHeadSpec(prompt="x").describe_training() == ""
    assert learned.untrained() == plain
    assert plain.untrained() == plain


def test_head_of_several_views_needs_as_many_of_every_image():
    joined = MlpHeadSpec(widths=(4, 1), weights=None, joined_views=2)
    (lite,) = (spec for spec in BUILTIN_SPECS if spec.name == "lite_iqa")
    for stated, found in (((WholeView(),), "1"), ((PatchesView(size=8, stride=8),), "as many as fit into it")):
        metric = replace(lite, views=replace(lite.views, views=stated))
        sentence = f"lite_iqa: the head reads 2 views of an image side by side, but there are {found}."
        with pytest.raises(InvalidSpecError, match=f"^{re.escape(sentence)}$"):
            joined.check(metric)
    joined.check(replace(lite, views=replace(lite.views, views=(WholeView(), CentreCropView(size=8)))))


def test_views_are_counted_unless_their_number_depends_on_the_image():
    crops, patches = CropsView(**CROPS), PatchesView(**PATCHES)
    assert total_views((WholeView(), crops)) == 6
    assert total_views((WholeView(), patches)) is None
    assert (regressor_inputs("mean", 3, None), regressor_inputs("concat", 3, 6)) == (3, 18)
    with pytest.raises(
        InvalidSpecError,
        match=r"^The aggregation 'concat' needs as many views of every image; state 'mean' for views whose number "
        r"depends on the size of the image\.$",
    ):
        regressor_inputs("concat", 3, None)
