"""PerceptCLIP of full width, with few layers, beside the release's construction from transformers and peft."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING
from unittest import mock

import torch

from perceptmetrics import create_metric
from perceptmetrics.images.examples import sample_photographs
from tests.parity import reference_perceptclip
from tests.parity.reference_perceptclip import load_released, preprocess_crops, preprocess_whole
from tests.parity.table.cells import DEPTH, VERSIONS, Cell, cell, shallow
from tests.support.full_size_perceptclip import EMOTION, MEMORABILITY, QUALITY, released_state, write_released

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["cells"]

CROPS = 2
TENSORS_OF_A_LAYER = 22
RELEASE = f"the code of the release on {VERSIONS['transformers']} and {VERSIONS['peft']}"


def cells(folder: Path) -> list[Cell]:
    """All cells of this group; quality looks at two crops, drawn by the release after `torch.manual_seed(0)`."""
    names = ("perceptclip_iqa", "perceptclip_mem", "perceptclip_emo")
    fewer = TENSORS_OF_A_LAYER * (reference_perceptclip.LAYERS - DEPTH)
    sizes = {"LAYERS": DEPTH, "TENSORS": reference_perceptclip.TENSORS - fewer}
    with shallow("ViT-L-14", folder, *names), mock.patch.multiple(reference_perceptclip, **sizes):
        return cells_of_depth(folder)


def cells_of_depth(folder: Path) -> list[Cell]:
    images = list(sample_photographs().values())[:3]
    whole = torch.stack([preprocess_whole(image) for image in images])
    crops = torch.cat([preprocess_crops(image, CROPS, seed=0) for image in images])
    found = []
    for name, setting, pixels, options in (
        ("perceptclip_iqa", QUALITY, crops, {"crops": CROPS}),
        ("perceptclip_mem", MEMORABILITY, whole, {}),
        ("perceptclip_emo", EMOTION, whole, {}),
    ):
        state = released_state(*setting)
        write_released(folder / "released.pth", state)
        raw = load_released(state)(pixels)
        del state
        gc.collect()
        expected = raw.softmax(dim=1) if raw.shape[1] > 1 else raw[:, 0]
        if name == "perceptclip_iqa":
            expected = (raw.view(len(images), CROPS).mean(dim=1) + 6.52) / 9.63
        metric = create_metric(name, checkpoint=folder / "released.pth", **options)
        shown = f"{name}, crops={CROPS}" if options else name
        found.append(cell(shown, RELEASE, expected, metric.score(images)))
        del metric
        gc.collect()
    return found
