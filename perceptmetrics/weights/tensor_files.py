"""Read tensors from files without running any code in them.

`.safetensors` is memory-mapped. So is PyTorch's own format, which is read with `weights_only=True`. OpenAI's CLIP
files are TorchScript archives, see `torchscript`. No file takes much more memory than it has bytes: archives that
unpack to more, long headers and expanded tensors are refused.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from perceptmetrics._util.text import shown
from perceptmetrics.errors import WeightsError, first_line
from perceptmetrics.weights.pickles import check_pickles
from perceptmetrics.weights.torchscript import is_torchscript, read_torchscript

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["BARE_TENSOR", "check_archive", "read_metadata", "read_shapes", "read_tensors", "save_tensors"]

BARE_TENSOR = "tensor"

_NOTES, _LENGTH_BYTES = "__metadata__", 8  # of the header of a safetensors file
_LONGEST_HEADER = 10**7  # the largest of an encoder has some 100,000 bytes
_MOST_REPEATED = 4  # a tensor may have several names
_BLOCK = 2**20
_PICKLES = 5  # of a file before PyTorch 1.6: what wrote it in three, its content, the order of its tensors

_ARCHIVE_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,  # a compression or a version that does not exist
    OSError,  # an offset that does not exist
    RuntimeError,  # parts that claim to be encrypted
    ValueError,
)
_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")

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
        tensors = _read(path)
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
    _check_sizes(tensors, path)
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read names and shapes of the tensors in a file: of safetensors the header alone, others as `read_tensors` does.

    Args:
        path: A file that `read_tensors` can read.

    Raises:
        WeightsError: The file is missing or corrupt, or holds something else.
    """
    if path.suffix != ".safetensors" or not path.is_file():
        return {name: tuple(tensor.shape) for name, tensor in read_tensors(path).items()}
    _check_header(path)
    try:
        with safe_open(path, framework="pt") as file:
            names = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a complete safetensors file: {error}. Fetch it again.") from error
    return {name.removeprefix("module."): shape for name, shape in names.items()}


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        _check_header(path)
        return load_file(path)
    if not zipfile.is_zipfile(path):  # the format of PyTorch before 1.6, which cannot be memory-mapped
        with path.open("rb") as stream:
            check_pickles(stream, _PICKLES)
        return _state_dict(torch.load(path, map_location="cpu", weights_only=True), path)
    with zipfile.ZipFile(path) as archive:
        _check_members(archive, path)
        for name in archive.namelist():
            if name.endswith(".pkl"):
                with archive.open(name) as stream:
                    check_pickles(stream, 1)
        if is_torchscript(archive):
            return read_torchscript(archive)
    return _state_dict(torch.load(path, map_location="cpu", weights_only=True, mmap=True), path)


def _check_header(path: Path) -> None:
    """Refuse a header that is longer than the file, or than that of any model: its JSON takes many times the memory."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
    if length > min(path.stat().st_size, _LONGEST_HEADER):
        raise WeightsError(
            f"{path} is not a complete safetensors file: it announces a header of {length:,} bytes, and at most "
            f"{min(path.stat().st_size, _LONGEST_HEADER):,} are read. Fetch it again."
        )


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse an archive that unpacks to more than it is; PyTorch compresses only source code, which is never read."""
    for member in _data_members(archive):
        if member.compress_type != zipfile.ZIP_STORED:
            raise WeightsError(
                f"{path} is refused: its part {shown(member.filename)} is compressed, which PyTorch does not do; it "
                f"would become {member.file_size:,} bytes. Write the file with torch.save, or as safetensors."
            )
    announced, size = sum(member.file_size for member in _data_members(archive)), path.stat().st_size
    if announced > size:
        raise WeightsError(
            f"{path} is truncated or corrupt: its parts should have {announced:,} bytes, and the file has {size:,}. "
            "Fetch it again."
        )


def _data_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """All but the source code of TorchScript, which is never read."""
    return [member for member in archive.infolist() if member.filename.split("/")[1:2] != ["code"]]


def _check_sizes(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors that would take more memory than the file has bytes, such as one number expanded to a matrix."""
    for name, tensor in tensors.items():
        plain = tensor.device.type == "cpu" and tensor.layout is torch.strided and not tensor.is_quantized
        if not plain or tensor.is_nested:
            raise WeightsError(
                f"The tensor {shown(name)} of {path} is not dense (sparse, quantised, nested or without content); "
                "expected plain tensors."
            )
    announced, most = sum(tensor.nbytes for tensor in tensors.values()), _MOST_REPEATED * path.stat().st_size
    if announced > most:
        raise WeightsError(
            f"{path} is refused: its tensors would take {announced:,} bytes, and the file has {path.stat().st_size:,}. "
            "Expected every number to be in the file."
        )


def save_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file: the same tensors and notes always give the same bytes.

    Args:
        tensors: Tensors by name.
        path: File to write. It is not written atomically, see `atomic.replacing`.
        metadata: Notes for the header.

    Raises:
        OSError: It cannot be written.
    """
    path.touch()
    mode = path.stat().st_mode  # that of any new file; the library's own is for its owner alone
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata=metadata)
    except SafetensorError as error:
        path.unlink(missing_ok=True)
        number = _SYSTEM_ERROR.search(str(error))
        if number is not None:
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
        raise OSError(f"{path} cannot be written: {error}") from error
    path.chmod(mode)
    _sort_notes(path)


def _sort_notes(path: Path) -> None:
    """Put the notes of a safetensors file in order, which the library writes in a random one; nothing gets longer."""
    with path.open("r+b") as stream:
        length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
        header = json.loads(stream.read(length))
        if _NOTES in header:
            header[_NOTES] = dict(sorted(header[_NOTES].items()))
        ordered = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        if len(ordered) <= length:  # as long as it was, if the library writes JSON as Python does
            stream.seek(_LENGTH_BYTES)
            stream.write(ordered.ljust(length))


def check_archive(path: Path) -> None:
    """Check the content of a PyTorch file against its checksums, which memory-mapped reading does not do.

    Args:
        path: A file. A file that is not a ZIP archive has no checksums and passes.

    Raises:
        WeightsError: A part of the archive is corrupt.
    """
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path)
            for member in _data_members(archive):
                _check_member(archive, member, path)
    except WeightsError:
        raise
    except _ARCHIVE_ERRORS as error:
        raise WeightsError(f"{path} is a corrupt archive: {error}. Fetch it again.") from error


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    with archive.open(member) as stream:
        try:
            while stream.read(_BLOCK):
                pass
        except zipfile.BadZipFile as error:
            raise WeightsError(
                f"{path} is corrupt: the checksum of its part {member.filename!r} is wrong. Fetch it again."
            ) from error


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
    _check_header(path)
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
    tensors = {name: value for name, value in loaded.items() if isinstance(value, Tensor)}
    if unnamed := [name for name in tensors if not isinstance(name, (str, int))]:
        raise WeightsError(f"{path} holds tensors without names: {shown(unnamed[0])}; expected a state dictionary.")
    return {str(name): value for name, value in tensors.items()}
