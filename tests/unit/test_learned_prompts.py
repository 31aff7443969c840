"""Prompts with learned vectors: how they are put together, which files they come from, what is refused."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from perceptmetrics import create_metric, metric_info
from perceptmetrics.errors import InvalidOptionError, WeightsError
from perceptmetrics.models.encoders import TextEncoder
from perceptmetrics.models.encoders.clip_text import class_length, tokenize_with_context
from perceptmetrics.models.heads import antonym
from perceptmetrics.spec import ContextSpec
from perceptmetrics.spec.json import spec_to_json
from perceptmetrics.weights.layouts import read_prompts
from tests.support import small_clip
from tests.support.hub_server import HubStandIn
from tests.support.registered_metrics import temporary_metrics
from tests.support.small_clip import RESNET

CLASSES = ["Good photo.", "Bad photo."]
WIDTH = 64
PUBLISHED_BYTES = {"clipiqa+": 17_144, "clipiqa+_rn50_512": 316_707, "clipiqa+_vitL14_512": 474_403}


def random(*shape, seed=0):
    return 0.3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    small_clip.register(tmp_path_factory.mktemp("configurations"))
    return small_clip.build(RESNET)


# Tokens


def test_the_text_is_tokenised_as_a_whole_behind_placeholders():
    """CLIP has a word "..", so CoOp's full stop makes another last word and no further one."""
    tokens = tokenize_with_context(CLASSES, 16, 77)
    for row, adjective in zip(tokens.tolist(), (886, 2103), strict=True):
        assert row == [49406, *[343] * 16, adjective, 1125, 852, 49407, *[0] * 56]
    assert [class_length(text) for text in CLASSES] == [3, 3]


def test_a_text_without_a_full_stop_leaves_coops_behind_the_vectors():
    tokens = tokenize_with_context(["Good photo"], 4, 77)[0].tolist()
    assert tokens[5:9] == [886, 1125, 269, 49407]
    assert class_length("Good photo") == 2


@pytest.mark.parametrize(("length", "words"), [(16, 59), (4, 71)])
def test_a_text_that_does_not_fit_beside_the_vectors_is_refused(length, words):
    fits = " ".join(["photo"] * (words - 1))  # and the full stop
    assert tokenize_with_context([fits], length, 77).shape == (1, 77)
    with pytest.raises(InvalidOptionError, match=r"has 76 tokens; CLIP reads 75\. Shorten it\."):
        tokenize_with_context([f"{fits} photo"], length, 77)


# Encoding


def encode_by_hand(model, text, context, before, count):
    tokens = tokenize_with_context([text], len(context), 77)[0]
    embedded = model.token_embedding(tokens)
    words, rest = embedded[len(context) + 1 :].split([count, 76 - len(context) - count])
    sequence = [embedded[0], *context[:before], *words, *context[before:], *rest]
    hidden = torch.stack(sequence)[None] + model.positional_embedding
    for block in model.transformer.resblocks:
        hidden = block(hidden, attn_mask=model.attn_mask)
    end = tokens.tolist().index(49407)
    feature = model.ln_final(hidden)[0, end] @ model.text_projection
    return feature / feature.norm()


@pytest.mark.parametrize("length", [1, 5, 16])
@pytest.mark.parametrize("position", ["middle", "end"])
@pytest.mark.parametrize("shared", [True, False])
def test_the_words_stand_among_the_vectors(model, length, position, shared):
    texts = ["Good photo.", "Not aesthetic photo.", "Cosy"]
    context = random(length, WIDTH) if shared else random(3, length, WIDTH)
    features = TextEncoder(model).encode_with_context(texts, context, position)
    before = {"middle": length // 2, "end": length}[position]
    for place, (text, count) in enumerate(zip(texts, (3, 4, 1), strict=True)):
        vectors = context if shared else context[place]
        expected = encode_by_hand(model, text, vectors, before, count)
        torch.testing.assert_close(features[place], expected, rtol=1e-5, atol=1e-5)


def test_each_vector_matters_and_learns(model):
    context = random(6, WIDTH).requires_grad_()
    good, bad = TextEncoder(model).encode_with_context(CLASSES, context)
    (good @ bad).backward()
    assert (context.grad.abs().amax(dim=1) > 0).all()


# Files


def state_of(name):
    """Tensors in the sizes of a published file."""
    if name == "clipiqa+":
        return random(16, 512).half()
    width = 512 if "rn50" in name else 768
    names = {"ctx": 16, "token_prefix": 1, "token_suffix": 60}
    return {"params": {f"prompt_learner.{part}": random(2, count, width) for part, count in names.items()}}


@pytest.mark.parametrize(("name", "size"), PUBLISHED_BYTES.items())
def test_a_file_of_the_described_layout_is_as_large_as_the_published_one(tmp_path, name, size):
    state = state_of(name)
    torch.save(state, tmp_path / "prompts.pth")
    written = (tmp_path / "prompts.pth").stat().st_size
    assert 0 <= written - size < 900  # today's PyTorch adds a few small records
    source = metric_info(name).head.context.weights
    assert source.size == size
    assert source.filename.endswith(f"-{source.sha256[:8]}.pth")
    found = read_prompts(tmp_path / "prompts.pth").head
    assert found["context"].dtype == torch.float32
    if isinstance(state, dict):
        assert found.keys() == {"context", "token_prefix", "token_suffix"}
        for part, name in {"ctx": "context", "token_prefix": "token_prefix", "token_suffix": "token_suffix"}.items():
            assert torch.equal(found[name], state["params"][f"prompt_learner.{part}"])
    else:
        assert found.keys() == {"context"}
        assert torch.equal(found["context"], state.float())


def test_the_official_checkpoint_holds_much_else(tmp_path):
    context = random(16, 512)
    others = {"step_counter": torch.zeros(1), "generator.clipmodel_0.clip_model.logit_scale": torch.ones(())}
    state = others | {"generator.clipmodel_0.prompt_learner.ctx": context}
    torch.save({"meta": {"epoch": 1, "mmedit_version": "0.1"}, "state_dict": state}, tmp_path / "iter_80000.pth")
    assert torch.equal(read_prompts(tmp_path / "iter_80000.pth").head["context"], context)


def test_our_own_file_holds_vectors_and_regressor(tmp_path):
    tensors = {
        "head.context": random(16, 8),
        "head.regressor.0.weight": random(1, 2),
        "head.regressor.0.bias": random(1),
    }
    save_file(tensors, tmp_path / "ours.safetensors")
    found = read_prompts(tmp_path / "ours.safetensors").head
    assert torch.equal(found["context"], tensors["head.context"])
    assert found.keys() == {"context", "regressor.0.weight", "regressor.0.bias"}


@pytest.mark.parametrize(
    "content",
    [{"ctx": torch.zeros(16, 8)}, torch.zeros(8), {"prompt_learner.ctx": torch.zeros(1, 2, 16, 8)}, {}],
    ids=["other name", "one axis", "four axes", "empty"],
)
def test_a_file_without_prompts_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="holds no"):
        read_prompts(tmp_path / "other.pth")


# Metrics


def write(path, context, **more):
    save_file({"prompt_learner.ctx": context, **more}, path)
    return path


@pytest.mark.parametrize("shape", [(15, WIDTH), (4, 16, WIDTH), (3, 16, WIDTH), (2, 8, WIDTH)], ids=str)
def test_vectors_of_another_number_are_refused(tiny_clips, tmp_path, shape):
    trained = write(tmp_path / "other.safetensors", random(*shape))
    with pytest.raises(WeightsError, match=r"the shape \(16, channels\), \(1, 16, channels\) or \(2, 16, channels\)"):
        create_metric("clipiqa+", checkpoint=trained, backbone_checkpoint=tiny_clips)


def test_vectors_of_a_pair_are_those_of_both_its_prompts(tiny_clips, tmp_path):
    vectors = random(16, WIDTH)
    scores = [
        create_metric(
            "clipiqa+", checkpoint=write(tmp_path / f"{number}.safetensors", given), backbone_checkpoint=tiny_clips
        )(torch.linspace(0, 1, 3 * 64 * 64).view(1, 3, 64, 64))
        for number, given in enumerate((vectors, vectors[None], vectors.expand(2, 16, WIDTH).contiguous()))
    ]
    assert scores[0].equal(scores[1])
    torch.testing.assert_close(scores[0], scores[2])


def test_vectors_of_another_width_are_refused(tiny_clips, tmp_path):
    trained = write(tmp_path / "other.safetensors", random(16, 48))
    with pytest.raises(WeightsError, match=r"trained with another CLIP: they have 48 channels, .* has 64"):
        create_metric("clipiqa+", checkpoint=trained, backbone_checkpoint=tiny_clips)


def test_prompts_of_another_clip_are_told_by_their_token_embeddings(tiny_clips, tmp_path):
    name, options = "clipiqa+_rn50_512", {"backbone_checkpoint": tiny_clips}
    embedded = TextEncoder(small_clip.build(RESNET)).embed(tokenize_with_context(CLASSES, 16, 77)).half().float()
    parts = {"prompt_learner.token_prefix": embedded[:, :1], "prompt_learner.token_suffix": embedded[:, 17:]}
    parts = {part: tensor.contiguous() for part, tensor in parts.items()}
    own = write(tmp_path / "own.safetensors", random(2, 16, WIDTH), **parts)
    assert create_metric(name, checkpoint=own, **options).spec.name == name
    others = {part: tensor + random(*tensor.shape, seed=1) * 30 for part, tensor in parts.items()}
    other = write(tmp_path / "other.safetensors", random(2, 16, WIDTH, seed=2), **others)
    with pytest.raises(WeightsError, match=r"token embeddings in their file, .* are not those of the CLIP at hand"):
        create_metric(name, checkpoint=other, **options)
    cut = parts | {"prompt_learner.token_suffix": parts["prompt_learner.token_suffix"][:, :-1].contiguous()}
    shorter = write(tmp_path / "cut.safetensors", random(2, 16, WIDTH, seed=3), **cut)
    with pytest.raises(WeightsError, match=r"of shape \(2, 60, 64\), are not those of .* of shape \(2, 61, 64\)"):
        create_metric(name, checkpoint=shorter, **options)


def test_learned_prompts_take_no_other_options(tiny_clips):
    for option in ("prompts", "template", "backbone", "prompt"):
        with pytest.raises(InvalidOptionError, match=f"'clipiqa\\+' has no option '{option}'. Known: resize."):
            create_metric("clipiqa+", weights=None, **{option: "quality"})


def test_random_prompts_are_seeded(tiny_clips):
    first, again, other = (create_metric("clipiqa+", weights=None, seed=seed).head.text_features for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_an_exported_metric_keeps_its_prompts(tiny_clips, tmp_path):
    folder = tmp_path / "exported"
    folder.mkdir()
    spec = metric_info("clipiqa+")
    spec = replace(spec, head=replace(spec.head, context=replace(spec.head.context, weights=None)))
    (folder / "spec.json").write_text(spec_to_json(spec))
    write(folder / "model.safetensors", context := random(16, WIDTH))
    metric = create_metric(folder, backbone_checkpoint=tiny_clips)
    expected = TextEncoder(small_clip.build(RESNET)).encode_with_context(CLASSES, context)
    torch.testing.assert_close(metric.head.text_features[0], expected, rtol=1e-5, atol=1e-5)


# The Hub


@pytest.fixture
def hub(tiny_clips, tmp_path, monkeypatch):
    with HubStandIn() as stand_in:
        stand_in.replace_hub(monkeypatch, tmp_path / "hub")
        yield stand_in


@pytest.mark.parametrize("right", [True, False])
def test_published_prompts_are_downloaded_and_verified(hub, tiny_clips, tmp_path, right):
    path = write(tmp_path / "published.safetensors", random(16, WIDTH))
    content, spec = path.read_bytes(), metric_info("clipiqa+")
    source = replace(spec.head.context.weights, filename="prompts.safetensors")
    if right:
        source = replace(source, sha256=hashlib.sha256(content).hexdigest())
    hub.commit(source.repo, {source.filename: content}, branch=source.revision)
    context = replace(spec.head.context, weights=source)
    with temporary_metrics(replace(spec, head=replace(spec.head, context=context))):
        if not right:
            with pytest.raises(WeightsError, match=f"is not the expected file: .* expects {source.sha256}"):
                create_metric("clipiqa+", backbone_checkpoint=tiny_clips)
            return
        metric = create_metric("clipiqa+", backbone_checkpoint=tiny_clips)
        expected = create_metric("clipiqa+", backbone_checkpoint=tiny_clips, checkpoint=path)
    assert torch.equal(metric.head.text_features, expected.head.text_features)


@pytest.mark.parametrize("name", ["token_prefix", "token_suffix"])
def test_half_of_the_token_embeddings_of_a_file_are_not_compared(name, model):
    """Only both together are the embeddings of a whole prompt."""
    spec = ContextSpec(length=4, weights=None)
    text = TextEncoder(model)
    foreign = {name: random(2, 1 if name == "token_prefix" else 72, WIDTH)}
    antonym._check_same_clip(spec, CLASSES, text, random(4, WIDTH), foreign)
    both = {"token_prefix": random(2, 1, WIDTH), "token_suffix": random(2, 72, WIDTH)}
    with pytest.raises(WeightsError, match="trained with another CLIP"):
        antonym._check_same_clip(spec, CLASSES, text, random(4, WIDTH), both)


@pytest.mark.parametrize("context", [None, torch.zeros(3, 8), torch.zeros(3, 4, 8), torch.zeros(4)], ids=range(4))
def test_context_of_another_shape_is_refused_with_the_shapes_that_fit(context):
    spec = ContextSpec(length=4, weights=None)
    found = None if context is None else tuple(context.shape)
    with pytest.raises(
        WeightsError,
        match=rf"^The learned prompts should have the shape \(4, channels\), \(1, 4, channels\) or \(2, 4, channels\), "
        rf"got {re.escape(str(found))}\. Check that the file belongs to this metric\.$",
    ):
        antonym._context_for(context, spec, 2)
    for shape in ((4, 8), (1, 4, 8), (2, 4, 8)):
        assert antonym._context_for(torch.zeros(shape), spec, 2).shape[-2:] == (4, 8)
