"""Embeddings score as their images do, and those that cannot be right are refused."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from perceptmetrics import InvalidEmbeddingError, InvalidOptionError, MetricSuite, create_metric, metric_info
from perceptmetrics.metrics.laion_aes import LAION_AES
from perceptmetrics.models import embeddings
from perceptmetrics.models.heads import MlpHead
from tests.support.photographs import photographs
from tests.support.registered_metrics import build

PROMPT = "a photo of a cat"


@pytest.fixture(scope="module")
def images():
    return photographs(224, 224)[:3]


@pytest.fixture(scope="module")
def laion():
    return build("laion_aes")


def embedded(metric, images):
    [rows] = metric.encode(metric.views(images))
    return rows


@pytest.mark.parametrize("name", ["lite_iqa", "laion_aes", "clip_score", "pickscore", "clipiqa+", "perceptclip_emo"])
def test_an_embedding_scores_as_its_image(name, images):
    metric = build(name)
    prompts = (PROMPT,) if metric.reads_prompts else ()
    expected, rows = metric(images, *prompts), embedded(metric, images)
    said = {"encoder": metric.encoder.fingerprint(), "normalized": False}
    assert torch.equal(metric.score_features(rows, *prompts, **said), expected)
    assert torch.equal(metric.score_features(rows.numpy(), *prompts, **said), expected)
    torch.testing.assert_close(metric.score_features(rows[1], *prompts, **said), expected[1:2], atol=1e-5, rtol=1e-5)
    if metric.spec.head.reads_length:
        with pytest.raises(InvalidOptionError, match=r"length of the encoder's features, which .* have lost"):
            metric.score_features(F.normalize(rows, dim=-1), *prompts, **said | {"normalized": True})
    else:
        short = metric.score_features(F.normalize(rows, dim=-1), *prompts, **said | {"normalized": True})
        torch.testing.assert_close(short, expected, atol=1e-5, rtol=1e-5)


def test_a_suite_scores_them_with_each_of_its_metrics(laion, images):
    other = build("clip_score")
    rows = embedded(laion, images)
    scores = MetricSuite([laion, other]).score_features(rows, PROMPT, normalized=False)
    assert torch.equal(scores["laion_aes"], laion.score_features(rows, normalized=False))
    assert torch.equal(scores["clip_score"], other.score_features(rows, PROMPT, normalized=False))


def test_gradients_reach_embeddings(laion, images):
    rows = embedded(laion, images).detach().requires_grad_()
    laion.score_features(rows, normalized=False).sum().backward()
    assert (rows.grad.abs().sum(dim=1) > 0).all()


def test_many_embeddings_score_as_few_do(monkeypatch):
    """The five linear layers of the real sizes, multiplied out, deviate by rounding only; parts follow each other."""
    torch.manual_seed(0)
    head = MlpHead(LAION_AES.head).eval()
    rows = torch.randn(300, 768)
    with torch.no_grad():
        torch.testing.assert_close(head.for_many()(rows), head(rows), atol=1e-6, rtol=1e-5)
    assert head.train().for_many() is head
    metric = build("laion_aes")
    few = metric.score_features(rows[:, :64], normalized=False)
    monkeypatch.setattr(embeddings, "_FEW", 10)
    monkeypatch.setattr(embeddings, "_AT_ONCE", 128)
    torch.testing.assert_close(metric.score_features(rows[:, :64], normalized=False), few, atol=1e-5, rtol=1e-5)


def test_each_has_its_text(images):
    metric = build("clip_score")
    rows, texts = embedded(metric, images), ["a cat", "a dog", "a cat"]
    assert torch.equal(metric.score_features(rows, texts, normalized=False), metric(images, texts))
    features = metric.encode_prompts(texts)
    assert torch.equal(metric.score_features(rows, features, normalized=False), metric(images, texts))
    with pytest.raises(InvalidOptionError, match="2 prompts for 3"):
        metric.score_features(rows, texts[:2], normalized=False)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (torch.zeros(2, 63), r"reads embeddings of 64 numbers.*got \(2, 63\)"),
        (torch.zeros(2, 64, 1), r"got \(2, 64, 1\)"),
        (torch.zeros(0, 64), "no embeddings"),
        (torch.zeros(2, 64), r"Embedding 0 \(and 1 others\) is zero"),
        (torch.eye(64)[:3] / torch.tensor([[1.0], [0.0], [1.0]]), "Embedding 1 holds NaN"),
        (torch.zeros(2, 64, dtype=torch.int64), "floating-point numbers, got torch.int64"),
        (np.zeros((2, 64), np.uint8), "floating-point numbers, got an array of uint8"),
        (np.zeros((2, 64), object), "got an array of object"),
        ([[0.0] * 64], "got list"),
    ],
    ids=str,
)
def test_what_is_no_embedding_is_refused(laion, given, said):
    with pytest.raises(InvalidEmbeddingError, match=said):
        laion.score_features(given, normalized=True)


def test_a_broken_promise_of_unit_length_is_told(laion, images, caplog):
    rows = embedded(laion, images)
    with caplog.at_level(logging.WARNING):
        laion.score_features(F.normalize(rows, dim=-1).half(), normalized=True)
        laion.score_features(rows, normalized=False)
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        laion.score_features(torch.cat([rows[:1], F.normalize(rows, dim=-1)]), normalized=True)
    assert "1 of 4 embeddings do not have unit length" in caplog.text


def test_a_metric_that_reads_the_length_refuses_unit_length():
    metric = create_metric("lite_iqa")
    rows = F.normalize(torch.randn(3, metric.encoder.feature_size), dim=-1)
    with pytest.raises(InvalidEmbeddingError, match="have unit length, although"):
        metric.score_features(rows, normalized=False)


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("maclip", r"several views of each image \(as many as fit into it\)"),
        ("perceptclip_iqa", r"several views of each image \(15\)"),
        ("perceptclip_mem", r"tuned for it.*encoder=metric.encoder.fingerprint\(\)"),
    ],
)
def test_a_metric_that_needs_more_says_what(name, needs):
    metric = build(name)
    rows = torch.randn(2, metric.encoder.feature_size)
    with pytest.raises(InvalidOptionError, match=f"{name}' cannot score these embeddings.*{needs}"):
        metric.score_features(rows, normalized=False)


def test_whether_they_are_normalised_must_be_said(laion):
    with pytest.raises(InvalidOptionError, match="True or False, got 'yes'"):
        laion.score_features(torch.ones(1, 64), normalized="yes")


@pytest.fixture(scope="module")
def alone():
    """The real head of LAION's first version, without its CLIP, which is never looked for."""
    return create_metric("laion_aes_v1", embeddings_only=True, local_files_only=True)


def test_embeddings_need_no_encoder(alone):
    rows = torch.eye(768)[:2]
    weight, bias = alone.head.layers[0].weight[0], alone.head.layers[0].bias
    torch.testing.assert_close(alone.score_features(rows, normalized=True), weight[:2] + bias)
    with pytest.raises(InvalidOptionError, match="embeddings_only=True, so it has no encoder and scores no images"):
        alone(torch.rand(1, 3, 224, 224))
    with pytest.raises(InvalidOptionError, match="no encoder and no fingerprint"):
        alone.score_features(rows, normalized=True, encoder="0" * 64)
    with pytest.raises(InvalidOptionError, match="no encoder to compute in 'int8'"):
        create_metric("laion_aes_v1", embeddings_only=True, precision="int8")
    with pytest.raises(InvalidOptionError, match="tuned for it"):
        create_metric("perceptclip_mem", embeddings_only=True)


@pytest.mark.parametrize("name", ["ViT-L-14", "ViT-L/14", "ViT-L-14/openai"])
def test_the_same_encoder_passes_by_each_of_its_names(alone, name):
    rows = torch.eye(768)[:2]
    assert len(alone.score_features(rows, normalized=True, encoder=name)) == 2


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-L-14/laion2b_s32b_b82k", "timm:vit_large_patch14_dinov2"])
def test_another_encoder_is_refused(alone, name):
    with pytest.raises(InvalidOptionError, match=f"come from {name}, and the metric reads those of ViT-L-14"):
        alone.score_features(torch.eye(768)[:2], normalized=True, encoder=name)


def test_another_fingerprint_is_refused(laion):
    with pytest.raises(InvalidOptionError, match="encoder of fingerprint 0000"):
        laion.score_features(torch.randn(2, 64), normalized=False, encoder="0" * 64)


def test_the_plain_encoder_is_another_than_one_without_its_positional_embedding():
    for name, other in (("clipiqa", "ViT-L-14"), ("clip_score", "RN50")):
        spec = metric_info(name).encoder
        plain = replace(spec, positional_embedding="keep")
        embeddings._check_same_encoder(spec.architecture, plain, str)
        with pytest.raises(InvalidOptionError, match=f"come from {other}"):
            embeddings._check_same_encoder(other, plain, str)
    with pytest.raises(InvalidOptionError, match="come from RN50"):
        embeddings._check_same_encoder("RN50", metric_info("clipiqa").encoder, str)
