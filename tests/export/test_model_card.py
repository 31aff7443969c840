"""The model card of every metric is filled, readable by the Hub, and loads the metric that it describes."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import yaml
from huggingface_hub import ModelCard

from perceptmetrics.export.card import model_card, with_source
from perceptmetrics.metrics import BUILTIN_SPECS
from perceptmetrics.metrics.lite import LITE_IQA
from perceptmetrics.metrics.perceptclip import PERCEPTCLIP_EMO, PERCEPTCLIP_IQA

RESULTS = {"livec": {"srcc": 0.81234, "plcc": 0.9}, "biq|2021": {"srcc": 0.7, "rmse": 12.0, "plcc": float("nan")}}
HEADINGS = [
    "How to use",
    "What it predicts",
    "How it was made",
    "Evaluation",
    "Limits and bias",
    "Licence",
    "Citation",
]


def front_matter(card):
    return yaml.safe_load(card.split("---\n")[1])


@pytest.mark.parametrize("spec", BUILTIN_SPECS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("results", [None, RESULTS], ids=["without figures", "with figures"])
def test_nothing_is_left_unfilled(spec, results):
    card = model_card(spec, source="runs/x", results=results)
    assert not re.search(r"\b(None(?! beyond)|TODO|TBD|nan)\b|\{\w*\}|\[More Information|<[a-z_]+>", card)
    assert re.findall(r"^## (.*)$", card, flags=re.MULTILINE) == HEADINGS
    assert all(section.strip() for section in re.split(r"^## .*$", card, flags=re.MULTILINE))
    for expected in (spec.name, spec.card.summary, spec.card.licence, spec.card.paper, spec.score.range_text):
        assert expected in card


@pytest.mark.parametrize("spec", BUILTIN_SPECS, ids=lambda spec: spec.name)
def test_the_hub_reads_its_metadata(spec):
    data = ModelCard(model_card(spec, source="runs/x", results=RESULTS, datasets=["me/livec"])).data.to_dict()
    assert (data["library_name"], data["pipeline_tag"]) == ("perceptmetrics", "image-classification")
    assert data["metrics"] == ["plcc", "rmse", "srcc"]
    assert data["datasets"] == ["me/livec"]
    assert "human-perception" in data["tags"]


@pytest.mark.parametrize(
    ("licence", "expected"), [("CC-BY-NC-SA-4.0", "cc-by-nc-sa-4.0"), ("MIT", "mit"), ("Ask: the authors", "other")]
)
def test_a_licence_is_named_as_the_hub_names_it(licence, expected):
    card = model_card(replace(LITE_IQA, card=replace(LITE_IQA.card, licence=licence)), source="x")
    assert front_matter(card)["license"] == expected
    assert ("license_name" in front_matter(card)) is (expected == "other")
    assert f"## Licence\n\n{licence}\n" in card


def test_the_encoder_is_the_base_model():
    assert front_matter(model_card(PERCEPTCLIP_IQA, source="x"))["base_model_relation"] == "adapter"
    assert (
        front_matter(model_card(PERCEPTCLIP_IQA, source="x"))["base_model"] == "timm/vit_large_patch14_clip_224.openai"
    )
    assert "base_model" not in front_matter(model_card(LITE_IQA, source="x"))  # it comes from a Python package


def test_figures_stand_in_a_table():
    card = model_card(LITE_IQA, source="x", results=RESULTS)
    assert "| data set | SRCC | PLCC | RMSE |" in card
    assert "| livec | 0.8123 | 0.9000 | not measured |" in card
    assert "| biq\\|2021 | 0.7000 | not measured | 12.0000 |" in card


def test_what_was_trained_is_said():
    assert "LoRA of rank 16, alpha 8 on q, k, v" in model_card(PERCEPTCLIP_IQA, source="x")
    assert "a head on the frozen encoder" in model_card(LITE_IQA, source="x")
    whole = replace(LITE_IQA, encoder=replace(LITE_IQA.encoder, in_trained_file=True))
    assert "the encoder and a head" in model_card(whole, source="x")
    assert "```yaml\nlr: 1\n```" in model_card(LITE_IQA, source="x", recipe="lr: 1\n")


def test_labels_are_listed_and_predicted():
    card = model_card(PERCEPTCLIP_EMO, source="x")
    assert "amusement, awe, contentment" in card
    assert 'metric.predict("photo.jpg")' in card
    assert "predict(" not in model_card(LITE_IQA, source="x")


def test_a_published_card_loads_from_the_hub():
    card = model_card(LITE_IQA, source='a "strange"\\folder')
    published = with_source(model_card(LITE_IQA, source="runs/x"), "hub:me/mine")
    assert 'create_metric("hub:me/mine")' in published
    assert "runs/x" not in published
    assert r'create_metric("a \"strange\"\\folder")' in card
    assert 'create_metric("hub:me/mine")' in with_source(card, "hub:me/mine")
