"""LAION's aesthetic predictor, version 2: five linear layers on CLIP's embedding, which is scaled to unit length.

Schuhmann et al., "LAION-5B", NeurIPS 2022, arXiv 2210.08402; released as improved-aesthetic-predictor. Nothing stands
between the layers, so the score is an affine function of the embedding. The published files, `.safetensors` and the
original `.pth`, name their tensors alike.
"""

from __future__ import annotations

from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD, openai_clip
from perceptmetrics.spec import (
    CardSpec,
    CentreCropView,
    HeadLayout,
    HubFile,
    MetricSpec,
    MlpHeadSpec,
    ScoreSpec,
    ViewsSpec,
    WeightSource,
)

__all__ = ["LAION_AES", "laion_spec"]

_PAPER = "Schuhmann et al.: LAION-5B: An open large-scale dataset for training next generation image-text models. 2022"
_LIMITS = (
    "Only the middle square is seen. The raters and images are those of art and photography sites on the web; what "
    "they find beautiful is not what everyone does, and vivid, painterly images are favoured. Technical flaws weigh "
    "little."
)
_V2_PLACES = (0, 2, 4, 6, 7)  # the others held dropouts


def laion_spec(
    name: str, architecture: str, widths: tuple[int, ...], layout: HeadLayout, file: WeightSource, card: tuple[str, ...]
) -> MetricSpec:
    """A head of linear layers on the embedding of an OpenAI CLIP.

    Args:
        name: Name of the metric.
        architecture: The CLIP.
        widths: Sizes from the embedding to the score.
        layout: Names of the tensors in the released file.
        file: That file.
        card: Summary, licence and training data.
    """
    summary, licence, training_data = card
    return MetricSpec(
        name=name,
        task="aesthetics",
        encoder=openai_clip(architecture, positional_embedding="keep"),
        views=ViewsSpec(views=(CentreCropView(size=224, interpolation="bicubic"),), mean=CLIP_MEAN, std=CLIP_STD),
        head=MlpHeadSpec(widths=widths, activation="none", feature_map="l2", layout=layout, weights=file),
        score=ScoreSpec(lower=None, upper=None, higher_is_better=True),
        card=CardSpec(
            summary=summary,
            paper=_PAPER,
            paper_url="https://arxiv.org/abs/2210.08402",
            licence=licence,
            training_data=training_data,
            limits=_LIMITS,
        ),
    )


LAION_AES = laion_spec(
    "laion_aes",
    "ViT-L-14",
    (768, 1024, 128, 64, 16, 1),
    HeadLayout(
        weights=tuple(f"layers.{place}.weight" for place in _V2_PLACES),
        biases=tuple(f"layers.{place}.bias" for place in _V2_PLACES),
    ),
    HubFile(
        repo="ttj/sac-logos-ava1-l14-linearMSE",
        filename="model.safetensors",
        revision="1e77fa05081323d99725fc40a9bf9f88180490e7",
        sha256="ca3d182bacb66cfb8b3062347d2656dbeae6f8ef90cec45f01775fcaf3e58c67",
        size=3_712_718,
    ),
    (
        "LAION's aesthetic score, version 2: how beautiful people find an image, about 1 to 10.",
        "Apache-2.0 (tag of the Hub repository); CLIP weights by OpenAI: MIT",
        "Ratings of Simulacra Aesthetic Captions (generated images), LAION-Logos and AVA (photographs).",
    ),
)
