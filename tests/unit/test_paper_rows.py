"""Each row of CLIP-IQA's Tables 1 and 2, and its naive baseline, is one call."""

from __future__ import annotations

import open_clip
import pytest
import torch

from perceptmetrics import create_metric
from perceptmetrics.models.prompts import TEMPLATES
from perceptmetrics.spec import CosineHeadSpec
from tests.support import small_clip
from tests.support.small_clip import IMAGE_SIZE, RESNET, VIT

GOOD = ("Good photo.", "Bad photo.")

# Row: name and options, then prompts, architecture and positional embedding.
ROWS = {
    "CLIP-IQA": ("clipiqa", {}, GOOD, "RN50", "drop"),
    "CLIP-IQA+": ("clipiqa+", {}, GOOD, "RN50", "drop"),
    "template 1": ("clipiqa", {"template": TEMPLATES[0]}, GOOD, "RN50", "drop"),
    "template 2": ("clipiqa", {"template": TEMPLATES[1]}, ("A photo of good.", "A photo of bad."), "RN50", "drop"),
    "template 3": (
        "clipiqa",
        {"template": TEMPLATES[2]},
        ("There is good in the photo.", "There is bad in the photo."),
        "RN50",
        "drop",
    ),
    "high quality": (
        "clipiqa",
        {"prompts": [("High quality", "Low quality")], "template": TEMPLATES[0]},
        ("High quality photo.", "Low quality photo."),
        "RN50",
        "drop",
    ),
    "high definition": (
        "clipiqa",
        {"prompts": [("High definition photo.", "Low definition photo.")]},
        ("High definition photo.", "Low definition photo."),
        "RN50",
        "drop",
    ),
    "RN50 vanilla": ("clipiqa", {"positional_embedding": "keep"}, GOOD, "RN50", "keep"),
    "RN50 interpolated": ("clipiqa", {"positional_embedding": "interpolate"}, GOOD, "RN50", "interpolate"),
    "ViT-B/32 vanilla": (
        "clipiqa",
        {"backbone": "ViT-B/32", "positional_embedding": "keep"},
        GOOD,
        "ViT-B-32",
        "keep",
    ),
    "ViT-B/32 interpolated": (
        "clipiqa",
        {"backbone": "ViT-B/32", "positional_embedding": "interpolate"},
        GOOD,
        "ViT-B-32",
        "interpolate",
    ),
    "ViT-B/32 removed": ("clipiqa", {"backbone": "ViT-B/32"}, GOOD, "ViT-B-32", "drop"),
    "naive": ("clipiqa", {"prompt": "Good photo."}, "Good photo.", "RN50", "drop"),
}
TINY = {"RN50": RESNET, "ViT-B-32": VIT}


@pytest.fixture(autouse=True)
def tiny_architectures(tmp_path, monkeypatch):
    """The architectures keep their names and become small."""
    small_clip.register(tmp_path)
    configurations = {name: open_clip.get_model_config(small) for name, small in TINY.items()}
    monkeypatch.setattr(open_clip, "get_model_config", configurations.__getitem__)


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_one_call(row):
    name, options, texts, architecture, positional = ROWS[row]
    metric = create_metric(name, weights=None, **options)
    backbone, head = metric.spec.encoder, metric.spec.head
    assert (backbone.architecture, backbone.positional_embedding) == (architecture, positional)
    assert backbone.quick_gelu
    if isinstance(head, CosineHeadSpec):
        assert head.prompt == texts
        assert metric.score_range == (-1.0, 1.0)
    else:
        assert [(pair.positive, pair.negative) for pair in head.pairs] == [texts]
        assert (head.context is not None) is (name == "clipiqa+")
        assert metric.score_range == (0.0, 1.0)
    side = IMAGE_SIZE[TINY[architecture]]
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    assert metric.score(images).shape == (2,)
    if positional != "keep":  # any size
        assert metric.score(images[..., : side - 5]).shape == (2,)


def test_rows_differ():
    scores = {}
    for row, (name, options, *_) in ROWS.items():
        if row not in ("template 1", "CLIP-IQA+"):
            images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
            keep = options.get("positional_embedding") == "keep" and "backbone" not in options
            images = torch.nn.functional.interpolate(images, (96, 96)) if keep else images
            scores[row] = create_metric(name, weights=None, **options).score(images).item()
    same_grid = {"ViT-B/32 vanilla", "ViT-B/32 interpolated"}
    assert scores["ViT-B/32 vanilla"] == scores["ViT-B/32 interpolated"], "at the training size they are the same"
    different = [score for row, score in scores.items() if row not in same_grid]
    assert len(set(different)) == len(different)
