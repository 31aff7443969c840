"""The CLIP image encoders of OpenAI, as open_clip publishes them on the Hub.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021.
All of them were trained with QuickGELU and with the pixel mean and standard deviation below. Revision,
size and hash are pinned where they are known; for the others the first download records the hash.
"""

from __future__ import annotations

from perceptmetrics.metrics.licences import OPENAI_CLIP_LICENCE
from perceptmetrics.spec import ClipEncoderSpec, HubFile, PositionalEmbedding

__all__ = ["CLIP_MEAN", "CLIP_STD", "OPENAI_CLIP_WEIGHTS", "openai_clip"]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

_FILENAME = "open_clip_model.safetensors"


def _file(repo: str, revision: str, sha256: str | None = None, size: int | None = None) -> HubFile:
    return HubFile(
        repo=repo, filename=_FILENAME, revision=revision, sha256=sha256, size=size, licence=OPENAI_CLIP_LICENCE
    )


OPENAI_CLIP_WEIGHTS: dict[str, HubFile] = {
    "RN50": _file(
        repo="timm/resnet50_clip.openai",
        revision="ec3d92cf63a5f9d591f0d611b736895966c73076",
        sha256="da0baa37fb2211eee5729ab69ed587eb10d48f5b7076ceeed01552fc3d4cb4ee",
        size=408_291_932,
    ),
    "RN101": _file(repo="timm/resnet101_clip.openai", revision="main"),
    "RN50x4": _file(repo="timm/resnet50x4_clip.openai", revision="main"),
    "ViT-B-32": _file(
        repo="timm/vit_base_patch32_clip_224.openai",
        revision="a6f597a30f7b82c51704746581f9a4e41421e878",
        sha256="e6d1bd7789aa45192b3bf90570a789b478bae1b74ebcce7eddd908e83a2b7c31",
        size=605_143_284,
    ),
    "ViT-B-16": _file(
        repo="timm/vit_base_patch16_clip_224.openai",
        revision="977e3dd0ec55ab8da155f2fbeb6b5f54948b6e3d",
        sha256="4b8699299b1e8997753c64b052ba32031449d5d853f55a039148560ee02b820f",
    ),
    "ViT-L-14": _file(
        repo="timm/vit_large_patch14_clip_224.openai",
        revision="18d0535469bb561bf468d76c1d73aa35156c922b",
        sha256="9ce2e8a8ebfff3793d7d375ad6d3c35cb9aebf3de7ace0fc7308accab7cd207e",
        size=1_710_517_724,
    ),
}


def openai_clip(architecture: str, positional_embedding: PositionalEmbedding) -> ClipEncoderSpec:
    """Specify an OpenAI CLIP image encoder.

    Args:
        architecture: A key of `OPENAI_CLIP_WEIGHTS`.
        positional_embedding: What becomes of the positional embedding, see `ClipEncoderSpec`.

    Returns:
        The encoder's specification.
    """
    return ClipEncoderSpec(
        architecture=architecture,
        quick_gelu=True,
        weights=OPENAI_CLIP_WEIGHTS[architecture],
        positional_embedding=positional_embedding,
    )
