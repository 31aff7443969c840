"""`create_metric`: the only place that knows how a specification becomes a model."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict, overload

from perceptmetrics._util.files import check_regular, expand_home, refuse_empty
from perceptmetrics.errors import InvalidOptionError, WeightsError, first_line
from perceptmetrics.factory.build import Files, build_metric, pretrained_encoder
from perceptmetrics.factory.folder import find_spec, is_exported, is_on_hub, read_folder
from perceptmetrics.factory.licence_notice import notice_licence
from perceptmetrics.factory.options import apply_options, fetch_options, pin_revision
from perceptmetrics.factory.recognise import is_weight_file, recognise
from perceptmetrics.images.options import decode_options
from perceptmetrics.models.encoders import Placement
from perceptmetrics.models.losses import LossSign, LossTarget, PerceptualLoss, Reduction
from perceptmetrics.weights.resolve import ResolveOptions

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor
    from typing_extensions import Unpack

    from perceptmetrics.images.options import IccHandling
    from perceptmetrics.models.encoders import Encoder
    from perceptmetrics.models.metric import Metric
    from perceptmetrics.models.prompts import PromptsOption
    from perceptmetrics.models.quantize import Precision
    from perceptmetrics.spec import Aggregation, CropMode, MetricSpec, PatchSelection, PositionalEmbedding

__all__ = ["create_metric", "create_pretrained_encoder"]

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


@overload
def create_metric(
    name: PathLike,
    device: torch.device | str | None = ...,
    dtype: torch.dtype | None = ...,
    as_loss: Literal[False] = ...,
    **keywords: Unpack[MetricOptions],
) -> Metric: ...


@overload
def create_metric(
    name: PathLike,
    device: torch.device | str | None = ...,
    dtype: torch.dtype | None = ...,
    *,
    as_loss: Literal[True],
    **keywords: Unpack[LossOptions],
) -> PerceptualLoss: ...


def create_metric(
    name: PathLike,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    as_loss: bool = False,
    loss_weight: float | Tensor = 1.0,
    loss_reduction: Reduction = "mean",
    *,
    loss_target: LossTarget | None = None,
    loss_sign: LossSign = "auto",
    checkpointing: bool = False,
    embeddings_only: bool = False,
    weights: Literal["pretrained"] | None = "pretrained",
    checkpoint: PathLike | None = None,
    backbone_checkpoint: PathLike | None = None,
    precision: Precision | None = None,
    revision: str | None = None,
    cache_dir: PathLike | None = None,
    local_files_only: bool = False,
    token: str | None = None,
    seed: int = 0,
    icc: IccHandling | None = None,
    max_image_pixels: int | None = None,
    **options: Any,
) -> Metric | PerceptualLoss:
    """Create a metric, ready to score.

    Args:
        name: A registered name (`list_metrics()`), a folder that holds an exported metric (`spec.json` and
            `model.safetensors`), `"hub:organisation/name@revision"` for such a folder on the Hub, or a published weight
            file, which is recognised by its tensors.
        device: Where to put it; None for the CPU.
        dtype: Precision of the encoder; None for float32, which is exact. Scores are float32 in any case.
        precision: `"int8"` quantises the layers of a vision transformer for the processor: faster and smaller, not
            differentiable, scores shift a little. None for `dtype`.
        as_loss: Return a `PerceptualLoss`, which is to be minimised whatever the metric's direction.
        loss_weight: Factor of the loss; a tensor of shape (N,) weighs the images.
        loss_reduction: `"mean"`, `"sum"` or `"none"`.
        loss_target: For a metric with labels: the label to raise, or a distribution over labels; see `PerceptualLoss`.
        loss_sign: `"auto"` for the sign that makes images better, `"raw"` for the score as it is, as pyiqa has it.
        checkpointing: Compute the encoder's activations again for the gradient: less memory, more time.
        embeddings_only: Leave the image encoder out, and do not look its file up where no text is read: the metric then
            scores embeddings (`Metric.score_features`), but no images.
        weights: `"pretrained"`, or None for random weights (tests and benchmarks: the scores mean nothing).
        checkpoint: The metric's own trained file, in place of the one that it would look up: a released file, or
            what `perceptmetrics convert` wrote (the file or its folder).
        backbone_checkpoint: Weights of the encoder, in place of those that it would look up: an open_clip file, OpenAI
            archive or state dictionary, or Hugging Face CLIP folder. Not read where the trained file has the encoder.
        revision: Another revision of the encoder's Hub repository.
        cache_dir: Folder of the Hub's cache; None for its default.
        local_files_only: Never download. `HF_HUB_OFFLINE=1` has the same effect.
        token: Token of the Hub, for private repositories; None for `HF_TOKEN` or that of `hf auth login`.
        seed: Seed of whatever the metric draws at random.
        icc: What colour profiles of images do that the metric reads: `"convert"` converts the colours to sRGB,
            `"ignore"` takes the numbers as they are, as most other libraries do. None to convert.
        max_image_pixels: Largest number of pixels of an image that the metric reads; None for 179 million.
        **options: Options of the metric; `clipiqa` takes `prompts`, `prompt`, `template`, `backbone` and
            `positional_embedding`, `clip_uiqa` also `aggregation` and `regressor`, `perceptclip_iqa` takes `crops`,
            `crop_mode` and `raw`, `liqe` takes `patches`, `liqe_mix` also `output`, and `qualiclip` `temperature`.

    Returns:
        A frozen `Metric` in eval mode, or a `PerceptualLoss` around it. If its weights may not be used commercially,
        the first one in a process logs a warning that says why; `PERCEPTMETRICS_LICENCE_NOTICE=0` silences it.

    Raises:
        UnknownMetricError: No metric has this name.
        InvalidOptionError: An option is unknown or its value is not allowed.
        WeightsError: A weight file is missing or does not fit; nothing is ever replaced by random weights.
        MissingExtraError: The metric needs a package that is not installed.

    Examples:
        >>> metric = create_metric("lite_iqa")
        >>> metric.lower_better, metric.score_range
        (False, (0.0, 1.0))
    """
    _check_combination(as_loss, precision, loss_weight, loss_reduction, loss_target, loss_sign)
    refuse_empty(revision=revision)
    fetched_with = fetch_options(options.get("backbone"), revision)
    lookup = _resolve_options(name, cache_dir, local_files_only, fetched_with, token)
    spec, files = _look_up(lookup, checkpoint, backbone_checkpoint, random=_is_random(weights))
    spec = pin_revision(apply_options(spec, options), revision)
    if checkpoint is not None or files.random:
        spec = replace(spec, interval=None)  # it was measured with the metric's own weights
    metric = build_metric(
        spec, files, Placement(device, dtype), precision=precision, seed=seed, embeddings_only=embeddings_only
    )
    if not files.random:
        notice_licence(spec, published=is_on_hub(lookup.metric))
    metric.decoding = decode_options(icc, max_image_pixels)
    if is_exported(lookup.metric) and checkpoint is None and not files.random:
        metric.loaded_from = replace(lookup, token=None)
    if checkpointing:
        metric.encoder.checkpointing = True
    return PerceptualLoss(metric, loss_target, loss_weight, loss_reduction, sign=loss_sign) if as_loss else metric


def _is_random(weights: str | None) -> bool:
    if weights not in ("pretrained", None):
        raise InvalidOptionError(f"weights must be 'pretrained' or None (random weights), got {weights!r}.")
    return weights is None


def _check_combination(
    as_loss: bool,
    precision: Precision | None,
    weight: float | Tensor,
    reduction: Reduction,
    target: LossTarget | None,
    sign: LossSign,
) -> None:
    """A loss cannot do with a quantised encoder, and a metric would ignore the options of a loss."""
    if as_loss:
        if precision is not None:
            raise InvalidOptionError(
                f"A loss needs gradients, which precision={precision!r} does not give. Leave it out."
            )
        return
    stated = {
        "loss_weight": not isinstance(weight, (int, float)) or weight != 1.0,
        "loss_reduction": reduction != "mean",
        "loss_target": target is not None,
        "loss_sign": sign != "auto",
    }
    given = [name for name, is_stated in stated.items() if is_stated]
    if given:
        raise InvalidOptionError(f"{', '.join(given)}: options of a loss. Add as_loss=True, or leave them out.")


def create_pretrained_encoder(
    name: PathLike,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    *,
    checkpoint: PathLike | None = None,
    backbone_checkpoint: PathLike | None = None,
    cache_dir: PathLike | None = None,
    local_files_only: bool = False,
) -> Encoder | None:
    """Create the encoder of a metric as it was before the metric was trained, such as CLIP without LoRA.

    Args:
        name: See `create_metric`, also for the other arguments.
        device: Device of the encoder; None for the CPU.
        dtype: Precision of the encoder; None for float32.
        checkpoint: The metric's own trained file.
        backbone_checkpoint: Weights of the encoder. A metric whose trained file contains its tuned encoder needs them
            here or on this machine, at the source that its specification names.
        cache_dir: Folder of the Hub's cache; None for its default.
        local_files_only: Never download.

    Returns:
        The encoder, which shares all tensors that training did not change; None if the encoder was not trained.

    Raises:
        UnknownMetricError: No metric has this name.
        WeightsError: A file is missing, or does not fit.
    """
    spec, files = _look_up(_resolve_options(name, cache_dir, local_files_only), checkpoint, backbone_checkpoint)
    return pretrained_encoder(spec, files, Placement(device, dtype))


def _resolve_options(
    name: PathLike, cache_dir: PathLike | None, local_files_only: bool, fetched_with: str = "", token: str | None = None
) -> ResolveOptions:
    """How the files of a metric are looked up."""
    refuse_empty(cache_dir=cache_dir, token=token)
    return ResolveOptions(
        metric=os.fspath(name),
        fetch_options=fetched_with,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
        token=token,
    )


def _look_up(
    lookup: ResolveOptions, checkpoint: PathLike | None, backbone_checkpoint: PathLike | None, *, random: bool = False
) -> tuple[MetricSpec, Files]:
    """The specification that a name stands for, and where its weights are."""
    refuse_empty(name=lookup.metric, checkpoint=checkpoint, backbone_checkpoint=backbone_checkpoint)
    encoder = _path(backbone_checkpoint)
    if not is_weight_file(lookup.metric):
        spec, exported = find_spec(lookup)
        trained = _trained_file(checkpoint, spec) or exported
        return spec, Files(lookup=lookup, random=random, trained=trained, encoder=encoder)
    found = recognise(lookup.metric)
    if checkpoint is not None or (found.encoder and encoder):
        raise InvalidOptionError(f"{lookup.metric} is a weight file itself. Leave the other one out.")
    return found.spec, Files(lookup=lookup, random=random, trained=found.trained, encoder=found.encoder or encoder)


def _trained_file(path: PathLike | None, spec: MetricSpec) -> Path | None:
    """A trained file that is stated, by itself or by the folder of an exported metric, which must be the same one."""
    found = _path(path)
    if found is None or not found.is_dir():
        return found
    exported, file = read_folder(found)
    if exported.name != spec.name:
        raise WeightsError(
            f"The folder {found} holds the metric {exported.name!r}, not {spec.name!r}. To use it as it is, give the "
            "folder in place of the metric's name."
        )
    return file


def _path(path: PathLike | None) -> Path | None:
    if path is None:
        return None
    found = expand_home(path)
    if not found.is_dir():
        try:
            check_regular(found)
        except OSError as error:
            raise WeightsError(
                f"{first_line(error)}; expected a weight file or folder. Nothing was downloaded."
            ) from error
    return found
