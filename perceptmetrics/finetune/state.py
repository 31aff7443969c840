"""The state of training on disk, from which it goes on after it was stopped, exactly.

What a step draws follows from the seed and the number of the step, and so does the learning rate; so weights, the
optimizer's moments and a few numbers are all there is to keep. The file is written beside its place and renamed: a
process that is killed leaves the former state.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from perceptmetrics._util.atomic import replacing
from perceptmetrics.errors import WeightsError
from perceptmetrics.weights.tensor_files import read_metadata, read_tensors, save_tensors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn

__all__ = ["EpochRecord", "Progress", "TrainingState", "is_better", "kept_epoch", "read_state", "write_state"]

_PROGRESS = "progress"


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """What an epoch came to.

    Attributes:
        epoch: Its number, from 0.
        loss: Mean loss of its batches.
        validation: The figure of each data set's validation images by which models are chosen.
        selection: Their mean.
        lr: Learning rate of its last step.
        seconds: How long it took.
    """

    epoch: int
    loss: float
    validation: dict[str, float]
    selection: float
    lr: float
    seconds: float


def is_better(figure: float, than: float) -> bool:
    """Whether a validation figure beats another; one that is not defined (NaN) beats none."""
    return figure > than or (math.isnan(than) and not math.isnan(figure))


def kept_epoch(records: Sequence[EpochRecord], keep: Literal["best", "last"]) -> int:
    """The epoch whose weights are kept: the last, or that of the highest validation figure.

    Of equal figures the first counts; where nothing is validated, the last epoch is the best.
    """
    if keep == "last":
        return records[-1].epoch
    best = 0
    for record in records:
        if not record.validation or is_better(record.selection, records[best].selection):
            best = record.epoch
    return best


@dataclass(kw_only=True)
class Progress:
    """How far training has come.

    Attributes:
        identity: What is trained, on what: a state is used for nothing else.
        epoch: Number of the current epoch, from 0.
        step: Steps of it that are done.
        loss_sum: Sum of their losses.
        seconds: How long they took.
        records: The epochs before.
        finished: Whether training is over.
        scaler: State of float16's scaling of gradients.
    """

    identity: str
    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    records: list[EpochRecord] = field(default_factory=list)
    finished: bool = False
    scaler: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """All that training goes on from.

    Attributes:
        progress: How far it has come.
        weights: What is trained, by name.
        best: The weights of the best epoch.
        optimizer: The optimizer's tensors, by `"<weight>/<moment>"`.
    """

    progress: Progress
    weights: Mapping[str, Tensor]
    best: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]


def write_state(path: Path, state: TrainingState) -> None:
    """Write a state, whole or not at all."""
    groups = {"weights": state.weights, "best": state.best, "optimizer": state.optimizer}
    tensors = {
        f"{group}.{name}": tensor.detach().cpu().clone()
        for group, named in groups.items()
        for name, tensor in named.items()
    }
    with replacing(path) as temporary:
        save_tensors(tensors, temporary, {_PROGRESS: json.dumps(asdict(state.progress))})


def read_state(path: Path, identity: str) -> TrainingState | None:
    """Read what `write_state` wrote.

    Args:
        path: The file.
        identity: What is to be trained.

    Returns:
        The state; None when there is none.

    Raises:
        WeightsError: The file is damaged, or of another training.
    """
    if not path.is_file():
        return None
    try:
        tensors, notes = read_tensors(path), read_metadata(path)
    except WeightsError as error:
        raise WeightsError(f"{path} is damaged. Delete it, and the run goes on without it: {error}") from error
    document = json.loads(notes.get(_PROGRESS, "{}"))
    if document.get("identity") != identity:
        raise WeightsError(
            f"{path} is the state of another training: recipe, data or encoder have changed since. Finish it as it "
            "was, or choose another output folder."
        )
    records = [EpochRecord(**record) for record in document.pop("records")]
    groups: dict[str, dict[str, Tensor]] = {"weights": {}, "best": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        group, _, rest = name.partition(".")
        groups[group][rest] = tensor
    return TrainingState(progress=Progress(records=records, **document), **groups)


def trained_tensors(module: nn.Module) -> dict[str, Tensor]:
    """The weights of a module that are trained, by name."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def load_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Take `trained_tensors` back, in place.

    Raises:
        WeightsError: They are not those of this module.
    """
    own = trained_tensors(module)
    if own.keys() != weights.keys():
        odd = sorted(own.keys() ^ weights.keys())
        raise WeightsError(f"The state does not fit what is trained: {odd[0]} is missing or unexpected.")
    with torch.no_grad():
        for name, tensor in weights.items():
            own[name].copy_(tensor)


def optimizer_tensors(optimizer: torch.optim.Optimizer, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The optimizer's moments by `"<weight>/<moment>"`."""
    return {
        f"{name}/{moment}": torch.as_tensor(value)
        for name, weight in weights.items()
        for moment, value in optimizer.state.get(weight, {}).items()
        if value is not None
    }


def load_optimizer(
    optimizer: torch.optim.Optimizer, weights: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> None:
    """Take `optimizer_tensors` back."""
    for name, tensor in tensors.items():
        weight, _, moment = name.rpartition("/")
        place = weights[weight]
        kept = tensor.clone() if moment == "step" else tensor.to(place.device, copy=True)
        optimizer.state[place][moment] = kept
