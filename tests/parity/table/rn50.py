"""Metrics on CLIP RN50, full size: CLIP-IQA, CLIP-IQA+, QualiCLIP, MA-CLIP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import open_clip
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from perceptmetrics import create_metric
from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD
from tests.benchmarks.clipiqa_family import SIXTEEN, Torchmetrics, piq_metric
from tests.parity.reference_clipiqa import build_reference, reference_score
from tests.parity.table import pyiqa_models
from tests.parity.table.cells import VERSIONS, Cell, cell, image_by_image, tensor_images
from tests.support.full_size_clip import random_clip_state

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

__all__ = ["cells"]

MEAN, STD = (torch.tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
FIVE_PAIRS = "pyiqa takes the mean of five pairs of prompts, the paper one"


def cells(folder: Path) -> list[Cell]:
    """All cells of this group."""
    state = random_clip_state()
    weights = folder / "rn50.safetensors"
    save_file(state, weights)
    clip = pyiqa_models.clip_of(state)
    return [
        *clipiqa_cells(state, weights, clip),
        *learned_prompt_cells(folder, weights, clip),
        qualiclip_cell(folder, state, clip),
        maclip_cell(weights, clip),
    ]


def clipiqa_cells(state: dict[str, Tensor], weights: Path, clip: object) -> list[Cell]:
    """Fixed prompts: the paper's formula, piq, torchmetrics with each of its prompts, pyiqa, CLIP itself."""
    images = tensor_images(256, 320)
    ours = create_metric("clipiqa", backbone_checkpoint=weights)(images)
    paper = reference_score(build_reference(state), images)
    found = [
        cell("clipiqa", "the paper's formula on piq's CLIP", paper, ours),
        cell("clipiqa", VERSIONS["piq"], piq_metric(state)(images), ours),
    ]
    attributes = create_metric("clipiqa", backbone_checkpoint=weights, prompts=SIXTEEN)(images)
    theirs = Torchmetrics(state, SIXTEEN)(images)
    for place, name in enumerate(SIXTEEN):
        shown = "clipiqa" if name == "quality" else f'clipiqa, prompts=["{name}"]'
        found.append(cell(shown, VERSIONS["torchmetrics"], theirs[:, place], attributes[:, place]))
    five = create_metric("clipiqa", backbone_checkpoint=weights, prompts="pyiqa")(images)
    five = five.mean(dim=1) if five.dim() == 2 else five
    mean_of_five = pyiqa_models.with_prompts(clip, "clipiqa")(images)[:, 0]
    found.append(
        cell(
            "clipiqa", VERSIONS["pyiqa"], mean_of_five, ours,
            variant='`prompts="pyiqa"`', named=five, cause=FIVE_PAIRS, paper="ours",
        )
    )  # fmt: skip
    square = tensor_images(224, 224)
    kept = create_metric("clipiqa", backbone_checkpoint=weights, positional_embedding="keep")(square)
    default = create_metric("clipiqa", backbone_checkpoint=weights)(square)
    for name, model in (
        (VERSIONS["open_clip"], open_clip_of(state)),
        (VERSIONS["clip"], pyiqa_models.openai_clip_of(state)),
    ):
        found.append(
            cell(
                "clipiqa", f"zero-shot classification with {name}", zero_shot(model, square), default,
                variant='`positional_embedding="keep"`', named=kept,
                cause="the paper removes the positional embedding", paper="ours",
            )
        )  # fmt: skip
    return found


def open_clip_of(state: dict[str, Tensor]) -> open_clip.CLIP:
    model = open_clip.CLIP(**open_clip.get_model_config("RN50"), quick_gelu=True).eval()
    model.load_state_dict(state)
    return model


def zero_shot(model: open_clip.CLIP, images: Tensor) -> Tensor:
    features = F.normalize(model.encode_image((images - MEAN) / STD), dim=-1)
    texts = F.normalize(model.encode_text(open_clip.tokenize(["Good photo.", "Bad photo."])), dim=-1)
    return (100 * features @ texts.T).softmax(dim=-1)[:, 0]


def learned_prompt_cells(folder: Path, weights: Path, clip: object) -> list[Cell]:
    """CLIP-IQA+ with prompts in the two layouts that pyiqa publishes."""
    images, generator = tensor_images(256, 320), torch.Generator().manual_seed(7)
    shared = 0.2 * torch.randn(16, 512, generator=generator)
    torch.save(shared, folder / "shared.pth")
    ours = create_metric("clipiqa+", checkpoint=folder / "shared.pth", backbone_checkpoint=weights)(images)
    found = [
        cell("clipiqa+", VERSIONS["pyiqa"], pyiqa_models.with_prompts(clip, "clipiqa+", shared)(images)[:, 0], ours)
    ]
    own = shared + 0.02 * torch.randn(2, 16, 512, generator=generator)
    theirs = pyiqa_models.with_prompts(clip, "clipiqa+_rn50_512", own, pos_embedding=True)
    learner = {f"prompt_learner.{name}": tensor for name, tensor in theirs.prompt_learner.state_dict().items()}
    torch.save({"params": learner}, folder / "own.pth")
    ours = create_metric("clipiqa+_rn50_512", checkpoint=folder / "own.pth", backbone_checkpoint=weights)(images)
    return [*found, cell("clipiqa+_rn50_512", VERSIONS["pyiqa"], theirs(images)[:, 0], ours)]


def qualiclip_cell(folder: Path, state: dict[str, Tensor], clip: object) -> Cell:
    """QualiCLIP; the release, which cannot be installed, has temperature 1."""
    images, file = tensor_images(256, 320), folder / "QualiCLIP.pth"
    features = F.normalize(torch.randn(14, 1024, generator=torch.Generator().manual_seed(5)), dim=-1)
    torch.save({f"clip_model.{name}": tensor for name, tensor in state.items()} | {"prompts_features": features}, file)
    theirs = pyiqa_models.qualiclip(clip, file, temperature=2)(images)[:, 0]
    ours, two = (create_metric("qualiclip", checkpoint=file, temperature=value)(images) for value in (1, 2))
    return cell(
        "qualiclip", VERSIONS["pyiqa"], theirs, ours,
        variant="`temperature=2`", named=two, cause="pyiqa divides the logits by 2, the release does not", paper="ours",
    )  # fmt: skip


def maclip_cell(weights: Path, clip: object) -> Cell:
    """MA-CLIP, image by image."""
    images = tensor_images(256, 320)
    ours = create_metric("maclip", backbone_checkpoint=weights)(images)
    with pyiqa_models.maclip(clip) as model:
        return cell("maclip", f"{VERSIONS['pyiqa']}, moved off CUDA", image_by_image(model, images), ours)
