"""What training writes while it runs, to resume exactly from it.

What a step draws depends on the seed and the number of the step alone, and so does the learning rate. So weights, the
optimizer's moments and a few numbers are the whole state. Its file is written under another name and renamed: a process
that is killed leaves the previous state intact.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from perceptmetrics.errors import InvalidSpecError, WeightsError
from perceptmetrics.finetune.training.epochs import EpochRecord
from perceptmetrics.finetune.training.sealed_files import read_sealed, write_sealed
from perceptmetrics.spec.plain import from_plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import nn

__all__ = ["Progress", "TrainingState", "read_state", "state_named", "write_state"]

_PROGRESS = "progress"
_STEP = "step"  # the one moment of an optimizer that is a number


@dataclass(kw_only=True)
class Progress:
    """How far a training has come.

    Attributes:
        identity: What is trained, and on what; a state is only used for the training that it belongs to.
        epoch: Number of the current epoch, from 0.
        step: Number of its steps that are done.
        loss_sum: Sum of their losses.
        seconds: Their duration.
        records: The epochs before.
        finished: Whether the training is over.
        scaler: State of the gradient scaler of float16.
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
    """Everything needed to resume a training.

    Attributes:
        progress: How far it has come.
        weights: The trained weights, by name.
        best: The weights of the best epoch.
        optimizer: The optimizer's tensors, by `"<weight>/<moment>"`.
    """

    progress: Progress
    weights: Mapping[str, Tensor]
    best: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]


def write_state(path: Path, state: TrainingState) -> None:
    """Write a state atomically."""
    groups = {"weights": state.weights, "best": state.best, "optimizer": state.optimizer}
    tensors = {
        f"{group}.{name}": tensor.detach().cpu().clone()
        for group, named in groups.items()
        for name, tensor in named.items()
    }
    write_sealed(path, tensors, {_PROGRESS: json.dumps(asdict(state.progress))})


def read_state(path: Path, identity: str) -> TrainingState | None:
    """Read what `write_state` wrote.

    Args:
        path: The file.
        identity: What is to be trained.

    Returns:
        The state; None if there is none.

    Raises:
        WeightsError: The file is corrupt, or belongs to another training.
    """
    if not path.is_file():
        return None
    with state_named(path):
        tensors, notes = read_sealed(path)
        progress = _read_progress(notes.get(_PROGRESS, ""))
        groups: dict[str, dict[str, Tensor]] = {"weights": {}, "best": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            group, _, rest = name.partition(".")
            if group not in groups:
                raise WeightsError(f"it holds a tensor {name!r}, which is of none of {', '.join(groups)}")
            groups[group][rest] = tensor
    if progress.identity != identity:
        raise WeightsError(
            f"{path} belongs to another training: recipe, data or encoder have changed since. Finish the run with what "
            "it was started with, or choose another output folder."
        )
    return TrainingState(progress=progress, **groups)


@contextmanager
def state_named(path: Path) -> Iterator[None]:
    """Where a state does not fit, name its file and what to do."""
    try:
        yield
    except (WeightsError, InvalidSpecError) as error:
        raise WeightsError(f"{path} is corrupt. Delete it to train this part of the run again: {error}") from error


def _read_progress(text: str) -> Progress:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"its progress is not JSON ({error})") from error
    records = document.pop("records", None) if isinstance(document, dict) else None
    progress = from_plain(Progress, document, "its progress")
    if not isinstance(records, list):
        raise WeightsError("its progress does not state records")
    progress.records = [from_plain(EpochRecord, record, "a record of its progress") for record in records]
    return progress


def trained_tensors(module: nn.Module) -> dict[str, Tensor]:
    """The trainable weights of a module, by name."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def load_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy weights into the `trained_tensors` of a module.

    Raises:
        WeightsError: They are not those of this module.
    """
    own = trained_tensors(module)
    if own.keys() != weights.keys():
        odd = sorted(own.keys() ^ weights.keys())
        raise WeightsError(f"The state does not match the trained weights: {odd[0]} is missing or unexpected.")
    for name, tensor in weights.items():
        _check_shape(name, tensor, own[name])
    with torch.no_grad():
        for name, tensor in weights.items():
            own[name].copy_(tensor)


def _check_shape(name: str, tensor: Tensor, weight: Tensor) -> None:
    if tensor.shape != weight.shape:
        raise WeightsError(
            f"The state does not match the trained weights: {name} has the shape {tuple(tensor.shape)}, expected "
            f"{tuple(weight.shape)}."
        )


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
    """Restore the moments that `optimizer_tensors` returned.

    Raises:
        WeightsError: They are not those of these weights.
    """
    moments: dict[str, set[str]] = {}
    for key, tensor in tensors.items():
        name, _, moment = key.rpartition("/")
        if name not in weights:
            raise WeightsError(f"The state does not match the trained weights: {key} belongs to none of them.")
        if moment != _STEP:
            _check_shape(key, tensor, weights[name])
        moments.setdefault(name, set()).add(moment)
    if len({frozenset(names) for names in moments.values()}) > 1:
        raise WeightsError("The state of the optimizer is incomplete: its weights have different moments.")
    for key, tensor in tensors.items():
        name, _, moment = key.rpartition("/")
        weight = weights[name]
        restored = tensor.clone() if moment == _STEP else tensor.to(weight.device, copy=True)
        optimizer.state[weight][moment] = restored
