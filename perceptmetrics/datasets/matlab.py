"""Reading MATLAB files of labels, and of images."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.io import loadmat, whosmat

from perceptmetrics.errors import DatasetError, first_line

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["MatlabImage", "matlab_shape", "read_matlab"]


@dataclass(frozen=True, kw_only=True)
class MatlabImage:
    """One of the images that a MATLAB file holds as an array of shape (H, W, 3, N), uint8.

    The whole array is read at the first access and kept as long as no other file is read.

    Attributes:
        path: The file.
        variable: Name of the array.
        place: Which of the N images.
    """

    path: Path
    variable: str
    place: int

    @property
    def identity(self) -> str:
        """Hash of the pixels."""
        return hashlib.sha256(self._pixels().tobytes()).hexdigest()

    def render(self) -> Tensor:
        """The pixels: shape (3, H, W), uint8, RGB."""
        from torch import from_numpy  # late: listing and checking data sets does without PyTorch

        return from_numpy(np.ascontiguousarray(self._pixels().transpose(2, 0, 1)))

    def _pixels(self) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = _array(self.path, self.variable)[..., self.place]
        return pixels


@lru_cache(maxsize=1)
def _array(path: Path, variable: str) -> NDArray[np.uint8]:
    return read_matlab(path, variable).astype(np.uint8, copy=False)


def matlab_shape(path: Path, variable: str) -> tuple[int, ...]:
    """Shape of a variable, which is not read.

    Raises:
        DatasetError: The file cannot be read, or does not hold the variable.
    """
    try:
        shapes: dict[str, tuple[int, ...]] = {name: shape for name, shape, _ in whosmat(str(path))}
    except Exception as error:  # SciPy raises whatever a damaged file leads it to
        raise DatasetError(f"{path} cannot be read as a MATLAB file: {first_line(error)}.") from error
    if variable not in shapes:
        raise DatasetError(f"{path}: expected a variable {variable!r}, which it does not hold.")
    return shapes[variable]


def read_matlab(path: Path, variable: str) -> NDArray[Any]:
    """Read one variable, its axes of length one removed.

    Args:
        path: A .mat file, version 7 or older.
        variable: Name of the variable.

    Returns:
        The array; cells of text as `str`, structures with their fields as attributes.

    Raises:
        DatasetError: The file cannot be read, or does not hold the variable.
    """
    try:
        content = loadmat(str(path), squeeze_me=True, struct_as_record=False, variable_names=[variable])
    except Exception as error:  # SciPy raises whatever a damaged file leads it to
        raise DatasetError(f"{path} cannot be read as a MATLAB file: {first_line(error)}.") from error
    if variable not in content:
        raise DatasetError(f"{path}: expected a variable {variable!r}, which it does not hold.")
    return np.atleast_1d(content[variable])
