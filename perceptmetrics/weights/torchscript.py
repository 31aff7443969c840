"""Read TorchScript archives, as OpenAI published its CLIPs, without running any code in them.

An archive is a ZIP with the program, which is ignored, and a pickle of the module tree, which is read by an unpickler
that accepts nothing but tensors and containers.
"""

from __future__ import annotations

import collections
import io
import pickle
import pickletools
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    import zipfile

__all__ = ["is_torchscript", "read_torchscript"]

_PROTOCOL = 2
_MOST_MODULES = 10_000  # a CLIP has some 500


class _Module:
    """Stands in for any scripted module or parameter container: keeps its attributes, runs nothing."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.attributes = state


def _rebuild_parameter(data: Tensor, *_: object) -> Tensor:
    return data


def _rebuild_tensor(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> Tensor:
    return torch.as_strided(storage, size, stride, offset)


class _StorageType:
    def __init__(self, name: str) -> None:
        self.dtype = _STORAGE_DTYPES[name]


_STORAGE_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def _check_opcodes(program: bytes) -> None:
    """Refuse opcodes that TorchScript does not write."""
    for opcode, argument, _ in pickletools.genops(program):
        if opcode.proto > _PROTOCOL:
            raise _refusal(f"the opcode {opcode.name} {argument!r}")


class _TorchScriptUnpickler(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        self._archive = archive
        self._root = root
        self._storages: dict[str, bytearray] = {}
        program = archive.read(f"{root}/data.pkl")
        _check_opcodes(program)
        super().__init__(io.BytesIO(program))

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return _Module
        if module in ("torch", "torch.storage") and name in _STORAGE_DTYPES:
            return _StorageType(name)
        allowed = {
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
            ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
            ("collections", "OrderedDict"): collections.OrderedDict,
        }
        if (module, name) in allowed:
            return allowed[module, name]
        if module == "torch.jit._pickle":
            return lambda value, *_: value
        raise _refusal(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Tensor:
        kind, storage_type, key, _device, _count = pid
        if kind != "storage":
            raise _refusal(f"persistent object {kind!r}")
        data = self._storages.get(key)
        if data is None:
            data = self._storages[key] = bytearray(self._archive.read(f"{self._root}/data/{key}"))
        if not data:  # which frombuffer refuses
            return torch.empty(0, dtype=storage_type.dtype)
        return torch.frombuffer(data, dtype=storage_type.dtype)


def _refusal(what: str) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(f"the archive refers to {what}")


def is_torchscript(archive: zipfile.ZipFile) -> bool:
    """Whether an archive is a scripted module, not a state dictionary."""
    return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_torchscript(archive: zipfile.ZipFile) -> dict[str, Tensor]:
    """Read all tensors of a scripted module.

    Args:
        archive: An archive whose parts are stored, not compressed, so that none is larger than the file.

    Returns:
        Tensors by the names that the module's own state dictionary has.

    Raises:
        pickle.UnpicklingError: The archive holds something else. A corrupt one can raise anything.
    """
    root = next(name for name in archive.namelist() if name.endswith("/data.pkl")).rsplit("/", 1)[0]
    left = [("", _TorchScriptUnpickler(archive, root).load())]
    tensors: dict[str, Tensor] = {}
    for _ in range(_MOST_MODULES):
        if not left:
            return tensors
        prefix, module = left.pop()
        for name, value in module.attributes.items():
            if isinstance(value, Tensor):
                tensors[prefix + name] = value
            elif isinstance(value, _Module):
                left.append((f"{prefix}{name}.", value))
    raise _refusal(f"more than {_MOST_MODULES:,} modules")
