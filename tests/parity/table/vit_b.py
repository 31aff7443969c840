"""Metrics on ViT-B, full size: LIQE, LAION's first predictor, CLIPScore, ViTMem."""

from __future__ import annotations

from typing import TYPE_CHECKING

import open_clip
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from perceptmetrics import create_metric, metric_info
from tests.parity import test_text_heads as texts
from tests.parity import test_vitmem as vitmem
from tests.parity.table import pyiqa_models
from tests.parity.table.cells import (
    BICUBIC,
    PROMPTS,
    VERSIONS,
    Cell,
    cell,
    linear_layers,
    pil_images,
    published_names,
    tensor_images,
)
from tests.support.every_encoder import timm_network
from tests.support.full_size_clip import random_vit_clip_state

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

__all__ = ["cells", "open_clip_of"]

PREFIX = "A photo depicts"
PREFIXED = "pyiqa, as the paper, puts 'A photo depicts' before the prompt and multiplies by 2.5, not 100"


def cells(folder: Path) -> list[Cell]:
    """All cells of this group."""
    found = []
    for architecture, name in (("ViT-B-32", "laion_aes_v1_b32"), ("ViT-B-16", "laion_aes_v1_b16")):
        state = random_vit_clip_state(architecture, side=224 if architecture == "ViT-B-32" else 112)
        weights = folder / f"{architecture}.safetensors"
        save_file(state, weights)
        model = open_clip_of(architecture, state)
        found.append(laion_cell(name, model, folder, weights))
        if architecture == "ViT-B-32":
            found += [*liqe_cells(state, model, folder, weights), *clip_score_cells(state, model, weights)]
        del state, model
        weights.unlink()
    return [*found, vitmem_cell(folder)]


def open_clip_of(architecture: str, state: dict[str, Tensor], *, quick_gelu: bool = True) -> open_clip.CLIP:
    """open_clip's own model with these weights."""
    model = open_clip.CLIP(**open_clip.get_model_config(architecture), quick_gelu=quick_gelu).eval()
    model.load_state_dict(state, assign=True)
    return model.requires_grad_(False)


def laion_cell(name: str, model: open_clip.CLIP, folder: Path, weights: Path) -> Cell:
    """The code of the release: one linear layer on the embedding of unit length."""
    head = linear_layers((512, 1), gain=20)
    torch.save(published_names(head, [""]), folder / "head.pth")
    images = pil_images()
    features = model.encode_image(torch.stack([BICUBIC(image) for image in images]))
    expected = head(F.normalize(features, dim=-1))[:, 0]
    ours = create_metric(name, checkpoint=folder / "head.pth", backbone_checkpoint=weights).score(images)
    return cell(name, f"the code of the release on {VERSIONS['open_clip']}", expected, ours)


def liqe_cells(state: dict[str, Tensor], model: open_clip.CLIP, folder: Path, weights: Path) -> list[Cell]:
    """LIQE and LIQE-mix beside pyiqa, and beside the patch that the release looks at."""
    images, clip = tensor_images(256, 320), pyiqa_models.clip_of(state)
    liqe = create_metric("liqe", backbone_checkpoint=weights)(images)
    found = [cell("liqe", VERSIONS["pyiqa"], pyiqa_models.liqe(clip, folder / "a", mtl=False)(images)[:, 0], liqe)]
    top_left = create_metric("liqe", backbone_checkpoint=weights, patches="top_left")(images)
    levels = texts.texts_of(model, [f"a photo with {quality} quality" for quality in texts.QUALITIES])
    release = torch.stack([top_left_alone(model, image, levels) @ torch.arange(1.0, 6) for image in images])
    found.append(
        cell(
            "liqe", f"the code of the release on {VERSIONS['open_clip']}", release, liqe,
            variant='`patches="top_left"`', named=top_left,
            cause="the release chooses patches by the size of the batch: below 15 images the one at the top left",
            paper="ours",
        )
    )  # fmt: skip
    mixed = create_metric("liqe_mix", backbone_checkpoint=weights)(images)
    found.append(
        cell("liqe_mix", VERSIONS["pyiqa"], pyiqa_models.liqe(clip, folder / "b", mtl=True)(images)[:, 0], mixed)
    )
    joint = texts.texts_of(model, metric_info("liqe_mix").head.texts)
    grids = torch.stack([spread_patches(model, image, joint) for image in images]).view(-1, 5, 9, 11)
    for output in ("scene", "distortion"):
        expected = grids.sum(dim=(1, 3) if output == "scene" else (1, 2))
        ours = create_metric("liqe_mix", backbone_checkpoint=weights, output=output)(images)
        found.append(
            cell(f'liqe_mix, output="{output}"', f"the formula of the paper on {VERSIONS['open_clip']}", expected, ours)
        )
    return found


def top_left_alone(model: open_clip.CLIP, image: Tensor, encoded: Tensor) -> Tensor:
    """LIQE's distribution over texts, from the patch that the release looks at in small batches."""
    return distribution(model, texts.patches_of(image, 32)[:1], encoded)


def spread_patches(model: open_clip.CLIP, image: Tensor, encoded: Tensor) -> Tensor:
    """The same from 15 patches, spread as in pyiqa."""
    patches = texts.patches_of(image, 32)
    count = min(15, len(patches))
    step = max(1, len(patches) // count)
    return distribution(model, patches[[step * place for place in range(count)]], encoded)


def distribution(model: open_clip.CLIP, patches: Tensor, encoded: Tensor) -> Tensor:
    features = F.normalize(model.encode_image(patches), dim=-1)
    return (model.logit_scale.exp() * features @ encoded.T).mean(dim=0).softmax(dim=0)


def clip_score_cells(state: dict[str, Tensor], model: open_clip.CLIP, weights: Path) -> list[Cell]:
    """CLIPScore as a cosine."""
    metric = create_metric("clip_score", backbone="ViT-B-32", backbone_checkpoint=weights)
    images, tensors = pil_images(), tensor_images(300, 420)
    pixels = torch.stack([BICUBIC(image) for image in images])
    ours = metric.score(images, PROMPTS) / 100
    found = []
    clips = ((VERSIONS["open_clip"], model), (VERSIONS["clip"], pyiqa_models.openai_clip_of(state)))
    for name, clip in clips:
        encoded = clip.encode_text(open_clip.tokenize(PROMPTS))
        cosines = F.cosine_similarity(clip.encode_image(pixels), encoded).clamp(min=0)
        found.append(cell('clip_score, backbone="ViT-B-32"', name, cosines, ours))
    from pyiqa.archs import clipscore_arch

    theirs = clipscore_arch.CLIPScore.__new__(clipscore_arch.CLIPScore)
    torch.nn.Module.__init__(theirs)
    theirs.clip_model, theirs.prefix, theirs.w = clips[1][1], PREFIX, 2.5
    expected = theirs(tensors, PROMPTS) / 2.5
    prefixed = metric.score(tensors, [f"{PREFIX} {prompt}" for prompt in PROMPTS]) / 100
    default = metric.score(tensors, PROMPTS) / 100
    return [
        *found,
        cell(
            'clip_score, backbone="ViT-B-32"', VERSIONS["pyiqa"], expected, default,
            variant="the words in the prompt", named=prefixed, cause=PREFIXED, paper="theirs",
        ),
    ]  # fmt: skip


def vitmem_cell(folder: Path) -> Cell:
    """The code of the release: timm's network behind torchvision's transforms."""
    network = vitmem.spread(timm_network(vitmem.FULL, num_classes=1))
    images = pil_images()
    file = vitmem.write(network, folder / "vitmem.pth")
    ours = create_metric("vitmem", checkpoint=file).score(images)
    return cell(
        "vitmem", f"the code of the release on {VERSIONS['timm']}", vitmem.expected_scores(network, images), ours
    )
