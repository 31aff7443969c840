"""LAION's aesthetic predictor, version 1: a linear layer on CLIP's embedding, which is scaled to unit length.

Released as https://github.com/LAION-AI/aesthetic-predictor for three CLIPs. The files, 3 to 4 kB each, lie in the
folder `laion` as they were published.
"""

from __future__ import annotations

from perceptmetrics.metrics.laion_heads import laion_spec
from perceptmetrics.metrics.licences import LAION_AES_V1_LICENCE
from perceptmetrics.spec import HeadLayout, MetricSpec, PackageFile

__all__ = ["LAION_AES_V1", "LAION_AES_V1_B16", "LAION_AES_V1_B32"]


def _first_version(suffix: str, architecture: str, file: tuple[str, str, int]) -> MetricSpec:
    filename, sha256, size = file
    return laion_spec(
        f"laion_aes_v1{suffix}",
        architecture,
        (768 if architecture == "ViT-L-14" else 512, 1),
        HeadLayout(weights=("weight",), biases=("bias",)),
        PackageFile(
            package="perceptmetrics",
            filename=f"metrics/laion/{filename}",
            sha256=sha256,
            size=size,
            licence=LAION_AES_V1_LICENCE,
        ),
        (
            "LAION's aesthetic score, version 1, linear in the embedding of ViT-L/14, ViT-B/32 or ViT-B/16.",
            "MIT (LICENSE of the repository, see NOTICE); CLIP weights by OpenAI: MIT",
            "Not stated; the names of the files point to Simulacra Aesthetic Captions (generated images).",
        ),
    )


LAION_AES_V1 = _first_version(
    "",
    "ViT-L-14",
    ("sa_0_4_vit_l_14_linear.pth", "2cd4e60f4f24ae3bcd57b847b13c1f3ba27edc28cc1a7f9ce74ee9f421243cba", 4071),
)
LAION_AES_V1_B32 = _first_version(
    "_b32",
    "ViT-B-32",
    ("sa_0_4_vit_b_32_linear.pth", "c7b14cead230694acc7b9447974d3cad78003c72da032e402a303b6c2429e85f", 3047),
)
LAION_AES_V1_B16 = _first_version(
    "_b16",
    "ViT-B-16",
    ("sa_0_4_vit_b_16_linear.pth", "8ad3923d7ecf019df20ecd2ab5542a3075fbba0278d239c0371345f3d7fcbde0", 3047),
)
