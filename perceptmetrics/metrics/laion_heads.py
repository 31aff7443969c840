"""What LAION's two aesthetic predictors have in common: linear layers on an OpenAI CLIP's embedding of unit length."""

from __future__ import annotations

from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD, openai_clip
from perceptmetrics.spec import (
    CardSpec,
    CentreCropView,
    HeadLayout,
    MetricSpec,
    MlpHeadSpec,
    ScoreSpec,
    ViewsSpec,
    WeightSource,
)

__all__ = ["laion_spec"]

_PAPER = "Schuhmann et al.: LAION-5B: An open large-scale dataset for training next generation image-text models. 2022"
_LIMITS = (
    "Only the middle square is seen. The raters and images are those of art and photography sites on the web; what "
    "they find beautiful is not what everyone does, and vivid, painterly images are favoured. Technical flaws weigh "
    "little."
)


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
