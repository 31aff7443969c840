"""Files in the layout of the released PerceptCLIP, so small that they are read in milliseconds.

The names are written down here once more, by plain torch, and not taken from the code that reads them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from perceptmetrics import metric_info
from perceptmetrics.spec import HubFile, MlpHeadSpec
from tests.support import small_clip
from tests.support.registered_metrics import temporary_metrics, tiny

NAMES = ("perceptclip_iqa", "perceptclip_mem", "perceptclip_emo")
OUTPUTS = {"perceptclip_iqa": 1, "perceptclip_mem": 1, "perceptclip_emo": 8}

TOWER = "model.base_model.model."
LAYERS = 3
WIDTH = 64
PATCH = 32
TOKENS = (224 // PATCH) ** 2 + 1
RANK = 16


@contextmanager
def registered(folder: Path) -> Iterator[None]:
    """The three PerceptCLIP metrics on a tiny CLIP, under their real names, with their real Hub files."""
    folder.mkdir(parents=True, exist_ok=True)
    small_clip.register(folder)
    with temporary_metrics(*(tiny(metric_info(name)) for name in NAMES)):
        yield


def hub_file(name: str) -> HubFile:
    """Where the Hub has the trained file of a metric."""
    head = metric_info(name).head
    assert isinstance(head, MlpHeadSpec)
    assert isinstance(head.weights, HubFile)
    return head.weights


def released_state(outputs: int = 1, seed: int = 0, base_seed: int = 0) -> dict[str, Tensor]:
    """All tensors of a file; the CLIP depends on `base_seed`, the adapters and the head on `seed`."""
    base, task = (torch.Generator().manual_seed(number) for number in (base_seed, 1000 + seed))
    return {name: _random(name, shape, base) for name, shape in _base_shapes().items()} | {
        name: _random(name, shape, task) for name, shape in _task_shapes(outputs).items()
    }


def write_released(path: Path, name: str, *, base_seed: int = 0) -> Path:
    """Write the file of a metric, each with a task of its own; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, released_state(OUTPUTS[name], NAMES.index(name), base_seed))
    return path


def write(path: Path, state: dict[str, Tensor]) -> Path:
    """Save as the release does; returns the path."""
    torch.save(OrderedDict(state), path)
    return path


def _layers() -> list[str]:
    return [f"{TOWER}encoder.layers.{number}." for number in range(LAYERS)]


def _base_shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "proj.weight": (small_clip.FEATURE_SIZE, WIDTH),
        f"{TOWER}embeddings.class_embedding": (WIDTH,),
        f"{TOWER}embeddings.patch_embedding.weight": (WIDTH, 3, PATCH, PATCH),
        f"{TOWER}embeddings.position_embedding.weight": (TOKENS, WIDTH),
    }
    sizes = {f"{TOWER}pre_layrnorm": (WIDTH,), f"{TOWER}post_layernorm": (WIDTH,)}
    for layer in _layers():
        sizes |= {f"{layer}layer_norm{number}": (WIDTH,) for number in (1, 2)}
        sizes |= {f"{layer}self_attn.{part}_proj.base_layer": (WIDTH, WIDTH) for part in "qkv"}
        sizes[f"{layer}self_attn.out_proj"] = (WIDTH, WIDTH)
        sizes[f"{layer}mlp.fc1"] = (4 * WIDTH, WIDTH)
        sizes[f"{layer}mlp.fc2"] = (WIDTH, 4 * WIDTH)
    return shapes | _weights_and_biases(sizes)


def _task_shapes(outputs: int) -> dict[str, tuple[int, ...]]:
    sizes = {"mlp.fc1": (512, small_clip.FEATURE_SIZE), "mlp.fc2": (256, 512), "mlp.fc3": (outputs, 256)}
    shapes = _weights_and_biases(sizes)
    for projection in (f"{layer}self_attn.{part}_proj." for layer in _layers() for part in "qkv"):
        shapes[f"{projection}lora_A.default.weight"] = (RANK, WIDTH)
        shapes[f"{projection}lora_B.default.weight"] = (WIDTH, RANK)
    return shapes


def _weights_and_biases(sizes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    weights = {f"{name}.weight": size for name, size in sizes.items()}
    return weights | {f"{name}.bias": size[:1] for name, size in sizes.items()}


def _random(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    tensor = torch.randn(shape, generator=generator)
    if "norm" in name and name.endswith("weight"):
        return 1 + 0.2 * tensor
    return 0.2 * tensor if name.endswith("bias") else tensor / shape[-1] ** 0.5
