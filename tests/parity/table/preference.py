"""HPS v2.1 and PickScore on ViT-H-14 of full width, with few layers, which is what memory allows."""

from __future__ import annotations

import importlib.util
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

import open_clip
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torchvision.transforms import InterpolationMode, Normalize
from torchvision.transforms import functional as tv

from perceptmetrics import create_metric
from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD
from tests.parity.table.cells import BICUBIC, PROMPTS, VERSIONS, Cell, cell, pil_images, shallow, tensor_images
from tests.parity.table.vit_b import open_clip_of
from tests.support.full_size_clip import random_vit_clip_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

__all__ = ["cells"]

EXTRA = "PERCEPTMETRICS_PARITY_PACKAGES"  # folder of packages that are too old to be installed beside the others


def cells(folder: Path) -> list[Cell]:
    """All cells of this group."""
    with shallow("ViT-H-14", folder, "pickscore", "hpsv2.1") as architecture:
        state = random_vit_clip_state(architecture)
        weights = folder / "clip.safetensors"
        save_file(state, weights)
        model = open_clip_of(architecture, state, quick_gelu=False)
        texts = F.normalize(model.encode_text(open_clip.tokenize(PROMPTS)), dim=-1)
        return [*pickscore_cells(model, texts, weights), *hps_cells(model, texts, weights)]


def cosines(model: open_clip.CLIP, pixels: Tensor, texts: Tensor) -> Tensor:
    return (F.normalize(model.encode_image(pixels), dim=-1) * texts).sum(dim=-1)


def pickscore_cells(model: open_clip.CLIP, texts: Tensor, weights: Path) -> list[Cell]:
    """PickScore without its factor."""
    metric, images, tensors = (
        create_metric("pickscore", backbone_checkpoint=weights),
        pil_images(),
        tensor_images(300, 420),
    )
    pixels = torch.stack([BICUBIC(image) for image in images])
    ours = metric.score(images, PROMPTS) / 100
    found = [
        cell("pickscore", f"the code of the release on {VERSIONS['open_clip']}", cosines(model, pixels, texts), ours)
    ]
    with imscore("pickscore") as module:
        if module is not None:
            scorer = module.PickScorer.__new__(module.PickScorer)
            torch.nn.Module.__init__(scorer)
            scorer.resize = module.torchvision.transforms.Resize(224, interpolation=3)
            scorer.crop = module.torchvision.transforms.CenterCrop(224)
            scorer.normalize = Normalize(CLIP_MEAN, CLIP_STD)
            theirs = cosines(model, scorer._process(tensors), texts)
            found.append(
                cell(
                    "pickscore", "imscore 0.0.11 (its preparation of pixels)", theirs, ours,
                    variant="tensors, not 8-bit images", named=metric.score(tensors, PROMPTS) / 100,
                    cause="imscore resizes tensors, the release 8-bit images", paper="ours",
                )
            )  # fmt: skip
    return found


def hps_cells(model: open_clip.CLIP, texts: Tensor, weights: Path) -> list[Cell]:
    """HPS v2.1."""
    metric, images, tensors = (
        create_metric("hpsv2.1", backbone_checkpoint=weights),
        pil_images(),
        tensor_images(300, 420),
    )
    ours = metric.score(images, PROMPTS)
    padded = torch.stack([long_side_224(tv.to_tensor(image)) for image in images])
    found = [
        cell("hpsv2.1", f"the code of the release on {VERSIONS['open_clip']}", cosines(model, padded, texts), ours)
    ]
    with imscore("hps") as module:
        if module is not None:
            resize, normalise = module.ResizeMaxSize(224), Normalize(CLIP_MEAN, CLIP_STD)
            theirs = cosines(model, normalise(resize(tensors)), texts)
            found.append(
                cell("hpsv2.1", "imscore 0.0.11 (its preparation of pixels)", theirs, metric(tensors, PROMPTS))
            )
    return found


def long_side_224(image: Tensor) -> Tensor:
    """`ResizeMaxSize` of the release: tensors, the long side 224, black around it, then normalised."""
    height, width = image.shape[-2:]
    scale = 224 / max(height, width)
    size = [round(height * scale), round(width * scale)]
    image = tv.resize(image, size, InterpolationMode.BICUBIC)
    down, across = 224 - size[0], 224 - size[1]
    image = tv.pad(image, [across // 2, down // 2, across - across // 2, down - down // 2], fill=0)
    return tv.normalize(image, list(CLIP_MEAN), list(CLIP_STD))


@contextmanager
def imscore(part: str) -> Iterator[Any]:
    """A module of imscore, from the folder that the variable names; None without one."""
    folder = os.environ.get(EXTRA)
    if folder is None:
        yield None
        return
    path = os.path.join(folder, "imscore", part, "model.py")
    spec = importlib.util.spec_from_file_location(f"imscore_{part}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(os.environ, {"HF_HUB_OFFLINE": "1"}):
        spec.loader.exec_module(module)
        yield module
