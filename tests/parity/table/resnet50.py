"""ARNIQA's eight regressors on ResNet-50, full size."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING
from unittest import mock

import torch
import torchvision
from torch import nn
from torchmetrics.functional.image.arniqa import _NoTrainArniqa

from perceptmetrics import create_metric, metric_info
from perceptmetrics.spec import AffineMap, ScaledView, WholeView
from tests.parity.table import pyiqa_models
from tests.parity.table.cells import VERSIONS, Cell, cell, tensor_images
from tests.parity.test_arniqa import Regressor
from tests.support.registered_metrics import temporary_metrics
from tests.support.small_clip import calibrate

if TYPE_CHECKING:
    from pathlib import Path

    from perceptmetrics.spec import MetricSpec

__all__ = ["cells"]

# Suffix of the metric, name of torchmetrics, name of pyiqa.
DATA = {
    "": ("koniq10k", "koniq"),
    "-live": ("", "live"),
    "-csiq": ("", "csiq"),
    "-tid": ("", "tid"),
    "-kadid": ("kadid10k", "kadid"),
    "-clive": ("", "clive"),
    "-flive": ("", "flive"),
    "-spaq": ("", "spaq"),
}


def cells(folder: Path) -> list[Cell]:
    """All cells of this group."""
    images = tensor_images(256, 320)
    encoder_file, regressor_file = folder / "ARNIQA.pth", folder / "regressor.pth"
    torch.manual_seed(0)
    network = torchvision.models.resnet50()
    calibrate(network, tensor_images(224, 224))
    encoder = nn.Sequential(*list(network.children())[:-1])
    torch.save({f"model.{name}": tensor for name, tensor in encoder.state_dict().items()}, encoder_file)
    files = {"checkpoint": regressor_file, "backbone_checkpoint": encoder_file}
    found = []
    for suffix, (theirs, pyiqas) in DATA.items():
        spec = metric_info(f"arniqa{suffix}")
        write_regressor(regressor_file, abs(1 / spec.score.map.scale) / 99)
        ours = create_metric(f"arniqa{suffix}", **files)(images)
        if theirs:
            scores = torchmetrics(theirs, encoder_file, regressor_file)(images, normalize=True)[:, 0]
            found.append(cell(f"arniqa{suffix}", VERSIONS["torchmetrics"], scores, ours))
        model = pyiqa_models.arniqa(pyiqas, encoder_file, regressor_file)
        changed, variant, cause = as_in_pyiqa(spec)
        with temporary_metrics(changed):
            named = create_metric(f"arniqa{suffix}", **files)(images)
        theirs_too = model(images).reshape(-1)
        found.append(
            cell(
                f"arniqa{suffix}", VERSIONS["pyiqa"], theirs_too, ours,
                variant=variant, named=named, cause=cause, paper="ours",
            )
        )  # fmt: skip
    return found


def as_in_pyiqa(spec: MetricSpec) -> tuple[MetricSpec, str, str]:
    """A metric with pyiqa's ways, what they are in a specification, and in words."""
    aliased = ScaledView(divisor=2, interpolation="bilinear_aliased")
    spec = replace(spec, views=replace(spec.views, views=(WholeView(), aliased)))
    variant = '`ScaledView(divisor=2, interpolation="bilinear_aliased")`'
    cause = "pyiqa halves the image without antialiasing, the release with it"
    if spec.name != "arniqa-flive":
        return spec, variant, cause
    spec = replace(spec, score=replace(spec.score, map=AffineMap(scale=0.01, shift=0.0)))
    cause += "; pyiqa takes FLIVE's ratings as 0 to 100, the release as 1 to 100"
    return spec, f"{variant}, `AffineMap(scale=0.01, shift=0)`", cause


def write_regressor(file: Path, span: float) -> None:
    """A scripted regressor as the release has it, whose scores cover the range of the ratings."""
    torch.manual_seed(1)
    regressor = Regressor()
    for parameter in regressor.parameters():
        parameter.mul_(span)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(regressor), file)


def torchmetrics(data: str, encoder_file: Path, regressor_file: Path) -> nn.Module:
    def read(url: str, **_: object) -> object:
        if url.endswith("/ARNIQA.pth"):
            return torch.load(encoder_file, weights_only=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.jit.load(regressor_file)

    with mock.patch.object(torch.hub, "load_state_dict_from_url", read):
        return _NoTrainArniqa(data)
