"""Reading MATLAB files of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.io import loadmat

from perceptmetrics.errors import DatasetError, first_line

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["read_matlab"]


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
