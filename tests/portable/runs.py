"""Programs as their users run them: without this package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor

from perceptmetrics import Metric


def load_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def load_pt2(path: Path) -> Callable[[Tensor], Tensor]:
    return torch.inference_mode()(torch.export.load(path).module())


def run_onnx(path: Path, images: Tensor) -> Tensor:
    return load_onnx(path)(images)


def run_pt2(path: Path, images: Tensor) -> Tensor:
    return load_pt2(path)(images)


def largest_difference(metric: Metric, scores: Tensor, images: Tensor) -> float:
    with torch.inference_mode():
        expected = metric(images)
    assert scores.shape == expected.shape
    assert scores.dtype == expected.dtype
    return float((scores - expected).abs().max())
