"""Learned prompts: what they compute, what trains, what is saved, how they get into a head."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from perceptmetrics.errors import InvalidOptionError, InvalidSpecError
from perceptmetrics.models.encoders import TextEncoder
from perceptmetrics.models.encoders.clip_text import tokenize_with_context
from perceptmetrics.models.heads import AntonymHead
from perceptmetrics.models.prompt_learner import PromptLearner, context_from_words, random_context
from perceptmetrics.spec import PromptPair
from tests.support import small_clip
from tests.support.small_clip import RESNET

WIDTH = 64
PAIRS = [
    PromptPair(name="quality", positive="Good photo.", negative="Bad photo."),
    PromptPair(name="contrast", positive="High contrast photo.", negative="Not at all high contrast photo"),
    PromptPair(name="cosy", positive="Cosy", negative="Cold."),
]
TEXTS = [words for pair in PAIRS for words in (pair.positive, pair.negative)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    small_clip.register(tmp_path_factory.mktemp("configurations"))
    return small_clip.build(RESNET)


@pytest.fixture
def text(model):
    return TextEncoder(copy.deepcopy(model))


def vectors(*shape, seed=0):
    return 0.3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def whole_sequence(model, context, position):
    """All 77 tokens of every prompt, by open_clip's own modules; one prompt after the other."""
    length = context.shape[-2]
    rows = []
    for number, words in enumerate(TEXTS):
        tokens = tokenize_with_context([words], length, 77)
        embedded = list(model.token_embedding(tokens)[0])
        own = context if context.ndim == 2 else context[number * len(context) // len(TEXTS)]
        count = len(tokenize_with_context([words], 0, 77)[0].nonzero()) - 2
        count -= 0 if words.endswith(".") else 1  # the full stop that CoOp adds, where it is a token of its own
        before = length // 2 if position == "middle" else length
        after = embedded[1 + length :]
        sequence = [embedded[0], *own[:before], *after[:count], *own[before:], *after[count:]]
        hidden = torch.stack(sequence)[None] + model.positional_embedding
        hidden = model.ln_final(model.transformer(hidden, attn_mask=model.attn_mask))[0, tokens[0].argmax()]
        rows.append(F.normalize(hidden @ model.text_projection, dim=-1))
    return torch.stack(rows).unflatten(0, (-1, 2))


@pytest.mark.parametrize("position", ["middle", "end"])
@pytest.mark.parametrize("length", [1, 5, 16])
@pytest.mark.parametrize("shared", ["all", "pair", "none"])
def test_features_and_gradients_are_those_of_the_whole_sequence(model, text, position, length, shared):
    start = {"all": vectors(length, WIDTH), "pair": vectors(3, length, WIDTH), "none": vectors(6, length, WIDTH)}[
        shared
    ]
    learner = PromptLearner(text, PAIRS, start, position)
    context = start.clone().requires_grad_()
    results = []
    for features, given in ((learner(), learner.context), (whole_sequence(model, context, position), context)):
        (features[:, 0] * features[:, 1].cos()).sum().backward()
        results.append((features.detach(), given.grad))
    assert results[0][0].shape == (3, 2, 64)
    assert (results[1][1].abs().amax(dim=-1) > 0).all()
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


def test_no_more_than_the_longest_prompt_is_computed(text):
    learner, lengths = PromptLearner(text, PAIRS, vectors(4, WIDTH)), []
    text.transformer.register_forward_pre_hook(lambda module, inputs: lengths.append(inputs[0].shape[1]))
    learner()
    assert lengths == [int(learner.ends.max()) + 1]
    assert lengths[0] < 20


@pytest.mark.parametrize("noise", [0.0, 100.0])
def test_what_comes_after_the_end_changes_nothing(text, noise):
    learner = PromptLearner(text, PAIRS, vectors(4, WIDTH))
    before = learner()
    later = torch.arange(learner.embedded.shape[1]) > learner.ends[:, None]
    assert later.any()
    learner.embedded += noise * later[..., None]
    torch.testing.assert_close(learner(), before)


# What trains, what is saved


def test_the_vectors_are_the_only_parameter_and_the_only_state(text):
    learner = PromptLearner(text, PAIRS, vectors(4, WIDTH))
    assert [name for name, _ in learner.named_parameters()] == ["context"]
    assert list(learner.state_dict()) == ["context"]
    learner().sum().backward()
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in text.parameters())
    learner.train()
    assert not text.training


def test_the_state_is_restored(text):
    trained, other = (PromptLearner(text, PAIRS, vectors(4, WIDTH, seed=seed)) for seed in (0, 1))
    assert not torch.allclose(trained(), other())
    other.load_state_dict(trained.state_dict())
    assert torch.equal(trained(), other())


def test_the_vectors_are_copied(text):
    start = vectors(4, WIDTH)
    learner = PromptLearner(text, PAIRS, start)
    with torch.no_grad():
        learner.context += 1
    assert torch.equal(start, vectors(4, WIDTH))


def test_the_text_tower_follows(text):
    learner = PromptLearner(text, PAIRS, vectors(4, WIDTH)).to(torch.float64)
    assert learner().dtype == torch.float64
    assert {parameter.dtype for parameter in text.parameters()} == {torch.float64}
    assert learner.to("meta").text.attn_mask.device.type == "meta"


def test_one_step_makes_the_prompts_differ_as_wanted(text):
    learner = PromptLearner(text, PAIRS, vectors(4, WIDTH))
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.002)
    before = learner()[0, 0] @ learner()[0, 1]
    before.backward()
    optimizer.step()
    assert learner()[0, 0] @ learner()[0, 1] < before


# Into a head


def test_the_head_gets_the_prompts_with_their_gradient_or_without(text):
    learner = PromptLearner(text, PAIRS, vectors(4, WIDTH))
    head = AntonymHead(torch.zeros(3, 2, 64), 100.0)
    learner.install(head)
    assert torch.equal(head.text_features, learner())
    head(vectors(2, 64)).sum().backward()
    assert learner.context.grad.abs().max() > 0
    with torch.no_grad():
        learner.install(head)
    assert not head.text_features.requires_grad
    assert "text_features" in head.state_dict()


@pytest.mark.parametrize("shape", [(2, 2, 64), (3, 2, 32)])
def test_another_head_is_refused(text, shape):
    head = AntonymHead(torch.zeros(shape), 100.0)
    with pytest.raises(InvalidSpecError, match=r"shape \(3, 2, 64\), the head has"):
        PromptLearner(text, PAIRS, vectors(4, WIDTH)).install(head)


# Where they start


@pytest.mark.parametrize("shape", [(WIDTH,), (4, WIDTH + 1), (5, 4, WIDTH), (1, 6, 4, WIDTH)], ids=str)
def test_vectors_that_do_not_fit_are_refused(text, shape):
    with pytest.raises(
        InvalidSpecError, match=r"have the shape .*\(3, length, channels\).*got|the 64 channels .*got 65"
    ):
        PromptLearner(text, PAIRS, torch.zeros(shape))


def test_a_prompt_that_is_too_long_is_refused(text):
    with pytest.raises(InvalidOptionError, match="Shorten it"):
        PromptLearner(text, PAIRS, vectors(72, WIDTH))


@pytest.mark.parametrize("prompts", [None, 6])
def test_random_vectors_are_small_and_seeded(prompts):
    start = random_context(512, 16, prompts=prompts, seed=3)
    assert start.shape == ((16, 512) if prompts is None else (6, 16, 512))
    assert start.std().item() == pytest.approx(0.02, rel=0.05)
    assert abs(start.mean().item()) < 0.001
    assert torch.equal(start, random_context(512, 16, prompts=prompts, seed=3))
    assert not torch.equal(start, random_context(512, 16, prompts=prompts, seed=4))


def test_words_to_start_from(model, text):
    """With vectors that are the words' embeddings, the prompt is that of the words."""
    start = context_from_words(text, "a photo of a")
    assert start.shape == (4, WIDTH)
    pair = PromptPair(name="place", positive="cat", negative="dog")
    learner = PromptLearner(text, [pair], start, "end")
    expected = text.encode(["a photo of a cat.", "a photo of a dog."])[None]
    torch.testing.assert_close(learner(), expected, rtol=1e-4, atol=1e-6)
    apart = context_from_words(text, "a photo of a", prompts=2)
    assert apart.shape == (2, 4, WIDTH)
    torch.testing.assert_close(PromptLearner(text, [pair], apart, "end")(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("words", ["", "  "])
def test_there_must_be_words_to_start_from(text, words):
    with pytest.raises(InvalidOptionError, match="words to start the learned prompts from are empty"):
        context_from_words(text, words)
