"""The keywords of `create_metric`, for type checkers: a misspelt one is found before the program runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from torch import Tensor

    from perceptmetrics.images.options import IccHandling
    from perceptmetrics.models.losses import LossSign, LossTarget, Reduction
    from perceptmetrics.models.prompts import PromptsOption
    from perceptmetrics.models.quantize import Precision
    from perceptmetrics.spec import Aggregation, CropMode, PatchSelection, PositionalEmbedding

__all__ = ["LossOptions", "MetricOptions", "PathLike"]

PathLike = str | os.PathLike[str]


class MetricOptions(TypedDict, total=False):
    """Keywords of `create_metric` for a metric; the last thirteen are options of some metrics only."""

    checkpointing: bool
    embeddings_only: bool
    weights: Literal["pretrained"] | None
    checkpoint: PathLike | None
    backbone_checkpoint: PathLike | None
    precision: Precision | None
    revision: str | None
    cache_dir: PathLike | None
    local_files_only: bool
    token: str | None
    seed: int
    icc: IccHandling | None
    max_image_pixels: int | None
    prompts: PromptsOption | None
    prompt: str | None
    template: str | None
    backbone: str | None
    positional_embedding: PositionalEmbedding | None
    resize: int | str | None
    aggregation: Aggregation | None
    regressor: bool | None
    crops: int | None
    crop_mode: CropMode | None
    raw: bool | None
    patches: PatchSelection | None
    output: str | None
    temperature: float | None


class LossOptions(MetricOptions, total=False):
    """Keywords of `create_metric` for a loss."""

    loss_weight: float | Tensor
    loss_reduction: Reduction
    loss_target: LossTarget | None
    loss_sign: LossSign
