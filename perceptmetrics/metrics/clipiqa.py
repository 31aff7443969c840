"""CLIP-IQA: zero-shot quality and look-and-feel from antonym prompts.

Wang, Chan, Loy, "Exploring CLIP for Assessing the Look and Feel of Images", AAAI 2023,
arXiv 2207.12396. Released as https://github.com/IceClear/CLIP-IQA.
"""

from __future__ import annotations

from perceptmetrics.metrics.clip_backbones import CLIP_MEAN, CLIP_STD, openai_clip
from perceptmetrics.spec import (
    AntonymHeadSpec,
    CardSpec,
    MetricSpec,
    PromptPair,
    ScoreSpec,
    ViewsSpec,
    WholeView,
)

__all__ = ["CLIPIQA"]

CLIPIQA = MetricSpec(
    name="clipiqa",
    task="quality",
    backbone=openai_clip("RN50", positional_embedding="drop"),
    views=ViewsSpec(views=(WholeView(),), mean=CLIP_MEAN, std=CLIP_STD),
    head=AntonymHeadSpec(pairs=(PromptPair(name="quality", positive="Good photo.", negative="Bad photo."),)),
    score=ScoreSpec(lower=0.0, upper=1.0, higher_is_better=True),
    card=CardSpec(
        summary="Zero-shot quality: how much closer an image is to 'Good photo.' than to 'Bad photo.' in CLIP.",
        paper="Wang, Chan, Loy: Exploring CLIP for Assessing the Look and Feel of Images. AAAI 2023",
        paper_url="https://arxiv.org/abs/2207.12396",
        licence="CLIP weights by OpenAI: MIT",
        training_data="None beyond CLIP's 400 million image-text pairs from the web.",
        limits="Scores depend on the wording of the prompts, and CLIP carries the biases of web text: the subject "
        "of a photograph shifts its quality score. OpenAI asks not to deploy CLIP untested.",
    ),
)
