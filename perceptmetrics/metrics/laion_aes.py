"""LAION's aesthetic predictor, version 2: five linear layers on CLIP's embedding, which is scaled to unit length.

Schuhmann et al., "LAION-5B", NeurIPS 2022, arXiv 2210.08402; released as improved-aesthetic-predictor. Nothing stands
between the layers, so the score is an affine function of the embedding. The published files, `.safetensors` and the
original `.pth`, name their tensors alike.
"""

from __future__ import annotations

from perceptmetrics.metrics.laion_heads import laion_spec
from perceptmetrics.metrics.licences import LAION_AES_LICENCE
from perceptmetrics.spec import HeadLayout, HubFile

__all__ = ["LAION_AES"]

_V2_PLACES = (0, 2, 4, 6, 7)  # the others held dropouts

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
        licence=LAION_AES_LICENCE,
    ),
    (
        "LAION's aesthetic score, version 2: how beautiful people find an image, about 1 to 10.",
        "Apache-2.0 (tag of the Hub repository); CLIP weights by OpenAI: MIT",
        "Ratings of Simulacra Aesthetic Captions (generated images), LAION-Logos and AVA (photographs).",
    ),
)
