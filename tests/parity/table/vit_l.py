"""Metrics on ViT-L-14 of full width, with few layers: LAION's predictors, CLIPScore, CLIP-IQA+."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import open_clip
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from perceptmetrics import create_metric
from tests.parity.table import pyiqa_models
from tests.parity.table.cells import (
    BICUBIC,
    PROMPTS,
    VERSIONS,
    Cell,
    cell,
    image_by_image,
    linear_layers,
    pil_images,
    published_names,
    shallow,
    tensor_images,
)
from tests.parity.table.vit_b import open_clip_of
from tests.support.full_size_clip import random_vit_clip_state

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

__all__ = ["cells"]

WIDTHS = (768, 1024, 128, 64, 16, 1)
PREFIXES = [f"layers.{place}." for place in (0, 2, 4, 6, 7)]
RELEASE = f"the code of the release on {VERSIONS['open_clip']}"


def cells(folder: Path) -> list[Cell]:
    """All cells of this group; one model is in memory at a time."""
    with shallow("ViT-L-14", folder, "laion_aes", "laion_aes_v1", "clip_score", "clipiqa+_vitL14_512") as architecture:
        return cells_of(architecture, folder)


def cells_of(architecture: str, folder: Path) -> list[Cell]:
    weights = folder / "clip.safetensors"
    save_file(random_vit_clip_state(architecture), weights)
    five, one = linear_layers(WIDTHS, gain=100), linear_layers((768, 1), gain=20)
    save_file(published_names(five, PREFIXES), folder / "five.safetensors")
    torch.save(published_names(one, [""]), folder / "one.pth")
    expected = by_open_clip(architecture, weights, five, one)
    gc.collect()
    found = []
    images, tensors = pil_images(), tensor_images(300, 420)
    laion = create_metric("laion_aes", checkpoint=folder / "five.safetensors", backbone_checkpoint=weights)
    ours, on_tensors = laion.score(images), laion.score(tensors)
    found.append(cell("laion_aes", RELEASE, expected["laion_aes"], ours))
    del laion
    first = create_metric("laion_aes_v1", checkpoint=folder / "one.pth", backbone_checkpoint=weights).score(images)
    found.append(cell("laion_aes_v1", RELEASE, expected["laion_aes_v1"], first))
    score = create_metric("clip_score", backbone_checkpoint=weights).score(images, PROMPTS) / 100
    found.append(cell("clip_score", VERSIONS["open_clip"], expected["clip_score"], score))
    gc.collect()
    clip = pyiqa_models.openai_clip_of(load_file(weights))
    theirs = pyiqa_models.laion_aes(clip, five)(tensors)[:, 0]
    found.append(
        cell(
            "laion_aes", VERSIONS["pyiqa"], theirs, ours,
            variant="tensors, not 8-bit images", named=on_tensors,
            cause="pyiqa resizes tensors, the release 8-bit images", paper="ours",
        )
    )  # fmt: skip
    del clip
    gc.collect()
    return [*found, learned_prompts(folder, weights)]


def by_open_clip(architecture: str, weights: Path, five: nn.Module, one: nn.Module) -> dict[str, Tensor]:
    """What the releases compute."""
    model = open_clip_of(architecture, load_file(weights))
    features = F.normalize(model.encode_image(torch.stack([BICUBIC(image) for image in pil_images()])), dim=-1)
    texts = F.normalize(model.encode_text(open_clip.tokenize(PROMPTS)), dim=-1)
    return {
        "laion_aes": five(features)[:, 0],
        "laion_aes_v1": one(features)[:, 0],
        "clip_score": (features * texts).sum(dim=-1).clamp(min=0),
    }


def learned_prompts(folder: Path, weights: Path) -> Cell:
    """`clipiqa+_vitL14_512` on images smaller than CLIP's, so that its table of positions is resized."""
    images = tensor_images(112, 140)
    context = 0.2 * torch.randn(2, 16, 768, generator=torch.Generator().manual_seed(7))
    model = pyiqa_models.with_prompts(
        pyiqa_models.clip_of(load_file(weights)),
        "clipiqa+_vitL14_512",
        context,
        backbone="ViT-L/14",
        pos_embedding=True,
    )
    learner = {f"prompt_learner.{name}": tensor for name, tensor in model.prompt_learner.state_dict().items()}
    torch.save({"params": learner}, folder / "prompts.pth")
    theirs = image_by_image(model, images)
    del model
    gc.collect()
    metric = create_metric("clipiqa+_vitL14_512", checkpoint=folder / "prompts.pth", backbone_checkpoint=weights)
    return cell("clipiqa+_vitL14_512", VERSIONS["pyiqa"], theirs, metric(images))
