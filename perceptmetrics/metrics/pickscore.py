"""PickScore: the scaled cosine of an image with its prompt in a CLIP that users' choices have trained.

Kirstain et al., "Pick-a-Pic: An Open Dataset of User Preferences for Text-to-Image Generation", NeurIPS 2023,
arXiv 2305.01569. Released on the Hub in the layout of Hugging Face's `CLIPModel`.
"""

from __future__ import annotations

from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD
from perceptmetrics.metrics.hpsv2 import PREFERENCE_LIMITS, laion_vit_h
from perceptmetrics.metrics.licences import PICKSCORE_LICENCE
from perceptmetrics.spec import CardSpec, CentreCropView, HubFile, MetricSpec, PromptHeadSpec, ScoreSpec, ViewsSpec

__all__ = ["PICKSCORE"]

PICKSCORE = MetricSpec(
    name="pickscore",
    task="preference",
    encoder=laion_vit_h(
        HubFile(
            repo="yuvalkirstain/PickScore_v1",
            filename="model.safetensors",
            revision="a4e4367c6dfa7288a00c550414478f865b875800",
            licence=PICKSCORE_LICENCE,
        )
    ),
    views=ViewsSpec(views=(CentreCropView(size=224, interpolation="bicubic"),), mean=CLIP_MEAN, std=CLIP_STD),
    head=PromptHeadSpec(scaled=True),
    score=ScoreSpec(lower=None, upper=None, higher_is_better=True),
    card=CardSpec(
        summary="PickScore: which generated image of a prompt people prefer; about 17 to 24.",
        paper="Kirstain et al.: Pick-a-Pic: An Open Dataset of User Preferences for Text-to-Image Generation. "
        "NeurIPS 2023",
        paper_url="https://arxiv.org/abs/2305.01569",
        licence="For the weights: none stated (no tag on the Hub; the code is MIT)",
        training_data="Pick-a-Pic v1: choices of users between generated images of their prompt.",
        limits=f"Only the middle square is seen. {PREFERENCE_LIMITS}",
    ),
)
