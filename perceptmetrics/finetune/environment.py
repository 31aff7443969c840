"""What a run ran on, for people to read."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING

import torch

from perceptmetrics._util.version import __version__

if TYPE_CHECKING:
    from perceptmetrics.finetune.processes import Processes

__all__ = ["describe_environment"]

_PACKAGES = ("torch", "torchvision", "open_clip_torch", "timm", "accelerate", "numpy", "scipy")


def describe_environment(processes: Processes) -> dict[str, str]:
    """Versions, system and device, by name; nothing that tells whose machine it was."""
    device = processes.device
    name = f" ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else ""
    return {
        "perceptmetrics": __version__,
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": f"{device}{name}",
        "processes": str(processes.world),
        **{package: version(package) for package in _PACKAGES},
    }
