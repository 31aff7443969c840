"""lite_attributes: seven attributes of photographs, offline, with the encoder and the features of `lite_iqa`.

The head learned from ladders of degradations alone: the recipe `lite_attributes_ladders`. It has an output for each
attribute, all from one forward pass of the encoder. The names are those of CLIP-IQA (AAAI 2023) where it has the
attribute, and 1 is the end that its positive prompts describe. The head, this specification as JSON and nothing else
lie in `metrics/lite_attributes/`.
"""

from __future__ import annotations

from perceptmetrics.metrics.licences import LITE_IQA_LICENCE
from perceptmetrics.metrics.lite import LITE_IQA
from perceptmetrics.spec import CardSpec, LogisticMap, MetricSpec, MlpHeadSpec, PackageFile, ScoreSpec

__all__ = ["LITE_ATTRIBUTES"]

_MEANINGS = {
    "sharpness": "1 = sharp",
    "noisiness": "1 = clean, no visible noise",
    "compression": "1 = no visible artefacts",
    "overexposure": "1 = no highlights lost",
    "underexposure": "1 = no shadows lost",
    "contrast": "1 = high contrast",
    "colorfulness": "1 = colourful",
}

LITE_ATTRIBUTES = MetricSpec(
    name="lite_attributes",
    task="attribute",
    encoder=LITE_IQA.encoder,
    views=LITE_IQA.views,
    head=MlpHeadSpec(
        widths=(1024, 7),
        activation="gelu",
        feature_map="signed_log",
        standardise=True,
        dropout=0.0,
        input_dropout=0.1,
        weights=PackageFile(
            package="perceptmetrics",
            filename="metrics/lite_attributes/model.safetensors",
            sha256="556c019825a69d6b0db88eae04a2ae0745edb8d66c99d3a8e8e954afbdbba8a5",
            size=37_284,
            licence=LITE_IQA_LICENCE,
        ),
    ),
    score=ScoreSpec(lower=0.0, upper=1.0, higher_is_better=True, labels=tuple(_MEANINGS), map=LogisticMap()),
    card=CardSpec(
        summary="Seven attributes of photographs, offline and fast: "
        + "; ".join(f"{name} ({meaning})" for name, meaning in _MEANINGS.items())
        + ".",
        paper="Head: this project. Encoder: Tan, Le: EfficientNet. ICML 2019. Photographs: Ghadiyaram, Bovik: Massive "
        "Online Crowdsourced Study of Subjective and Objective Picture Quality. IEEE TIP 2016",
        paper_url="https://arxiv.org/abs/1905.11946",
        licence="Apache-2.0; trained on images of LIVE In the Wild (see NOTICE)",
        training_data="Degradation ladders of 300 photographs of LIVE In the Wild and of 26 CC0 photographs; no "
        "ratings.",
        limits="No person rated any of the attributes: the head learned to order synthetic degradations, and scores "
        "are relative to 300 photographs of LIVE In the Wild, of which one in ten is below 0.25 and one in ten above "
        "0.75 in each attribute. Not meant for drawings, screenshots, generated or medical images.",
    ),
)
