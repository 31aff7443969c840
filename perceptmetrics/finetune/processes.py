"""The processes that train together: one, or several that `torchrun` or `accelerate launch` started."""

from __future__ import annotations

import platform
import warnings
from contextlib import nullcontext
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed

from perceptmetrics._util.version import __version__
from perceptmetrics.errors import InvalidOptionError, MissingExtraError

try:
    from accelerate import Accelerator, DistributedDataParallelKwargs, PartialState
    from accelerate.state import AcceleratorState
except ImportError as error:
    raise MissingExtraError("Finetuning", "finetune") from error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor, nn

    from perceptmetrics.finetune.recipe_sections import TrainingPrecision

__all__ = ["Processes", "describe_environment"]

_PRECISIONS = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
_PACKAGES = ("torch", "torchvision", "open_clip_torch", "timm", "accelerate", "numpy", "scipy")


class Processes:
    """What training needs of them. The model is the same in all, each sees its share of a batch.

    Losses are computed on the outputs of the whole batch, in each process alike. The gradient that a process gives is
    `world` times what its own outputs contribute, and the average over the processes the gradient of the whole batch.

    Args:
        device: `"cpu"`, `"cuda"`, ...; None for whatever accelerator there is.
        precision: Arithmetic of training.
        all_used: Whether every weight that is trained takes part in every step, in each process; the head of a data set
            of which a batch holds nothing does not.

    Raises:
        InvalidOptionError: The device is not there, or does not know the arithmetic.
    """

    def __init__(self, device: str | None, precision: TrainingPrecision, *, all_used: bool = True) -> None:
        # accelerate has one state for the whole process and refuses a second run that differs from the first.
        AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001
        found = PartialState(cpu=device == "cpu").device.type
        if device is not None and device != found:
            raise InvalidOptionError(
                f"The device {device!r} is not there: training would run on {found!r}. (Which of "
                "several GPUs is said by CUDA_VISIBLE_DEVICES.)"
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
        """Number of this process."""
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
        """Where this process computes."""
        return torch.device(self._accelerator.device)

    def prepare(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, Any]:
        """Bring model and optimizer together for all processes."""
        with warnings.catch_warnings():  # what newer PyTorch has in its place is not there in older ones
            warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated", category=FutureWarning)
            prepared: tuple[nn.Module, Any] = self._accelerator.prepare(model, optimizer)
        return prepared

    def release(self) -> None:
        """Let go of what `prepare` was given."""
        self._accelerator.free_memory()

    def autocast(self) -> AbstractContextManager[None]:
        """Arithmetic of training."""
        context: AbstractContextManager[None] = self._accelerator.autocast()
        return context

    def together(self, model: nn.Module, *, last: bool) -> AbstractContextManager[None]:
        """Gradients are averaged over the processes after the last part of a batch only."""
        return nullcontext() if last else self._accelerator.no_sync(model)

    def backward(self, loss: Tensor) -> None:
        """Compute gradients."""
        self._accelerator.backward(loss)

    def clip(self, model: nn.Module, norm: float) -> None:
        """Shorten the gradient."""
        self._accelerator.clip_grad_norm_(model.parameters(), norm)

    def scaler_state(self) -> dict[str, Any]:
        """State of float16's scaling of gradients; empty for other arithmetic."""
        return {} if self._accelerator.scaler is None else dict(self._accelerator.scaler.state_dict())

    def reset_scaler(self) -> None:
        """Begin float16's scaling of gradients anew, as each training does."""
        self.load_scaler_state(self._first_scaler_state)

    def load_scaler_state(self, state: dict[str, Any]) -> None:
        """Take `scaler_state` back."""
        if self._accelerator.scaler is not None and state:
            self._accelerator.scaler.load_state_dict(state)

    def wait(self) -> None:
        """Wait for all processes."""
        self._accelerator.wait_for_everyone()

    def gather(self, rows: Tensor, counts: Sequence[int]) -> Tensor:
        """Put the rows of all processes together, in the order of the processes.

        Args:
            rows: Shape (n, K) of this process; gradients flow to these alone.
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
        mine = [
            rows if rank == self.rank else part[:count]
            for rank, (part, count) in enumerate(zip(parts, counts, strict=True))
        ]
        return torch.cat(mine)


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
