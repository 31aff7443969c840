"""The heads against their formulas, written out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from perceptmetrics.errors import InvalidSpecError
from perceptmetrics.metrics.lite import LITE_IQA
from perceptmetrics.models.heads import AntonymHead, CosineHead, MlpHead, antonym
from perceptmetrics.models.heads.base import HeadMaterial
from perceptmetrics.models.text_features import TextFeatures
from perceptmetrics.spec import AntonymHeadSpec, ContextSpec, MlpHeadSpec, PromptPair

ACTIVATIONS = {
    "relu": lambda x: max(0.0, x),
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
}
FEATURE_MAPS = {
    "identity": lambda x: x,
    "signed_log": lambda x: math.copysign(math.log(1 + abs(x)), x),
}


def normal(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("feature_map", FEATURE_MAPS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("widths", [(4, 1), (4, 5, 2), (4, 3, 5, 1)])
@pytest.mark.parametrize(("standardise", "dropout"), [(True, 0.0), (True, 0.5), (False, 0.0), (False, 0.5)])
def test_the_perceptron_is_its_formula(widths, activation, feature_map, standardise, dropout):
    spec = MlpHeadSpec(
        widths=widths,
        weights=LITE_IQA.head.weights,
        activation=activation,
        feature_map=feature_map,
        standardise=standardise,
        dropout=dropout,
    )
    head = MlpHead(spec).eval()
    head.load_state_dict({name: normal(*value.shape, seed=1).abs() for name, value in head.state_dict().items()})
    features = 3 * normal(6, 4, seed=2)
    mean, std = (head.feature_mean.tolist(), head.feature_std.tolist()) if standardise else ([0.0] * 4, [1.0] * 4)
    assert {"feature_mean", "feature_std"} & set(head.state_dict()) == (
        {"feature_mean", "feature_std"} if standardise else set()
    )
    layers = [module for module in head.layers if isinstance(module, torch.nn.Linear)]
    for row, output in zip(features.tolist(), head(features), strict=True):
        row = [(FEATURE_MAPS[feature_map](x) - m) / s for x, m, s in zip(row, mean, std, strict=True)]
        for place, layer in enumerate(layers):
            row = (layer.weight @ torch.tensor(row) + layer.bias).tolist()
            row = [ACTIVATIONS[activation](x) for x in row] if place < len(layers) - 1 else row
        torch.testing.assert_close(output, torch.tensor(row), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("average", [False, True])
def test_the_antonym_head_gives_one_output_a_pair_or_their_mean(average):
    texts, features = F.normalize(normal(3, 2, 8, seed=0), dim=-1), normal(5, 8, seed=1)
    head = AntonymHead(texts, 12.0, average=average)
    cosines = torch.einsum("nd,pkd->npk", F.normalize(features, dim=-1), texts)
    expected = (12.0 * cosines).softmax(dim=-1)[:, :, 0]
    outputs = head(features)
    torch.testing.assert_close(outputs, expected.mean(dim=1, keepdim=True) if average else expected)
    assert outputs.shape == ((5, 1) if average else (5, 3))


def test_the_antonym_head_works_in_float32_whatever_comes_in():
    texts, features = F.normalize(normal(1, 2, 8, seed=0), dim=-1), normal(5, 8, seed=1).bfloat16()
    head = AntonymHead(texts, 12.0)
    assert torch.equal(head(features), head(features.float()))


def test_the_cosine_head_is_the_plain_cosine():
    text, features = F.normalize(normal(8, seed=0), dim=0), 7 * normal(5, 8, seed=1)
    outputs = CosineHead(text)(features)
    expected = torch.stack([(row @ text) / (row.norm() * text.norm()) for row in features])
    assert outputs.shape == (5, 1)
    torch.testing.assert_close(outputs[:, 0], expected)
    torch.testing.assert_close(CosineHead(text)(text[None]), torch.ones(1, 1))
    assert set(CosineHead(text).state_dict()) == {"text_feature"}


def test_the_prompts_are_saved_with_the_head():
    head = AntonymHead(normal(2, 2, 8, seed=0), 12.0)
    assert set(head.state_dict()) == {"text_features", "logit_scale"}
    assert not list(head.parameters())


def test_perceptron_without_dropout_has_no_layer_for_it():
    spec = MlpHeadSpec(widths=(4, 3, 1), weights=None)
    for dropout in (0.0, 0.5):
        layers = MlpHead(replace(spec, dropout=dropout)).layers
        assert [layer.p for layer in layers if isinstance(layer, torch.nn.Dropout)] == ([0.5] if dropout else [])


class Texts(HeadMaterial):
    """A text encoder of four channels that gives each text the same features whoever asks."""

    tensors, origin, seed = None, "a test", 3

    def text_encoder(self):
        return SimpleNamespace(width=4, context_length=77)

    def text_features(self, texts, compute=None):
        self.asked = list(texts)
        features = F.normalize(normal(len(texts), 4, seed=9), dim=-1)
        return TextFeatures(features, 50.0)


@pytest.mark.parametrize("average", [False, True])
def test_antonym_head_averages_its_pairs_only_where_its_specification_says_so(average):
    pairs = tuple(PromptPair(name=name, positive=f"Good {name}.", negative=f"Bad {name}.") for name in ("a", "b", "c"))
    material = Texts()
    head = AntonymHead.build(AntonymHeadSpec(pairs=pairs, average=average), material)
    assert material.asked == ["Good a.", "Bad a.", "Good b.", "Bad b.", "Good c.", "Bad c."]
    assert head.average is average
    features = normal(5, 4, seed=1)
    each = AntonymHead(head.text_features, 50.0)(features)
    assert each.shape == (5, 3)
    torch.testing.assert_close(head(features), each.mean(dim=1, keepdim=True) if average else each)


def test_random_context_of_a_new_head_has_the_length_of_its_specification(monkeypatch):
    drawn = []
    make = antonym.random_context
    monkeypatch.setattr(
        antonym, "random_context", lambda *given, **named: drawn.append(make(*given, **named)) or drawn[-1]
    )
    pair = PromptPair(name="a", positive="Good.", negative="Bad.")
    for length in (3, 5):
        context = ContextSpec(length=length, weights=None)
        AntonymHead.build(AntonymHeadSpec(pairs=(pair,), context=context), Texts())
        assert drawn[-1].shape == (length, 4)
    again = make(4, 5, seed=Texts.seed)
    assert drawn[-1].equal(again)


def test_learned_vectors_are_what_is_trained_of_an_antonym_head():
    head = AntonymHead(normal(1, 2, 4, seed=0), 50.0)
    context = normal(3, 4, seed=1)
    assert head.trained_state(context)["context"] is context
    with pytest.raises(InvalidSpecError, match=r"Pass the vectors as context="):
        head.trained_state()
    head.context = context
    assert head.trained_state() == {"context": context}
