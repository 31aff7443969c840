"""A cell of the table, and what all groups need: images, prompts, published heads with random weights."""

from __future__ import annotations

import itertools
import json
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import open_clip
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

from perceptmetrics import metric_info
from perceptmetrics.metrics.clip_encoders import CLIP_MEAN, CLIP_STD
from tests.support.photographs import photographs
from tests.support.registered_metrics import temporary_metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = [
    "BICUBIC",
    "PROMPTS",
    "VERSIONS",
    "Cell",
    "cell",
    "image_by_image",
    "linear_layers",
    "pil_images",
    "published_names",
    "shallow",
    "tensor_images",
]

VERSIONS = {
    name: f"{name} {version(package)}"
    for name, package in {
        "clip": "openai-clip",
        "open_clip": "open_clip_torch",
        **{name: name for name in ("peft", "piq", "pyiqa", "timm", "torchmetrics", "transformers")},
    }.items()
}
DEPTH = 4  # of the 24 layers of ViT-L-14 and its texts, and of the 32 of ViT-H-14
PROMPTS = ["A photo of an astronaut.", "A cat on a sofa.", "A cup of coffee."]
BICUBIC = Compose(
    [Resize(224, interpolation=InterpolationMode.BICUBIC), CenterCrop(224), ToTensor(), Normalize(CLIP_MEAN, CLIP_STD)]
)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A metric beside one implementation, on the same weights and images.

    Attributes:
        metric: Name of the metric.
        implementation: What it is compared with.
        default: Largest difference of the metric as it is by default.
        variant: Options, or kind of images, with which it does what the implementation does.
        deviation: Largest difference of that variant.
        spread: Standard deviation of the implementation's scores over the images.
        cause: Why the default differs.
        paper: Which of the two follows the paper.
    """

    metric: str
    implementation: str
    default: float
    variant: str
    deviation: float
    spread: float
    cause: str
    paper: str


def cell(
    metric: str,
    implementation: str,
    theirs: Tensor,
    ours: Tensor,
    *,
    variant: str = "default",
    named: Tensor | None = None,
    cause: str = "",
    paper: str = "both",
) -> Cell:
    """Compare scores; `named` are those of the variant, None for the default."""
    variant_scores = ours if named is None else named
    return Cell(
        metric=metric,
        implementation=implementation,
        default=_largest(ours, theirs),
        variant=variant,
        deviation=_largest(variant_scores, theirs),
        spread=float(theirs.double().std(dim=0).mean()),
        cause=cause,
        paper=paper,
    )


def _largest(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape, (one.shape, other.shape)
    return float((one.double() - other.double()).abs().max())


def tensor_images(height: int, width: int) -> Tensor:
    """Three photographs."""
    return photographs(height, width)[:3]


def pil_images(height: int = 300, width: int = 420) -> list[Image.Image]:
    """The same as 8-bit images."""
    pixels = tensor_images(height, width).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(image) for image in np.ascontiguousarray(pixels)]


def linear_layers(widths: tuple[int, ...], gain: float, seed: int = 0) -> nn.Sequential:
    """Linear layers with nothing between them, the first one with larger weights, so that scores differ."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Linear(inputs, outputs) for inputs, outputs in itertools.pairwise(widths)]
    layers[0].weight.data.mul_(gain)
    return nn.Sequential(*layers).eval().requires_grad_(False)


def published_names(layers: nn.Sequential, prefixes: list[str]) -> dict[str, Tensor]:
    """The tensors of linear layers under the names of a release."""
    return {
        f"{prefix}{kind}": getattr(layer, kind).detach().clone()
        for prefix, layer in zip(prefixes, layers, strict=True)
        for kind in ("weight", "bias")
    }


@contextmanager
def shallow(architecture: str, folder: Path, *names: str) -> Iterator[str]:
    """An architecture of full width with `DEPTH` layers, which metrics get for a block in the place of the full one."""
    config = open_clip.get_model_config(architecture)
    for part in ("vision_cfg", "text_cfg"):
        config[part]["layers"] = DEPTH
    name = f"{architecture}-with-{DEPTH}-layers"
    (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    specs = [metric_info(metric) for metric in names]
    with temporary_metrics(*(replace(spec, encoder=replace(spec.encoder, architecture=name)) for spec in specs)):
        yield name


def image_by_image(score: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Scores of an implementation that takes one image at a time."""
    return torch.stack([score(image[None]).reshape(()) for image in images])
