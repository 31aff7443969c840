"""Read tensors from files without running any code in them.

`.safetensors` is memory-mapped. So is PyTorch's own format, which is read with `weights_only=True`. OpenAI's CLIP
files are TorchScript archives: a ZIP with the program, which is ignored, and a pickle of the module tree, which is
read by an unpickler that accepts nothing but tensors and containers.
"""

from __future__ import annotations

import collections
import io
import os
import pickle
import pickletools
import re
import zipfile
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from perceptmetrics.errors import WeightsError, first_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["BARE_TENSOR", "check_archive", "read_metadata", "read_tensors", "save_tensors"]

BARE_TENSOR = "tensor"

_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")

_TORCHSCRIPT_PROTOCOL = 2
_UNWRAP = ("state_dict", "params", "model")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a state dictionary.

    Args:
        path: A `.safetensors` file, a PyTorch file (`.bin`, `.pt`, `.pth`) holding a state dictionary, bare
            or under the key `state_dict`, `params` or `model`, or a TorchScript archive.

    Returns:
        Tensors by name, on the CPU. A `module.` prefix (DataParallel) is removed. A single tensor without a name is
        called `BARE_TENSOR`.

    Raises:
        WeightsError: The file is missing or corrupt, or holds something else.
    """
    if not path.is_file():
        raise WeightsError(f"{path} does not exist or is not a file; expected a weight file.")
    try:
        if path.suffix == ".safetensors":
            tensors = load_file(path)
        elif _is_torchscript(path):
            tensors = _read_torchscript(path)
        else:
            mapped = zipfile.is_zipfile(path)  # the format of PyTorch before 1.6 cannot be memory-mapped
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
            tensors = _state_dict(loaded, path)
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a complete safetensors file: {error}. Fetch it again.") from error
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} cannot be read safely: it is corrupt, or holds Python objects other than tensors. perceptmetrics "
            f"never runs code from weight files; convert it to safetensors. ({_refused(error)})"
        ) from error
    except WeightsError:
        raise
    except Exception as error:  # a corrupt pickle can raise anything
        raise WeightsError(f"{path} is truncated or corrupt: {first_line(error)}. Fetch it again.") from error
    if not tensors:
        raise WeightsError(f"{path} holds no tensors; expected the weights of a model.")
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}


def save_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file.

    Args:
        tensors: Tensors by name.
        path: File to write. It is not written atomically, see `atomic.replacing`.
        metadata: Notes for the header.

    Raises:
        OSError: It cannot be written.
    """
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata=metadata)
    except SafetensorError as error:
        number = _SYSTEM_ERROR.search(str(error))
        if number is not None:
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
        raise OSError(f"{path} cannot be written: {error}") from error


def check_archive(path: Path) -> None:
    """Check the content of a PyTorch file against its checksums, which memory-mapped reading does not do.

    Args:
        path: A file. A file that is not a ZIP archive has no checksums and passes.

    Raises:
        WeightsError: A part of the archive is corrupt.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        corrupt = archive.testzip()
    if corrupt is not None:
        raise WeightsError(f"{path} is corrupt: the checksum of its part {corrupt!r} is wrong. Fetch it again.")


def read_metadata(path: Path) -> dict[str, str]:
    """Read the notes in the header of a safetensors file.

    Args:
        path: A file that `read_tensors` can read.

    Returns:
        The notes; empty if there are none or the format has none.

    Raises:
        WeightsError: The file is corrupt.
    """
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a complete safetensors file: {error}. Fetch it again.") from error


def _refused(error: pickle.UnpicklingError) -> str:
    """What the unpickler refused, without torch's advice to load the file unsafely."""
    return first_line(error.__context__ or error).split(". ")[0]


def _state_dict(loaded: object, path: Path) -> dict[str, Tensor]:
    for key in _UNWRAP:
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if isinstance(loaded, Tensor):
        return {BARE_TENSOR: loaded}
    if not isinstance(loaded, dict):
        raise WeightsError(f"{path} holds a {type(loaded).__name__}; expected a state dictionary of tensors.")
    return {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


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
    """Refuse opcodes that TorchScript does not write; a forged index into the memo could exhaust the memory."""
    for opcode, argument, _ in pickletools.genops(program):
        far = opcode.name.endswith("PUT") and isinstance(argument, int) and argument > len(program)
        if far or opcode.proto > _TORCHSCRIPT_PROTOCOL:
            raise _refusal(f"the opcode {opcode.name} {argument!r}")


class _TorchScriptUnpickler(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        self._archive = archive
        self._root = root
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
        data = bytearray(self._archive.read(f"{self._root}/data/{key}"))
        if not data:  # which frombuffer refuses
            return torch.empty(0, dtype=storage_type.dtype)
        return torch.frombuffer(data, dtype=storage_type.dtype)


def _refusal(what: str) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(f"the archive refers to {what}")


def _read_torchscript(path: Path) -> dict[str, Tensor]:
    with zipfile.ZipFile(path) as archive:
        root = next(name for name in archive.namelist() if name.endswith("/data.pkl")).rsplit("/", 1)[0]
        module = _TorchScriptUnpickler(archive, root).load()
    tensors: dict[str, Tensor] = {}
    _collect(module, "", tensors)
    return tensors


def _collect(module: _Module, prefix: str, tensors: dict[str, Tensor]) -> None:
    for name, value in module.attributes.items():
        if isinstance(value, Tensor):
            tensors[prefix + name] = value
        elif isinstance(value, _Module):
            _collect(value, f"{prefix}{name}.", tensors)
