"""CLIP-IQA: zero-shot quality and look-and-feel from antonym prompts; CLIP-IQA+: with learned prompts.

Wang, Chan, Loy, "Exploring CLIP for Assessing the Look and Feel of Images", AAAI 2023,
arXiv 2207.12396. Released as https://github.com/IceClear/CLIP-IQA.
"""

from __future__ import annotations

from dataclasses import replace

from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD, openai_clip
from perceptmetrics.metrics.licences import PYIQA_PROMPTS_LICENCE
from perceptmetrics.metrics.pyiqa_files import pyiqa_file
from perceptmetrics.spec import (
    AntonymHeadSpec,
    CardSpec,
    ClipEncoderSpec,
    ContextSpec,
    MetricSpec,
    PromptPair,
    ScoreSpec,
    ViewsSpec,
    WholeView,
)

__all__ = ["CLIPIQA", "CLIPIQA_PLUS", "CLIPIQA_PLUS_RN50_512", "CLIPIQA_PLUS_VITL14_512"]

CLIPIQA_PAIRS = (PromptPair(name="quality", positive="Good photo.", negative="Bad photo."),)

CLIPIQA = MetricSpec(
    name="clipiqa",
    task="quality",
    encoder=openai_clip("RN50", positional_embedding="drop"),
    views=ViewsSpec(views=(WholeView(),), mean=CLIP_MEAN, std=CLIP_STD),
    head=AntonymHeadSpec(pairs=CLIPIQA_PAIRS),
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

# Learned on KonIQ-10k; published with pyiqa under CC BY-NC-SA 4.0: downloaded, never redistributed.
_PROMPTS_REVISION = "2e0f216cef5664a13537ca44119354535272e4ac"


def _with_learned_prompts(name: str, encoder: ClipEncoderSpec, filename: str, size: int, sha256: str) -> MetricSpec:
    weights = pyiqa_file(filename, PYIQA_PROMPTS_LICENCE, revision=_PROMPTS_REVISION, size=size, sha256=sha256)
    context = ContextSpec(length=16, position="middle", weights=weights)
    embedding = "without" if encoder.positional_embedding == "drop" else "with a resized"
    return replace(
        CLIPIQA,
        name=name,
        encoder=encoder,
        head=AntonymHeadSpec(pairs=CLIPIQA_PAIRS, context=context),
        card=replace(
            CLIPIQA.card,
            summary=f"CLIP-IQA+: quality with prompts learned around a frozen {encoder.architecture} "
            f"{embedding} positional embedding.",
            licence="Prompts: CC-BY-NC-SA-4.0 (not for commercial use); CLIP weights by OpenAI: MIT",
            training_data="KonIQ-10k: photographs with mean opinion scores; only the prompts were trained.",
        ),
    )


CLIPIQA_PLUS = _with_learned_prompts(
    "clipiqa+",
    openai_clip("RN50", positional_embedding="drop"),
    "CLIP-IQA+_learned_prompts-603f3273.pth",
    17_144,
    "603f3273b6e8a75b309297c85781170c067c6b474f66818c2f253a46a6534447",
)

CLIPIQA_PLUS_RN50_512 = _with_learned_prompts(
    "clipiqa+_rn50_512",
    openai_clip("RN50", positional_embedding="interpolate_table"),
    "CLIPIQA+_RN50_512-89f5d940.pth",
    316_707,
    "89f5d940c543b5d7010dec4f66deebf0768c2fd4ef5205ce5c9d0222ea63f5bc",
)

CLIPIQA_PLUS_VITL14_512 = _with_learned_prompts(
    "clipiqa+_vitL14_512",
    openai_clip("ViT-L-14", positional_embedding="interpolate_table"),
    "CLIPIQA+_ViTL14_512-e66488f2.pth",
    474_403,
    "e66488f27a5d7a86abe8fd9c168d70eef0a7ae3ebe1919e5c19efa8e8dfe495d",
)
