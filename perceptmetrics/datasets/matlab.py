"""Read MATLAB files of labels and images."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.io import loadmat, whosmat

from perceptmetrics.errors import DatasetError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["MatlabImage", "matlab_shape", "read_matlab"]


@dataclass(frozen=True, kw_only=True)
class MatlabImage:
    """One image of a MATLAB array of shape (H, W, 3, N), uint8; implements `RenderedImage`.

    The whole array is read at the first access and cached until another file is read.

    Attributes:
        path: The file.
        variable: Name of the array.
        index: Index of the image.
    """

    path: Path
    variable: str
    index: int

    @property
    def identity(self) -> str:
        """Hash of the pixels."""
        return hashlib.sha256(self._pixels().tobytes()).hexdigest()

    def render(self) -> Tensor:
        """Return the pixels: shape (3, H, W), uint8, RGB."""
        from torch import from_numpy  # late: listing and checking data sets does not need PyTorch

        return from_numpy(np.ascontiguousarray(self._pixels().transpose(2, 0, 1)))

    def _pixels(self) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = _array(self.path, self.variable)[..., self.index]
        return pixels


@lru_cache(maxsize=1)
def _array(path: Path, variable: str) -> NDArray[np.uint8]:
    return read_matlab(path, variable).astype(np.uint8, copy=False)


def matlab_shape(path: Path, variable: str) -> tuple[int, ...]:
    """Return the shape of a variable without reading its values.

    Raises:
        DatasetError: The file cannot be read, or does not contain the variable.
    """
    shapes: dict[str, tuple[int, ...]]
    with _explain(path, variable):
        shapes = {name: shape for name, shape, _ in whosmat(str(path))}
        return shapes[variable]


def read_matlab(path: Path, variable: str) -> NDArray[Any]:
    """Read one variable, without axes of length one.

    Args:
        path: A .mat file, version 7 or older.
        variable: Name of the variable.

    Returns:
        The array; text cells as `str`, structures as objects with their fields as attributes.

    Raises:
        DatasetError: The file cannot be read, or does not contain the variable.
    """
    with _explain(path, variable):
        content = loadmat(str(path), squeeze_me=True, struct_as_record=False, variable_names=[variable])
        return np.atleast_1d(content[variable])


@contextmanager
def _explain(path: Path, variable: str) -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        raise DatasetError(f"{path}: expected a variable {variable!r}, which it does not contain.") from error
    except Exception as error:  # SciPy raises anything on corrupt files
        raise DatasetError(f"{path} cannot be read as a MATLAB file: {first_line(error)}.") from error
