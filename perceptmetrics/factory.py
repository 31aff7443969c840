"""`create_metric`: the only place that knows how a specification becomes a model."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from perceptmetrics.backbones import TextEncoder, build_backbone
from perceptmetrics.checkpoints import load_strictly
from perceptmetrics.errors import InvalidOptionError, InvalidSpecError, WeightsError, first_line
from perceptmetrics.heads import AntonymHead, MlpHead
from perceptmetrics.losses import PerceptualLoss, Reduction
from perceptmetrics.metric import Metric
from perceptmetrics.options import apply_options, fetch_options, pin_revision
from perceptmetrics.registry import list_metrics, metric_info
from perceptmetrics.seeding import seeded
from perceptmetrics.spec import AntonymHeadSpec, HubFile, MetricSpec, MlpHeadSpec
from perceptmetrics.spec_json import spec_from_json
from perceptmetrics.tensor_files import read_tensors
from perceptmetrics.views import Views
from perceptmetrics.weights import ResolveOptions, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import Tensor, nn

__all__ = ["create_metric"]

SPEC_FILE = "spec.json"
WEIGHTS_FILE = "model.safetensors"
_HUB_PREFIX = "hub:"

PathLike = str | os.PathLike[str]


@overload
def create_metric(
    name: PathLike,
    device: torch.device | str | None = ...,
    dtype: torch.dtype | None = ...,
    as_loss: Literal[False] = ...,
    **keywords: Any,
) -> Metric: ...


@overload
def create_metric(
    name: PathLike,
    device: torch.device | str | None = ...,
    dtype: torch.dtype | None = ...,
    *,
    as_loss: Literal[True],
    **keywords: Any,
) -> PerceptualLoss: ...


def create_metric(
    name: PathLike,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    as_loss: bool = False,
    loss_weight: float | Tensor = 1.0,
    loss_reduction: Reduction = "mean",
    *,
    loss_target: str | None = None,
    weights: Literal["pretrained"] | None = "pretrained",
    checkpoint: PathLike | None = None,
    backbone_checkpoint: PathLike | None = None,
    revision: str | None = None,
    cache_dir: PathLike | None = None,
    local_files_only: bool = False,
    seed: int = 0,
    **options: Any,
) -> Metric | PerceptualLoss:
    """Create a metric, ready to score.

    Args:
        name: A registered name (`list_metrics()`), a folder that holds an exported metric (`spec.json` and
            `model.safetensors`), or `"hub:organisation/name@revision"` for such a folder on the Hub.
        device: Where to put it; None for the CPU.
        dtype: Precision of the encoder; None for float32, which is exact. Scores are float32 in any case.
        as_loss: Return a `PerceptualLoss`, which is to be minimised whatever the metric's direction.
        loss_weight: Factor of the loss.
        loss_reduction: `"mean"`, `"sum"` or `"none"`.
        loss_target: For a metric with labels: the label whose score the loss raises.
        weights: `"pretrained"`, or None for random weights (tests and benchmarks: the scores mean nothing).
        checkpoint: The metric's own trained file, in place of the one that it would look up.
        backbone_checkpoint: Weights of the encoder, in place of those that it would look up: an open_clip
            file, an OpenAI archive or state dictionary, or a Hugging Face CLIP folder.
        revision: Another revision of the encoder's Hub repository.
        cache_dir: Folder of the Hub's cache; None for its default.
        local_files_only: Never download. `HF_HUB_OFFLINE=1` has the same effect.
        seed: Seed of whatever the metric draws at random.
        **options: Options of the metric; `clipiqa` takes `prompts`, `backbone` and `positional_embedding`.

    Returns:
        A frozen `Metric` in eval mode, or a `PerceptualLoss` around it.

    Raises:
        UnknownMetricError: No metric has this name.
        InvalidOptionError: An option is unknown or its value is not allowed.
        WeightsError: A weight file is missing or does not fit; nothing is ever replaced by random weights.
        MissingExtraError: The metric needs a package that is not installed.

    Example:
        >>> metric = create_metric("lite_iqa")
        >>> metric.lower_better, metric.score_range
        (False, (0.0, 1.0))
    """
    if weights not in ("pretrained", None):
        raise InvalidOptionError(f"weights must be 'pretrained' or None (random weights), got {weights!r}.")
    if loss_target is not None and not as_loss:
        raise InvalidOptionError("loss_target belongs to a loss; add as_loss=True.")
    stated_head, stated_backbone = _path(checkpoint), _path(backbone_checkpoint)
    lookup = ResolveOptions(
        metric=os.fspath(name),
        fetch_options=fetch_options(options.get("backbone"), revision),
        cache_dir=cache_dir,
        local_files_only=local_files_only,
    )
    spec, exported = _find_spec(lookup)
    spec = pin_revision(apply_options(spec, options), revision)
    random = weights is None
    head_file = _head_file(spec, lookup, stated_head or exported, random=random)
    backbone_file = _backbone_file(spec, lookup, stated_backbone, random=random)
    metric = _to_device(_build(spec, backbone_file, head_file, dtype, seed), device)
    return PerceptualLoss(metric, loss_target, loss_weight, loss_reduction) if as_loss else metric


def _to_device(metric: Metric, device: torch.device | str | None) -> Metric:
    try:
        return metric.to(device)
    except (RuntimeError, AssertionError) as error:  # no such device, no driver, not enough memory
        raise InvalidOptionError(
            f"The metric cannot be put on the device {str(device)!r}: {first_line(error)} Try 'cpu'."
        ) from error


def _backbone_file(spec: MetricSpec, lookup: ResolveOptions, stated: Path | None, *, random: bool) -> Path | None:
    """The encoder's weight file; None stands for random weights."""
    return stated if stated is not None or random else resolve(spec.backbone.weights, lookup)


def _head_file(spec: MetricSpec, lookup: ResolveOptions, stated: Path | None, *, random: bool) -> Path | None:
    """The trained head's weight file; None when nothing is trained, or for random weights."""
    if isinstance(spec.head, MlpHeadSpec):
        return stated if stated is not None or random else resolve(spec.head.weights, lookup)
    if stated is not None:
        raise InvalidOptionError(
            f"{spec.name!r} has no trained part of its own, so it takes no checkpoint=. Pass CLIP weights as "
            "backbone_checkpoint=."
        )
    return None


def _build(
    spec: MetricSpec, backbone_file: Path | None, head_file: Path | None, dtype: torch.dtype | None, seed: int
) -> Metric:
    encoder = build_backbone(spec.backbone, backbone_file, seed)
    if dtype is not None:
        encoder.backbone.to(dtype)
    head = _build_head(spec, encoder.text, head_file, seed)
    return Metric(spec, Views(spec.views), encoder.backbone, head)


def _build_head(spec: MetricSpec, text: TextEncoder | None, weights: Path | None, seed: int) -> nn.Module:
    if isinstance(spec.head, AntonymHeadSpec):
        if text is None:
            raise InvalidSpecError(f"{spec.name!r} compares images with prompts, but its encoder reads no text.")
        return AntonymHead(text.encode_pairs(spec.head.pairs), text.logit_scale, average=spec.head.average)
    with seeded(seed):
        head = MlpHead(spec.head)
    if weights is not None:
        load_strictly(head, read_tensors(weights), str(weights))
    return head


def _find_spec(lookup: ResolveOptions) -> tuple[MetricSpec, Path | None]:
    """The specification that a name stands for and, for an exported metric, its weight file."""
    name = lookup.metric
    if name.startswith(_HUB_PREFIX):
        repo, _, revision = name.removeprefix(_HUB_PREFIX).partition("@")
        return _read_exported(
            lambda filename: resolve(HubFile(repo=repo, filename=filename, revision=revision or "main"), lookup)
        )
    if Path(name).is_dir() and name not in list_metrics():
        return _read_exported(partial(_file_of_folder, Path(name)))
    return metric_info(name), None


def _read_exported(find: Callable[[str], Path]) -> tuple[MetricSpec, Path | None]:
    """Read an exported metric; only one with a trained head has a weight file."""
    spec = _read_spec(find(SPEC_FILE))
    return spec, find(WEIGHTS_FILE) if isinstance(spec.head, MlpHeadSpec) else None


def _file_of_folder(folder: Path, filename: str) -> Path:
    if not (folder / filename).is_file():
        raise WeightsError(
            f"The folder {folder} is no exported metric: {filename} missing. Expected {SPEC_FILE} and {WEIGHTS_FILE}."
        )
    return folder / filename


def _read_spec(path: Path) -> MetricSpec:
    try:
        return spec_from_json(path.read_text(encoding="utf-8"))
    except (InvalidSpecError, UnicodeDecodeError) as error:
        raise InvalidSpecError(f"{path}: {error}") from error


def _path(path: PathLike | None) -> Path | None:
    if path is None:
        return None
    found = Path(path).expanduser()
    if not found.exists():
        raise WeightsError(f"{path} does not exist; expected a weight file or folder. Nothing was downloaded.")
    return found
