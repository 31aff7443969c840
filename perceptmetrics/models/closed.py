"""A module that is closed to the module that contains it.

A network that is trained may contain a metric. Whatever is then done to the network as a whole must not change the
metric, let alone other metrics that share its tensors. PyTorch reaches the weights of a child through the child's own
children, so the parts of a closed module are no children: they are plain attributes. What a closed module is asked
itself (`metric.parameters()`, `metric.state_dict()`) it answers with its parts; what its parent asks, without them.
"""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from perceptmetrics.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import TypeAlias

    from torch.nn.modules.module import _IncompatibleKeys
    from typing_extensions import Self

    Conversion: TypeAlias = tuple[torch.device, torch.dtype]

__all__ = ["Closed", "conversion_only", "let_follow_its_input", "note_other_weights"]

_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)

_log = logging.getLogger(__name__)


class Closed(nn.Module):
    """A module that is open while it is made or trained, and closed to its parent while it is frozen.

    Open, it is an ordinary module. Closed, a parent's `parameters`, `buffers`, `modules`, `apply`, `requires_grad_`,
    `state_dict` and `load_state_dict` do not see the parts, and everything built on these (optimizers, averages of
    weights, initialisation, `DistributedDataParallel`) leaves them alone. `to` and its like reach the parts, but may
    only move them to another device or precision.
    """

    _closed: bool = False

    @property
    def closed(self) -> bool:
        """Whether the parts are hidden from a parent."""
        return self._closed

    def open(self) -> Self:
        """Make the parts ordinary submodules, which a parent sees and may train."""
        for name, part in self._parts().items():
            self._modules[name] = part
            del self.__dict__[name]
        self._closed = False
        return self

    def close(self) -> Self:
        """Hide the parts from a parent."""
        self._closed = True
        for name, part in list(self._modules.items()):
            self.__dict__[name] = part
            del self._modules[name]
        return self

    def opened(self) -> Self:
        """The same module with the very same parts, but open; this one stays as it is."""
        shown = self.__new__(type(self))
        parts = self._parts()
        attributes = {name: value for name, value in self.__dict__.items() if name not in parts}
        shown.__dict__.update(attributes, _modules={**self._modules, **parts}, _closed=False)
        return shown

    def _parts(self) -> dict[str, nn.Module]:
        """The parts that are hidden, by name; none while it is open."""
        if not self._closed:
            return {}
        return {name: value for name, value in self.__dict__.items() if isinstance(value, nn.Module)}

    def __setattr__(self, name: str, value: Any) -> None:
        if self._closed and isinstance(value, nn.Module):
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def __repr__(self) -> str:
        return repr(self.opened()) if self._closed else super().__repr__()

    def named_modules(
        self, memo: set[nn.Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Module]]:
        """As for any module; a parent's walk through its modules ends here while this one is closed."""
        if not self._closed:
            yield from super().named_modules(memo, prefix, remove_duplicate)
            return
        own = memo if isinstance(memo, _OwnWalk) else _OwnWalk(memo or ())
        if self in own:
            return
        for met in (memo, own) if remove_duplicate else ():
            if met is not None:
                met.add(self)
        yield prefix, self
        # `torch.export` puts what it traces into a module of its own, which must see the weights, and trains nothing.
        exported = torch.compiler.is_compiling() and "." not in prefix
        for name, part in self._parts().items() if memo is None or memo is own or exported else ():
            yield from part.named_modules(own, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def apply(self, fn: Callable[[nn.Module], None]) -> Self:
        """As for any module; while this one is closed, nothing: `apply` comes from a parent, to initialise weights."""
        return self if self._closed else super().apply(fn)

    def state_dict(self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """As for any module; nothing in the state dictionary of a parent while this one is closed."""
        if not self._closed:
            return super().state_dict(*args, destination=destination, prefix=prefix, keep_vars=keep_vars)
        if args or destination is not None:
            return args[0] if args else destination
        return self.opened().state_dict(prefix=prefix, keep_vars=keep_vars)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """As for any module, also while this one is closed; what a parent loads then does not get here."""
        if self._closed:
            return self.opened().load_state_dict(state_dict, strict, assign)
        loaded: _IncompatibleKeys = super().load_state_dict(state_dict, strict, assign)
        return loaded

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        """Where a parent's state dictionary ends, which may be older and hold weights of this module."""
        if self._closed:
            note_other_weights(self, state_dict, prefix)
        else:
            super()._load_from_state_dict(state_dict, prefix, *args)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        if not self._closed:
            return super()._apply(fn, recurse)  # type: ignore[no-untyped-call,no-any-return]
        converted = conversion_only(fn)
        for part in self._parts().values() if recurse else ():
            part._apply(converted)  # type: ignore[no-untyped-call] # noqa: SLF001 - as PyTorch calls it
        return self

    def _replicate_for_data_parallel(self) -> Self:
        """For `DataParallel`, which copies the tensors that it sees to each device; hidden parts follow their input."""
        replica: Self = super()._replicate_for_data_parallel()  # type: ignore[no-untyped-call]
        if self._closed:
            let_follow_its_input(replica)
        return replica


class _OwnWalk(set[nn.Module]):
    """Modules that a walk has met which began at a closed module itself, so that its parts are shown."""


def conversion_only(fn: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """What a function for `Module._apply` does to device and precision, and nothing else that it does.

    Args:
        fn: The function, such as that of `half()`, `to(device)` or `to_empty(device=device)`.

    Returns:
        A function that keeps the values of the tensors, apart from rounding to another precision.

    Raises:
        InvalidOptionError: (When it is called.) The tensors would become integers or complex, or have no values.
    """
    known: dict[Conversion, Conversion] = {}

    def convert(tensor: Tensor) -> Tensor:
        kind = (tensor.device, tensor.dtype)
        if kind not in known:
            known[kind] = _converted(tensor, fn)
        device, dtype = known[kind]
        return tensor if (device, dtype) == kind else tensor.to(device, dtype)

    return convert


def _converted(tensor: Tensor, fn: Callable[[Tensor], Tensor]) -> Conversion:
    """Where a tensor is to go, and in which precision, from what becomes of a probe."""
    try:
        probe = fn(torch.ones(1, dtype=tensor.dtype, device=tensor.device))
    except NotImplementedError as error:
        if tensor.device.type != "meta":
            raise
        raise _no_weights() from error
    if tensor.device.type == "meta" and probe.device.type != "meta":
        raise _no_weights()
    if not tensor.is_floating_point():
        return probe.device, tensor.dtype
    if probe.dtype not in (tensor.dtype, *_DTYPES):
        raise InvalidOptionError(
            f"A metric computes in {', '.join(str(dtype) for dtype in _DTYPES)}, not in {probe.dtype}. Convert it to "
            "one of these, or leave it in its own precision."
        )
    return probe.device, probe.dtype


def _no_weights() -> InvalidOptionError:
    return InvalidOptionError(
        "A metric on the device 'meta' has no weights that could be moved elsewhere. Make it again with create_metric."
    )


def note_other_weights(module: Closed, state: Mapping[str, Any], prefix: str, inside: str = "") -> None:
    """Warn when a parent's state dictionary holds other weights of a closed module than it has, which stay as they are.

    Args:
        module: The closed module.
        state: The dictionary.
        prefix: What the names of what belongs to the closed module, or to the one that hides it, begin with.
        inside: What they begin with after that.
    """
    given = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix + inside)}
    if not given:
        return
    own = module.state_dict(prefix=inside)
    if not all(name in own and _equal(tensor, own[name]) for name, tensor in given.items()):
        place = (prefix + inside).rstrip(".")
        _log.warning(
            "The state dictionary holds other weights of the frozen metric %r than the metric has. They are not "
            "loaded: a metric keeps the weights that it was made with. To load them, pass them to the metric's own "
            "load_state_dict.",
            place,
        )


def _equal(one: object, other: Tensor) -> bool:
    if not isinstance(one, Tensor) or one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.equal(one.detach().to(other.device), other.detach())


def let_follow_its_input(replica: nn.Module) -> None:
    """Let a replica of `DataParallel` copy its hidden parts to the device of its input before it computes."""
    replica._forward_pre_hooks = replica._forward_pre_hooks.copy()  # noqa: SLF001 - still the original's own
    replica.register_forward_pre_hook(_follow_input)


def _follow_input(replica: nn.Module, args: tuple[Any, ...]) -> None:
    device = next((value.device for value in args if isinstance(value, Tensor)), None)
    for name, part in list(replica.__dict__.items()):
        if device is None or not isinstance(part, nn.Module):
            continue
        modules = [module for _, module in part.named_modules(_OwnWalk())]
        tensors = [
            tensor
            for module in modules
            for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False))
        ]
        if any(tensor.device != device for tensor in tensors):
            memo: dict[int, Any] = {id(tensor): _copied(tensor, device) for tensor in tensors}
            replica.__dict__[name] = copy.deepcopy(part, memo)


def _copied(tensor: Tensor, device: torch.device) -> Tensor:
    moved = tensor.detach().to(device)
    return nn.Parameter(moved, requires_grad=False) if isinstance(tensor, nn.Parameter) else moved
