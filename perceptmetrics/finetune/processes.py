"""The processes that train together: one, or several that `torchrun` or `accelerate launch` started."""

from __future__ import annotations

import platform
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed

from perceptmetrics._util.version import __version__
from perceptmetrics._util.warnings import quiet
from perceptmetrics.errors import InvalidOptionError, MissingExtraError

try:
    from accelerate import Accelerator, DistributedDataParallelKwargs, PartialState
    from accelerate.state import AcceleratorState, GradientState
except ImportError as error:
    raise MissingExtraError("Finetuning", "finetune") from error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor, nn

    from perceptmetrics.finetune.recipe.training_sections import TrainingPrecision

__all__ = ["Processes", "describe_environment", "training_processes"]

_PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
_PACKAGES = ("torch", "torchvision", "open_clip_torch", "timm", "accelerate", "numpy", "scipy")


@contextmanager
def training_processes(
    device: str | None, precision: TrainingPrecision, *, all_used: bool = True
) -> Iterator[Processes]:
    """Set up the processes of a training, in a state of accelerate's of their own.

    accelerate has one state for the whole process, and refuses a second `Accelerator` that differs from the first. So
    its state is set aside, and restored afterwards: an `Accelerator` of the caller's finds it unchanged.

    Args:
        device: `"cpu"`, `"cuda"`, ...; None for an accelerator if there is one.
        precision: Precision of training.
        all_used: Whether every trained weight takes part in every step, in each process. The head of a data set of
            which a batch holds nothing does not.

    Raises:
        InvalidOptionError: The device does not exist, or does not support the precision.
    """
    states = [state._shared_state for state in (AcceleratorState, PartialState, GradientState)]  # noqa: SLF001
    callers = [dict(state) for state in states]
    for state in states:
        state.clear()
    try:
        yield Processes(device, precision, all_used=all_used)
    finally:
        for state, content in zip(states, callers, strict=True):
            state.clear()
            state.update(content)


class Processes:
    """The processes of a training, see `training_processes`. The model is the same in all; each sees a part of a batch.

    Every process computes the loss on the outputs of the whole batch. The gradient in a process is `world` times the
    contribution of its own outputs, so that the mean over the processes is the gradient of the whole batch.
    """

    def __init__(self, device: str | None, precision: TrainingPrecision, *, all_used: bool) -> None:
        found = PartialState(cpu=device == "cpu").device.type
        if device is not None and device != found:
            raise InvalidOptionError(
                f"There is no device {device!r}; training would run on {found!r}. (CUDA_VISIBLE_DEVICES chooses among "
                "several GPUs.)"
            )
        if precision == "float16" and found == "cpu":
            raise InvalidOptionError("optimizer.precision 'float16' needs a GPU. Use 'bfloat16' or 'float32' on a CPU.")
        self._accelerator = Accelerator(
            cpu=device == "cpu",
            mixed_precision=_PRECISIONS[precision],
            kwargs_handlers=[
                DistributedDataParallelKwargs(broadcast_buffers=False, find_unused_parameters=not all_used)
            ],
        )
        self._first_scaler_state = self.scaler_state()

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        return int(self._accelerator.process_index)

    @property
    def world(self) -> int:
        """Number of processes."""
        return int(self._accelerator.num_processes)

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files."""
        return bool(self._accelerator.is_main_process)

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        return torch.device(self._accelerator.device)

    def prepare(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, Any]:
        """Prepare model and optimizer for all processes."""
        # Older versions of PyTorch lack the replacement.
        with quiet(category=FutureWarning, message="`broadcast_buffers` is deprecated"):
            prepared: tuple[nn.Module, Any] = self._accelerator.prepare(model, optimizer)
        return prepared

    def release(self) -> None:
        """Drop references to what `prepare` was given."""
        self._accelerator.free_memory()

    def autocast(self) -> AbstractContextManager[None]:
        """Compute in the precision of training."""
        context: AbstractContextManager[None] = self._accelerator.autocast()
        return context

    def synchronised(self, model: nn.Module, *, last: bool) -> AbstractContextManager[None]:
        """Average gradients over the processes only after the last part of a batch."""
        return nullcontext() if last else self._accelerator.no_sync(model)

    def backward(self, loss: Tensor) -> None:
        """Compute gradients."""
        self._accelerator.backward(loss)

    def clip(self, model: nn.Module, norm: float) -> None:
        """Clip the norm of the gradient."""
        self._accelerator.clip_grad_norm_(model.parameters(), norm)

    def scaler_state(self) -> dict[str, Any]:
        """State of the gradient scaler of float16; empty for other precisions."""
        return {} if self._accelerator.scaler is None else dict(self._accelerator.scaler.state_dict())

    def reset_scaler(self) -> None:
        """Reset the gradient scaler of float16, as each training starts with a new one."""
        self.load_scaler_state(self._first_scaler_state)

    def load_scaler_state(self, state: dict[str, Any]) -> None:
        """Restore what `scaler_state` returned."""
        if self._accelerator.scaler is not None and state:
            self._accelerator.scaler.load_state_dict(state)

    def wait(self) -> None:
        """Wait for all processes."""
        self._accelerator.wait_for_everyone()

    def gather(self, rows: Tensor, counts: Sequence[int]) -> Tensor:
        """Concatenate the rows of all processes, in the order of the processes.

        Args:
            rows: Rows of this process, shape (n, K); only these receive gradients.
            counts: Number of rows of each process.

        Returns:
            Shape (sum of counts, K).
        """
        if self.world == 1:
            return rows
        longest = max(counts)
        padded = torch.zeros(longest, *rows.shape[1:], dtype=rows.dtype, device=rows.device)
        padded[: len(rows)] = rows.detach()
        parts = [torch.empty_like(padded) for _ in counts]
        torch.distributed.all_gather(parts, padded)
        gathered = [
            rows if rank == self.rank else part[:count]
            for rank, (part, count) in enumerate(zip(parts, counts, strict=True))
        ]
        return torch.cat(gathered)


def describe_environment(processes: Processes) -> dict[str, str]:
    """Versions, system and device, by name, without anything that identifies the machine."""
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
