"""PerceptCLIP: quality, memorability and emotion from CLIP ViT-L/14 with LoRA.

Zalcher et al., "Don't Judge Before You CLIP: A Unified Approach for Perceptual Tasks", TMLR 2025, arXiv 2503.13260.
Released on the Hub by the organisation `PerceptCLIP`, a file for each score: the image encoder, the adapters, the head.
Quality looks at fifteen crops, the other two at the middle of the image. The release draws its crops again at each
run; here they are drawn from the metric's seed, the same for every image.
"""

from __future__ import annotations

from dataclasses import replace

from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD, openai_clip
from perceptmetrics.metrics.licences import PERCEPTCLIP_LICENCE
from perceptmetrics.spec import (
    AffineMap,
    CardSpec,
    CentreCropView,
    CropsView,
    EncoderSpec,
    HubFile,
    LoraSpec,
    MetricSpec,
    MlpHeadSpec,
    ScoreSpec,
    SoftmaxMap,
    ViewSpec,
    ViewsSpec,
)

__all__ = ["EMOTIONS", "PERCEPTCLIP_EMO", "PERCEPTCLIP_IQA", "PERCEPTCLIP_MEM", "PLEASANT_EMOTIONS"]

# EmoSet's order. The release confirms the first; the others follow EmoSet's own list of labels.
EMOTIONS = ("amusement", "awe", "contentment", "excitement", "anger", "disgust", "fear", "sadness")
PLEASANT_EMOTIONS = EMOTIONS[:4]

# Section 4 and the release: rank 16, alpha 8, on the queries, keys and values of all 24 layers.
_LORA = LoraSpec(rank=16, alpha=8.0, dropout=0.1, targets=("q", "k", "v"))
# The release maps the raw mean of the crops, about -6.52 to 3.11, to about [0, 1]: (raw + 6.52) / 9.63.
_RAW_LOWEST, _RAW_SPAN = -6.52, 9.63

_PAPER = "Zalcher et al.: Don't Judge Before You CLIP: A Unified Approach for Perceptual Tasks. TMLR 2025"
_PAPER_URL = "https://arxiv.org/abs/2503.13260"
_LICENCE = "By the authors: none stated; CLIP weights by OpenAI: MIT"


def _encoder() -> EncoderSpec:
    return replace(openai_clip("ViT-L-14", positional_embedding="keep"), lora=_LORA, in_trained_file=True)


def _views(view: ViewSpec) -> ViewsSpec:
    return ViewsSpec(views=(view,), mean=CLIP_MEAN, std=CLIP_STD)


def _head(repo: str, filename: str, outputs: int) -> MlpHeadSpec:
    # The size is known to the nearest 100 kB; the hash is recorded at the first download.
    weights = HubFile(
        repo=f"PerceptCLIP/{repo}",
        filename=filename,
        revision="main",
        size=1_227_400_000,
        licence=PERCEPTCLIP_LICENCE,
    )
    return MlpHeadSpec(widths=(768, 512, 256, outputs), activation="relu", dropout=0.5, weights=weights)


PERCEPTCLIP_IQA = MetricSpec(
    name="perceptclip_iqa",
    task="quality",
    encoder=_encoder(),
    views=_views(CropsView(height=512, width=384, size=224, count=15)),
    head=_head("PerceptCLIP_IQA", "perceptCLIP_IQA.pth", outputs=1),
    score=ScoreSpec(
        lower=0.0,
        upper=1.0,
        strict_range=False,
        higher_is_better=True,
        map=AffineMap(scale=1 / _RAW_SPAN, shift=-_RAW_LOWEST / _RAW_SPAN),
    ),
    card=CardSpec(
        summary="Quality as people rate it, learned by CLIP with LoRA: mean over 15 crops.",
        paper=_PAPER,
        paper_url=_PAPER_URL,
        licence=_LICENCE,
        training_data="KonIQ-10k: photographs with mean opinion scores (card of the release).",
        limits="The image is squeezed to 384 x 512 before it is cropped, so its aspect ratio and its finest detail are "
        "lost. Ratings are those of the data's raters, and CLIP carries the biases of web text.",
    ),
)

PERCEPTCLIP_MEM = MetricSpec(
    name="perceptclip_mem",
    task="memorability",
    encoder=_encoder(),
    views=_views(CentreCropView(size=224)),
    head=_head("PerceptCLIP_Memorability", "perceptCLIP_Memorability.pth", outputs=1),
    score=ScoreSpec(lower=0.0, upper=1.0, strict_range=False, higher_is_better=True),
    card=CardSpec(
        summary="Memorability: the fraction of people who would recognise the image when they see it again.",
        paper=_PAPER,
        paper_url=_PAPER_URL,
        licence=_LICENCE,
        training_data="LaMem: photographs with hit rates of a memory game (the paper's main set for this task).",
        limits="Only the middle square is seen. The game's players and the web photographs they saw are not everyone "
        "and not everything; an average over people says little about one of them.",
    ),
)

PERCEPTCLIP_EMO = MetricSpec(
    name="perceptclip_emo",
    task="emotion",
    encoder=_encoder(),
    views=_views(CentreCropView(size=224)),
    head=_head("PerceptCLIP_Emotions", "perceptCLIP_Emotions.pth", outputs=len(EMOTIONS)),
    score=ScoreSpec(
        lower=0.0,
        upper=1.0,
        higher_is_better=True,
        labels=EMOTIONS,
        positive_labels=PLEASANT_EMOTIONS,
        map=SoftmaxMap(),
    ),
    card=CardSpec(
        summary="Evoked emotion: the probability of each of eight emotions that an image may evoke.",
        paper=_PAPER,
        paper_url=_PAPER_URL,
        licence=_LICENCE,
        training_data="EmoSet: images that annotators gave one of Mikels' eight emotions.",
        limits="The order of the labels is EmoSet's; the release confirms only the first. Only the middle square is "
        "seen. What an image evokes depends on who looks: labels of a few annotators are no ground truth for all.",
    ),
)
