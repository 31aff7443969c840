"""Programs as their users run them: without this package."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import torch
from torch import Tensor

from perceptmetrics import Metric


def run_onnx(path: Path, images: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def run_pt2(path: Path, images: Tensor) -> Tensor:
    program = torch.export.load(path).module()
    with torch.inference_mode():
        return program(images)


def largest_difference(metric: Metric, scores: Tensor, images: Tensor) -> float:
    with torch.inference_mode():
        expected = metric(images)
    assert scores.shape == expected.shape
    assert scores.dtype == expected.dtype
    return float((scores - expected).abs().max())
