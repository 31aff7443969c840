"""What a specification may not state is refused with its name, at the limit and no earlier."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import get_args

import pytest

from perceptmetrics.errors import InvalidSpecError
from perceptmetrics.spec import (
    AffineMap,
    AntonymHeadSpec,
    CentreCropView,
    ContextSpec,
    CosineHeadSpec,
    CropsView,
    ExpectedLevelMap,
    FragmentsView,
    HubFile,
    LogisticMap,
    MarginalMap,
    MlpHeadSpec,
    PaddedView,
    PatchesView,
    PoolSpec,
    PromptHeadSpec,
    PromptPair,
    RegressorSpec,
    SalientView,
    ScaledView,
    SquareView,
    ViewsSpec,
    WholeView,
)
from perceptmetrics.spec.heads import Activation, FeatureMap, HeadLayout
from perceptmetrics.spec.views import Interpolation

PAIR = PromptPair(name="quality", positive="Good photo.", negative="Bad photo.")
CROPS = {"height": 40, "width": 30, "size": 16, "count": 5}
LEVELS = {"lowest": 0.0, "highest": 1.0, "levels": 5}
SIZED = {"size": 8, "interpolation": "x"}
JOINED = "must be positive and divide the 4 features"
PATCHES = {"size": 16, "stride": 8}
AXIS = "must be the index of one of the sizes"
ALL, SOME = get_args(Interpolation), ("bilinear", "bicubic")
PIXELS = "must show at most 100,000,000 pixels of an image"
WIDTHS = "needs at least an input and an output size, all positive"
MLP = {"widths": (4, 2, 1), "weights": None}


def pairs(count):
    return tuple(replace(PAIR, name=f"pair {number}") for number in range(count))


def views(count):
    return {"views": (WholeView(),) * count, "mean": (0.0,) * 3, "std": (1.0,) * 3}


REFUSED = [
    (WholeView, {"max_long_side": 0}, "WholeView.max_long_side must be a positive number of pixels or None, got 0."),
    (WholeView, {"max_long_side": 2**31}, "WholeView.max_long_side must be at most 2,147,483,647, got 2147483648."),
    (CentreCropView, {"size": 0}, "CentreCropView.size must be a positive number of pixels, got 0."),
    (CentreCropView, {"size": 10_001}, f"CentreCropView {PIXELS}, got 1 x 10001 x 10001."),
    (SalientView, {"size": 0}, "SalientView.size must be a positive number of pixels, got 0."),
    (SalientView, {"size": 10_001}, f"SalientView {PIXELS}, got 1 x 10001 x 10001."),
    (CropsView, CROPS | {"size": 31}, "CropsView.size must be positive and fit into 40 x 30, got 31."),
    (CropsView, CROPS | {"size": 0}, "CropsView.size must be positive and fit into 40 x 30, got 0."),
    (CropsView, CROPS | {"count": 0}, "CropsView.count must be positive, got 0."),
    (CropsView, CROPS | {"height": 10_001, "width": 10_000}, f"CropsView {PIXELS}, got 1 x 10001 x 10000."),
    (CropsView, CROPS | {"count": 400_000}, f"CropsView {PIXELS}, got 400000 x 16 x 16."),
    (CropsView, CROPS | {"size": 1, "count": 10_001}, "CropsView.count must be at most 10,000, got 10001."),
    (CropsView, CROPS | {"mode": "centre"}, "CropsView.mode must be 'random' or 'grid', got 'centre'."),
    (FragmentsView, {"grid": 101, "cell": 100}, f"FragmentsView {PIXELS}, got 1 x 10100 x 10100."),
    (ViewsSpec, views(0), "ViewsSpec.views needs at least one view."),
    (ViewsSpec, views(101), "ViewsSpec.views may state at most 100 kinds of views, got 101."),
    (ContextSpec, {"length": 0, "weights": None}, "ContextSpec.length must be positive, got 0."),
    (ContextSpec, {"length": 1_001, "weights": None}, "ContextSpec.length must be at most 1,000, got 1001."),
    (
        ContextSpec,
        {"length": 1, "weights": None, "position": "start"},
        "ContextSpec.position must be 'middle' or 'end', got 'start'.",
    ),
    (PromptPair, {"name": "x", "positive": " ", "negative": "y"}, "PromptPair.positive must be stated, got ' '."),
    (
        PromptPair,
        {"name": "x", "positive": "y ", "negative": " y"},
        "The prompts of the pair 'x' are identical ('y '); its score would always be 0.5.",
    ),
    (AntonymHeadSpec, {"pairs": ()}, "AntonymHeadSpec.pairs needs at least one pair of prompts."),
    (
        AntonymHeadSpec,
        {"pairs": pairs(1_001)},
        "AntonymHeadSpec.pairs may state at most 1,000 pairs of prompts, got 1,001.",
    ),
    (
        AntonymHeadSpec,
        {"pairs": (PAIR, PAIR)},
        "AntonymHeadSpec.pairs names ['quality'] more than once; labels must be unique.",
    ),
    (CosineHeadSpec, {"prompt": " "}, "CosineHeadSpec.prompt must be stated, got ' '."),
    (PromptHeadSpec, {"weight": 0.0}, "PromptHeadSpec.weight must be positive, got 0.0."),
    (PromptHeadSpec, {"weight": math.inf}, "PromptHeadSpec.weight must be finite, got inf."),
    (MlpHeadSpec, MLP | {"widths": (4,)}, f"MlpHeadSpec.widths {WIDTHS}; got (4,)."),
    (MlpHeadSpec, MLP | {"widths": (4, 0)}, f"MlpHeadSpec.widths {WIDTHS}; got (4, 0)."),
    (
        MlpHeadSpec,
        MLP | {"activation": "tanh"},
        f"MlpHeadSpec.activation must be one of {get_args(Activation)}, got 'tanh'.",
    ),
    (
        MlpHeadSpec,
        MLP | {"feature_map": "log"},
        f"MlpHeadSpec.feature_map must be one of {get_args(FeatureMap)}, got 'log'.",
    ),
    (MlpHeadSpec, MLP | {"dropout": 1.0}, "MlpHeadSpec.dropout must be in [0, 1), got 1.0."),
    (MlpHeadSpec, MLP | {"input_dropout": -0.1}, "MlpHeadSpec.input_dropout must be in [0, 1), got -0.1."),
    (RegressorSpec, {"widths": (0, 1), "weights": None}, f"RegressorSpec.widths {WIDTHS}; got (0, 1)."),
    (
        RegressorSpec,
        {"widths": (1, 1), "weights": None, "negative_slope": math.nan},
        "RegressorSpec.negative_slope must be finite, got nan.",
    ),
    (PoolSpec, {"aggregation": "max"}, "PoolSpec.aggregation must be 'mean' or 'concat', got 'max'."),
    (
        PoolSpec,
        {"aggregation": "concat"},
        "PoolSpec.aggregation 'concat' needs a regressor that reads the views side by side.",
    ),
    (SquareView, {"size": 0}, "SquareView.size must be a positive number of pixels, got 0."),
    (SquareView, {"size": 10_001}, f"SquareView {PIXELS}, got 1 x 10001 x 10001."),
    (PaddedView, {"size": 0}, "PaddedView.size must be a positive number of pixels, got 0."),
    (PaddedView, {"size": 10_001}, f"PaddedView {PIXELS}, got 1 x 10001 x 10001."),
    (ScaledView, {"divisor": 1}, "ScaledView.divisor must be a whole number above 1, got 1."),
    (SquareView, SIZED, f"SquareView.interpolation must be one of {ALL}, got 'x'."),
    (
        CentreCropView,
        {"size": 8, "interpolation": "x"},
        f"CentreCropView.interpolation must be one of {SOME}, got 'x'.",
    ),
    (PaddedView, SIZED, f"PaddedView.interpolation must be one of {SOME}, got 'x'."),
    (PatchesView, PATCHES | {"size": 0}, "PatchesView.size, stride and most must be positive, got (0, 8, None)."),
    (PatchesView, PATCHES | {"stride": 0}, "PatchesView.size, stride and most must be positive, got (16, 0, None)."),
    (PatchesView, PATCHES | {"most": 0}, "PatchesView.size, stride and most must be positive, got (16, 8, 0)."),
    (PatchesView, PATCHES | {"most": 400_000}, f"PatchesView {PIXELS}, got 400000 x 16 x 16."),
    (PatchesView, PATCHES | {"stride": 1}, "PatchesView.stride must be at least size / 8 where most is None, got 1."),
    (PatchesView, PATCHES | {"selection": "x"}, "PatchesView.selection must be 'spread' or 'top_left', got 'x'."),
    (
        MlpHeadSpec,
        MLP | {"joined_views": 0},
        f"MlpHeadSpec.joined_views {JOINED}, got 0.",
    ),
    (
        MlpHeadSpec,
        MLP | {"joined_views": 3},
        f"MlpHeadSpec.joined_views {JOINED}, got 3.",
    ),
    (
        MlpHeadSpec,
        MLP | {"joined_views": 2, "standardise": True},
        "MlpHeadSpec.standardise goes with a head that reads each view by itself, so with joined_views=1.",
    ),
    (
        MlpHeadSpec,
        MLP | {"layout": HeadLayout(weights=("w",), biases=("b",))},
        "MlpHeadSpec.layout must name the weights of 2 layers.",
    ),
    (
        HeadLayout,
        {"weights": ("w",), "biases": ("w",)},
        "HeadLayout needs as many biases as weights, each of another name, got ('w', 'w').",
    ),
    (
        HeadLayout,
        {"weights": (), "biases": ()},
        "HeadLayout needs as many biases as weights, each of another name, got ().",
    ),
    (MarginalMap, {"sizes": (2, 3), "axis": 2}, f"MarginalMap.axis {AXIS} (2, 3), got 2."),
    (MarginalMap, {"sizes": (2, 3), "axis": -1}, f"MarginalMap.axis {AXIS} (2, 3), got -1."),
    (MarginalMap, {"sizes": (2, 0), "axis": 0}, f"MarginalMap.axis {AXIS} (2, 0), got 0."),
    *(
        (
            HubFile,
            {"repo": "a/b", "revision": "main", "filename": name},
            f"HubFile.filename must be a relative path with forward slashes and without '..', got {name!r}.",
        )
        for name in ("/etc/passwd", "../x", "a/../b", "a/./b", "a//b", "a\\b", "c:x")
    ),
    (ExpectedLevelMap, LEVELS | {"levels": 1}, "ExpectedLevelMap.levels must be at least 2, got 1."),
    (ExpectedLevelMap, LEVELS | {"lowest": 1.0}, "ExpectedLevelMap.lowest must be below highest, got (1.0, 1.0)."),
    (AffineMap, {"scale": math.inf, "shift": 0.0}, "AffineMap.scale must be finite, got inf."),
    (AffineMap, {"scale": 1.0, "shift": math.nan}, "AffineMap.shift must be finite, got nan."),
    (LogisticMap, {"scale": math.inf}, "LogisticMap.scale must be finite, got inf."),
    (LogisticMap, {"shift": math.nan}, "LogisticMap.shift must be finite, got nan."),
]


@pytest.mark.parametrize(("kind", "fields", "sentence"), REFUSED, ids=[sentence[:60] for *_, sentence in REFUSED])
def test_refusal_says_what_was_stated_and_what_may_be(kind, fields, sentence):
    with pytest.raises(InvalidSpecError, match=f"^{re.escape(sentence)}$"):
        kind(**fields)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (WholeView, {"max_long_side": 1}),
        (WholeView, {"max_long_side": 2**31 - 1}),
        (CentreCropView, {"size": 1}),
        (CentreCropView, {"size": 10_000}),
        (SalientView, {"size": 1}),
        (CropsView, CROPS | {"size": 30}),
        (CropsView, CROPS | {"size": 1, "count": 10_000}),
        (CropsView, CROPS | {"height": 10_000, "width": 10_000}),
        (CropsView, CROPS | {"count": 1}),
        (FragmentsView, {"grid": 1, "cell": 1}),
        (FragmentsView, {"grid": 100, "cell": 100}),
        (ViewsSpec, views(1)),
        (ViewsSpec, views(100)),
        (ContextSpec, {"length": 1, "weights": None}),
        (ContextSpec, {"length": 1_000, "weights": None}),
        (AntonymHeadSpec, {"pairs": pairs(1_000)}),
        (PromptHeadSpec, {"weight": 0.5}),
        (MlpHeadSpec, {"widths": (1,) * 64, "weights": None}),
        (MlpHeadSpec, {"widths": (2**13, 2**13), "weights": None}),
        (MlpHeadSpec, MLP | {"dropout": 0.0, "input_dropout": 0.99}),
        (RegressorSpec, {"widths": (1, 1), "weights": None}),
        (SquareView, {"size": 1}),
        (PatchesView, {"size": 1, "stride": 1, "most": 1}),
        (PatchesView, {"size": 16, "stride": 2}),
        (PatchesView, {"size": 16, "stride": 1, "most": 5}),
        (MarginalMap, {"sizes": (2, 3), "axis": 0}),
        (MarginalMap, {"sizes": (1, 3), "axis": 1}),
        (HubFile, {"repo": "a/b", "revision": "main", "filename": "x" * 1_000}),
        (HubFile, {"repo": "a/b", "revision": "main", "filename": "a b/c..d/e"}),
        (PaddedView, {"size": 1}),
        (ScaledView, {"divisor": 2}),
        (ExpectedLevelMap, LEVELS | {"levels": 2}),
    ],
    ids=str,
)
def test_what_lies_at_the_limit_is_allowed(kind, fields):
    assert kind(**fields)


@pytest.mark.parametrize("grid_and_cell", [(0, 1), (1, 0)])
def test_fragments_need_a_grid_and_cells(grid_and_cell):
    grid, cell = grid_and_cell
    with pytest.raises(InvalidSpecError, match=r"^FragmentsView\.grid"):
        FragmentsView(grid=grid, cell=cell)


@pytest.mark.parametrize("widths", [(1,) * 65, (2**13, 2**13 + 1)], ids=["layers", "weights"])
def test_perceptrons_have_at_most_so_many_layers_and_weights(widths):
    for kind in (MlpHeadSpec, RegressorSpec):
        with pytest.raises(
            InvalidSpecError,
            match=rf"^{kind.__name__}\.widths may state at most 64 sizes and 67,108,864 weights, got {len(widths)} ",
        ):
            kind(widths=widths, weights=None)
