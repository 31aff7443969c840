"""The heads against their formulas, written out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from perceptmetrics.errors import InvalidOptionError, InvalidSpecError, WeightsError
from perceptmetrics.metrics.lite import LITE_IQA
from perceptmetrics.models.heads import AntonymHead, CosineHead, MlpHead, antonym
from perceptmetrics.models.heads.base import HeadMaterial
from perceptmetrics.models.heads.cosine import PromptHead
from perceptmetrics.models.text_features import TextFeatures
from perceptmetrics.spec import AntonymHeadSpec, ContextSpec, CosineHeadSpec, MlpHeadSpec, PromptHeadSpec, PromptPair
from perceptmetrics.spec.heads import HeadLayout

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


def test_features_of_each_view_are_brought_to_unit_length():
    spec = MlpHeadSpec(widths=(6, 1), weights=None, feature_map="l2", joined_views=2)
    features = normal(3, 6, seed=4)
    first, second = features[:, :3], features[:, 3:]
    expected = torch.cat([first / first.norm(dim=1, keepdim=True), second / second.norm(dim=1, keepdim=True)], dim=1)
    head = MlpHead(spec)
    torch.testing.assert_close(head.map_features(features), expected)
    torch.testing.assert_close(head(features), head.layers(expected))


def test_cosine_head_takes_the_features_of_its_prompt():
    material = Texts()
    head = CosineHead.build(CosineHeadSpec(prompt="Good photo."), material)
    assert material.asked == ["Good photo."]
    assert head.text_feature.equal(material.text_features(["Good photo."]).features[0])


@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
def test_prompt_head_is_built_as_its_specification_says(clamp, scaled):
    class Text(torch.nn.Module):
        logit_scale = 20.0

    class Prompts(Texts):
        def text_encoder(self):
            return Text()

    features, texts = normal(6, 4, seed=1), F.normalize(normal(6, 4, seed=2), dim=-1)
    cosine = (F.normalize(features, dim=-1) * texts).sum(dim=1, keepdim=True)
    assert (cosine < 0).any()
    expected = 2.5 * (20.0 if scaled else 1.0) * (cosine.clamp(min=0) if clamp else cosine)
    head = PromptHead.build(PromptHeadSpec(weight=2.5, clamp=clamp, scaled=scaled), Prompts())
    torch.testing.assert_close(head(features, texts), expected)
    torch.testing.assert_close(PromptHead(Text())(features, texts), cosine)


# Published files

LAYOUT = HeadLayout(weights=("fc1.w", "fc2.w"), biases=("fc1.b", "fc2.b"), encoder_prefix="net.")
PUBLISHED = MlpHeadSpec(widths=(4, 3, 1), weights=None, layout=LAYOUT)


def published(**changes):
    tensors = {
        "fc1.w": normal(3, 4, seed=1).half(),
        "fc1.b": normal(3, seed=2),
        "fc2.w": normal(1, 3, seed=3),
        "fc2.b": torch.tensor(0.25),  # of a single output, as some files have it
        "net.stem": normal(2, seed=4).half(),
        "net.count": torch.tensor([7]),
    }
    return {name: tensor for name, tensor in (tensors | changes).items() if tensor is not None}


def test_published_file_is_read_under_the_names_of_the_head(tmp_path):
    given = published()
    save_file(given, tmp_path / "published.safetensors")
    read = MlpHead.read_published(tmp_path / "published.safetensors", PUBLISHED)
    head = MlpHead(PUBLISHED)
    head.load_state_dict(dict(read.head))
    features = normal(5, 4, seed=6)
    hidden = F.relu(features @ given["fc1.w"].float().T + given["fc1.b"])
    torch.testing.assert_close(head(features), hidden @ given["fc2.w"].T + given["fc2.b"])
    assert {name: tensor.dtype for name, tensor in read.head.items()} == dict.fromkeys(read.head, torch.float32)
    assert set(read.encoder) == {"stem", "count"}
    assert read.encoder["stem"].equal(given["net.stem"].float())
    assert read.encoder["count"].equal(given["net.count"])


def test_published_file_of_the_head_alone_has_no_encoder(tmp_path):
    alone = replace(PUBLISHED, layout=replace(LAYOUT, encoder_prefix=None))
    save_file(published(**{"net.stem": None, "net.count": None}), tmp_path / "alone.safetensors")
    read = MlpHead.read_published(tmp_path / "alone.safetensors", alone)
    assert len(read.head) == 4
    assert read.encoder == {}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fc2.w": None}, "fc2|layers"),
        ({"fc1.w": torch.zeros(3, 5)}, "3, 5"),
        ({"other": torch.zeros(1)}, "other"),
    ],
    ids=["missing", "another shape", "unknown"],
)
def test_published_file_that_does_not_fit_is_refused_with_its_name(changes, said, tmp_path):
    path = tmp_path / "published.safetensors"
    save_file(published(**changes), path)
    with pytest.raises(WeightsError, match=said) as refused:
        MlpHead.read_published(path, PUBLISHED)
    assert str(path) in str(refused.value)


def test_file_in_the_layout_of_this_package_is_not_taken_for_a_published_one(tmp_path):
    own = {f"head.{name}": tensor for name, tensor in MlpHead(PUBLISHED).state_dict().items()}
    save_file(own, tmp_path / "own.safetensors")
    assert MlpHead.read_published(tmp_path / "own.safetensors", PUBLISHED) is None
    save_file(published(), tmp_path / "published.safetensors")
    assert MlpHead.read_published(tmp_path / "published.safetensors", replace(PUBLISHED, layout=None)) is None


def test_head_is_built_from_its_tensors_or_at_random():
    material = Texts()
    assert {name: tuple(value.shape) for name, value in MlpHead.build(PUBLISHED, material).state_dict().items()} == (
        MlpHead.trained_shapes(PUBLISHED)
    )
    material.tensors = {name: torch.full(shape, 2.0) for name, shape in MlpHead.trained_shapes(PUBLISHED).items()}
    head = MlpHead.build(PUBLISHED, material)
    assert all(weight.device.type == "cpu" and weight.eq(2).all() for weight in head.parameters())
    material.tensors.popitem()
    with pytest.raises(WeightsError, match="a test"):
        MlpHead.build(PUBLISHED, material)


def test_prompt_head_asks_for_the_texts_that_it_compares():
    head = PromptHead(SimpleNamespace(logit_scale=1.0))
    with pytest.raises(
        InvalidOptionError, match=r"^Each image is compared with a prompt of its own; none was given\.$"
    ):
        head(normal(2, 4, seed=1))


def test_learned_prompts_without_a_place_for_them_are_refused():
    material = Texts()
    material.tensors = {"context": normal(3, 4, seed=1)}
    pair = PromptPair(name="a", positive="Good.", negative="Bad.")
    with pytest.raises(
        WeightsError,
        match=r"^a test holds learned prompts, but the metric has none with these options, so they would not be used\. "
        r"State the length of the context in the specification, or pass a file without them\.$",
    ):
        AntonymHead.build(AntonymHeadSpec(pairs=(pair,)), material)
