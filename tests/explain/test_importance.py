"""Importance of heads: equal to a pass for each head from the pixels up, and to the first order to a gradient."""

from __future__ import annotations

import math

import pytest
import torch
from PIL import Image

from perceptmetrics import create_metric, head_importance
from perceptmetrics.errors import InvalidImageError, InvalidOptionError
from perceptmetrics.explain import Head, HeadImportance
from perceptmetrics.models.encoders import ClipVisionTransformer, TimmPooled
from perceptmetrics.models.lora import merge_lora
from tests.explain.brute_force import changes
from tests.explain.cases import CLIP_CASES, TIMM_CASES, metric_and_reference
from tests.support import adapted_encoders, small_clip
from tests.support.every_encoder import timm_network
from tests.support.registered_metrics import build


def image(seed=0, height=64, width=96):
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def brute_force(metric, reference, attentions, picture):
    return changes(
        reference, attentions, lambda groups: metric.forward_features(groups, 1)[0], metric.views(picture[None])
    )


@pytest.mark.parametrize("name", CLIP_CASES + TIMM_CASES)
def test_exact_changes_are_those_of_a_pass_for_each_head(name):
    metric, reference, attentions = metric_and_reference(name)
    found = head_importance(metric, [image(0), image(1)])
    for number in range(2):
        scores, table = brute_force(metric, reference, attentions, image(number))
        assert table.abs().amax() > 2e-3  # a hundred times what may be missing
        torch.testing.assert_close(found.changes[number], table, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(found.scores[number], scores, rtol=1e-5, atol=1e-5)  # float32 with one thread
    assert found.exact.all()


@pytest.mark.parametrize("name", ["perceptclip_emo", "clip_uiqa", "registers"])
def test_scores_are_the_metrics_own(name):
    metric, *_ = metric_and_reference(name)
    scores = head_importance(metric, [image(0)], heads=[Head(0, 0)]).scores
    torch.testing.assert_close(scores[0].squeeze(), metric.score(image(0)).squeeze(), rtol=0, atol=2e-6)


def test_parts_of_any_size_give_the_same(monkeypatch):
    metric, *_ = metric_and_reference("perceptclip_iqa")
    whole = head_importance(metric, image()).changes
    monkeypatch.setattr(type(metric.encoder), "cache_sized_part", lambda *_: 1)
    torch.testing.assert_close(head_importance(metric, image()).changes, whole, rtol=1e-3, atol=1e-6)


class Frozen:
    """Lets the class token of a watched encoder change, while the other tokens leave each block as they were."""

    def __init__(self, reference, attentions, groups):
        self.reference, self.groups = reference, groups
        blocks = reference.transformer.resblocks if hasattr(reference, "transformer") else reference.blocks
        self.depth = len(blocks)
        self.tokens, self.reads, self.recording = [], [], True
        for layer, (block, attention) in enumerate(zip(blocks, attentions, strict=True)):
            attention.register_forward_hook(lambda _module, _inputs, read: self.reads.append(read))
            block.register_forward_hook(lambda _module, _inputs, out, at=layer: self.leave(at, out))

    def leave(self, layer, out):
        if self.recording:
            self.tokens.append(out)
            return out
        own = self.tokens[self.group * self.depth + layer]
        return torch.cat([out[:, :1], own[:, 1:]], dim=1)

    def run(self):
        """Features of each group, and what its tokens read in each block."""
        features, reads = [], []
        for number, group in enumerate(self.groups):
            self.group, self.reads = number, []
            features.append(self.reference(group))
            reads.append(self.reads)
        return features, reads


@pytest.mark.parametrize("name", ["perceptclip_iqa", "perceptclip_emo", "clip_uiqa", "registers"])
def test_estimates_follow_the_class_token_and_take_the_patches_to_the_first_order(name):
    """By the libraries' own blocks, and one backward pass through the whole network."""
    metric, reference, attentions = metric_and_reference(name)
    found = head_importance(metric, image(), method="gradient")
    frozen = Frozen(reference, attentions, [group.requires_grad_() for group in metric.views(image()[None])])
    features, own = frozen.run()
    scores = metric.forward_features(features, 1)[0]
    flat = [read for group in own for read in group]
    gradients = [torch.autograd.grad(score, flat, retain_graph=True) for score in scores]
    frozen.recording = False
    expected = torch.zeros_like(found.changes[0])
    with torch.no_grad():
        for layer, attention in enumerate(attentions):
            for head in range(attention.heads):
                attention.uniform = head
                features, reads = frozen.run()
                attention.uniform = None
                expected[layer, head] = metric.forward_features(features, 1)[0] - scores
                now = [read for group in reads for read in group]
                moved = [(new - old)[:, 1:] for new, old in zip(now, flat, strict=True)]
                for label, row in enumerate(gradients):
                    expected[layer, head, label] += sum((m * g[:, 1:]).sum() for m, g in zip(moved, row, strict=True))
    assert expected.abs().amax() > 2e-3
    torch.testing.assert_close(found.changes[0], expected, rtol=2e-3, atol=1e-5)
    assert not found.exact.any()


@pytest.mark.parametrize("name", ["perceptclip_iqa", "perceptclip_emo", "clip_uiqa", "timm", "registers"])
def test_estimates_are_near_the_exact_changes(name):
    metric, *_ = metric_and_reference(name)
    exact = head_importance(metric, [image(0), image(1)])
    estimated = head_importance(metric, [image(0), image(1)], method="gradient")
    error = (estimated.changes - exact.changes).abs().mean() / exact.changes.abs().mean()
    assert error < 0.25
    torch.testing.assert_close(estimated.changes[:, -1], exact.changes[:, -1], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(estimated.changes[:, -2], exact.changes[:, -2], rtol=1e-3, atol=1e-5)


def test_screening_measures_the_strongest_eighth():
    metric, *_ = metric_and_reference("timm")
    estimated = head_importance(metric, [image(0), image(1)], method="gradient")
    exact = head_importance(metric, [image(0), image(1)])
    screened = head_importance(metric, [image(0), image(1)], method="screened")
    count = math.ceil(estimated.exact.numel() / 8)
    assert {tuple(place) for place in screened.exact.nonzero().tolist()} == set(estimated.strongest(count))
    mask = screened.exact[..., None]
    torch.testing.assert_close(screened.changes, torch.where(mask, exact.changes, estimated.changes))


def test_adapters_may_be_attached_or_merged():
    encoder, _ = adapted_encoders.clip()
    metric = build("perceptclip_mem")
    metric.encoder = encoder.requires_grad_(False)
    metric.encoder.mode = "interpolate"
    attached = head_importance(metric, image()).changes
    merge_lora(encoder)
    torch.testing.assert_close(head_importance(metric, image()).changes, attached, rtol=1e-2, atol=1e-6)
    assert attached.abs().amax() > 1e-4


def test_the_attention_pool_of_a_resnet_is_a_layer_of_heads():
    model = small_clip.build(small_clip.RESNET)
    pool, metric = model.visual.attnpool, build("clipiqa")
    weights = {name: tensor.clone() for name, tensor in pool.state_dict().items()}
    metric.encoder = type(metric.encoder)(model.visual, "drop").requires_grad_(False)
    found = head_importance(metric, image(), method="exact")
    feature_map = metric.encoder.feature_map(metric.views(image()[None])[0])
    tokens = feature_map.flatten(2)[0].T
    tokens = torch.cat([tokens.mean(0, keepdim=True), tokens])
    query, key, value = (
        (tokens @ weights[f"{part}_proj.weight"].T + weights[f"{part}_proj.bias"])
        .unflatten(-1, (pool.num_heads, -1))
        .transpose(0, 1)
        for part in "qkv"
    )
    rows = torch.softmax(query[:, :1] @ key.mT / query.shape[-1] ** 0.5, dim=-1)

    def score(rows):
        attended = (rows @ value)[:, 0].flatten()
        return metric.forward_features([(attended @ weights["c_proj.weight"].T + weights["c_proj.bias"])[None]], 1)[0]

    for head in range(pool.num_heads):
        changed = rows.clone()
        changed[head] = 1 / rows.shape[-1]
        torch.testing.assert_close(found.changes[0, 0, head], score(changed) - score(rows), rtol=1e-3, atol=1e-5)
    assert found.changes.shape[1:3] == (1, pool.num_heads)
    assert found.changes.abs().amax() > 1e-4


def test_heads_that_are_not_asked_for_are_unknown():
    metric, *_ = metric_and_reference("perceptclip_iqa")
    wanted = [Head(2, 1), Head(0, 0)]
    some, every = head_importance(metric, image(), heads=wanted), head_importance(metric, image())
    known = some.importance.isfinite()
    assert {tuple(place) for place in known.nonzero().tolist()} == set(wanted)
    torch.testing.assert_close(some.changes[:, known], every.changes[:, known], rtol=1e-3, atol=1e-6)
    assert set(some.strongest(5)) == set(wanted)


def importance(changes, *, shared=False):
    changes = torch.tensor(changes)
    return HeadImportance(
        metric="m",
        method="exact",
        labels=(),
        shared=shared,
        images=("a", "b"),
        failed=(),
        scores=torch.zeros(len(changes), changes.shape[-1]),
        changes=changes,
        exact=torch.ones(changes.shape[1:3], dtype=torch.bool),
    )


def test_what_importance_is():
    two_labels = [[[[0.3, -0.1], [0.2, 0.2]]], [[[-0.1, 0.1], [0.0, 0.0]]]]  # two images, one layer, two heads
    mean = importance(two_labels)
    torch.testing.assert_close(mean.importance, torch.tensor([[0.15, 0.1]]))
    torch.testing.assert_close(importance(two_labels, shared=True).importance, torch.tensor([[0.15, 0.1]]))
    torch.testing.assert_close(mean.signed, torch.tensor([[[0.1, 0.0], [0.1, 0.1]]]))
    three = [[[[0.3, -0.2, -0.1]]]]
    torch.testing.assert_close(importance(three).importance, torch.tensor([[0.2]]))  # mean of absolute changes
    torch.testing.assert_close(importance(three, shared=True).importance, torch.tensor([[0.3]]))  # what moved
    assert mean.strongest(1) == [Head(0, 0)]
    assert mean.most_changed([Head(0, 1)], 2) == [0, 1]
    assert importance([[[[0.1]]], [[[-0.4]]]]).most_changed([Head(0, 0)], 1) == [1]


def test_emotions_share_their_probability():
    metric, *_ = metric_and_reference("perceptclip_emo")
    found = head_importance(metric, image())
    assert found.shared
    assert len(found.labels) == found.changes.shape[-1] == 8
    torch.testing.assert_close(found.changes.sum(-1), torch.zeros(found.changes.shape[:-1]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", ["exact", "gradient", "screened"])
def test_progress_goes_from_none_to_all(method):
    metric, *_ = metric_and_reference("perceptclip_iqa")
    told = []
    head_importance(metric, [image(0), image(1)], method=method, progress=told.append)
    assert told == sorted(told)
    assert told[0] > 0
    assert told[-1] == 1
    if method == "exact":
        assert len(told) > 6


def test_unreadable_files_are_named(tmp_path):
    metric, *_ = metric_and_reference("perceptclip_mem")
    Image.new("RGB", (40, 40), "red").save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    found = head_importance(metric, tmp_path)
    assert found.images == (str(tmp_path / "good.png"),)
    (failed,) = found.failed
    assert failed.name == str(tmp_path / "bad.png")
    assert "bad.png" in failed.error
    with pytest.raises(InvalidImageError, match=r"no readable image.*bad"):
        head_importance(metric, tmp_path / "bad.png")


def test_metrics_without_heads_say_what_explains_them():
    with pytest.raises(InvalidOptionError, match=r"'lite_iqa' has no attention heads.*Saliency explains any metric"):
        head_importance(create_metric("lite_iqa"), image())


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("test_vit2", "read off by 'avg' pooling.*not by a class token"),
        ("test_vit3", "read off by 'map' pooling"),
        ("test_vit_relpos", "does not consist of plain attention blocks"),
    ],
)
def test_other_transformers_are_refused(architecture, message):
    network = timm_network(architecture, num_classes=0)
    with pytest.raises(InvalidOptionError, match=message):
        TimmPooled(network, convolutional=False, any_size=False).transformer()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "guess"}, "method must be one of"),
        ({"heads": [Head(3, 0)]}, r"no head 3\.0: the encoder has layers 0 to 2 with heads 0 to 1"),
        ({"heads": [Head(0, 2)]}, r"no head 0\.2"),
        ({"heads": []}, "heads= is empty"),
    ],
)
def test_wrong_options_are_refused(options, message):
    metric, *_ = metric_and_reference("perceptclip_mem")
    with pytest.raises(InvalidOptionError, match=message):
        head_importance(metric, image(), **options)


def test_quantised_metrics_are_measured_but_not_differentiated():
    metric = build("perceptclip_mem", precision="int8")
    assert head_importance(metric, image()).importance.isfinite().all()
    with pytest.raises(InvalidOptionError, match="is quantised"):
        head_importance(metric, image(), method="gradient")


def test_walking_through_the_blocks_is_encoding():
    backbone = ClipVisionTransformer(small_clip.build(small_clip.VIT).visual, "interpolate")
    pixels = torch.randn(2, 3, 80, 100, generator=torch.Generator().manual_seed(0))
    steps = backbone.transformer()
    tokens = steps.embed(pixels)
    for block in steps.blocks:
        tokens = block.through(tokens)
    torch.testing.assert_close(steps.read(tokens[:, 0]), backbone(pixels), rtol=1e-5, atol=1e-5)
    assert tokens.shape[1] == 1 + math.prod(steps.grid(80, 100))


@pytest.mark.slow
def test_full_size_heads_agree_with_a_pass_for_each():
    """ViT-L/14 with random weights; a few heads from all depths."""
    from tests.explain.full_size import random_perceptclip

    metric, reference, attentions = random_perceptclip()
    wanted = [Head(0, 3), Head(5, 0), Head(11, 15), Head(21, 7), Head(22, 8), Head(23, 1)]
    found = head_importance(metric, image(0, 300, 300), heads=wanted)
    group = metric.views(image(0, 300, 300)[None])[0]
    with torch.no_grad():
        own = metric.forward_features([reference(group)], 1)[0]
        for head in wanted:
            attentions[head.layer].uniform = head.number
            changed = metric.forward_features([reference(group)], 1)[0]
            attentions[head.layer].uniform = None
            torch.testing.assert_close(found.changes[0][head], changed - own, rtol=1e-2, atol=1e-5)
    assert found.importance.nan_to_num().max() > 1e-3
