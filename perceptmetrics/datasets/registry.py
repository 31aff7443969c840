"""Look up data sets by name."""

from __future__ import annotations

import inspect
import logging
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from perceptmetrics._util.files import refuse_empty
from perceptmetrics.datasets import (
    ava,
    choices,
    csv_file,
    emoset,
    emotionroi,
    flive,
    kadid10k,
    koniq10k,
    label_studio,
    ladders,
    lamem,
    live,
    livec,
    livec_ladders,
    spaq,
    sun,
    things,
    tid2013,
)
from perceptmetrics.datasets.info import DatasetInfo
from perceptmetrics.datasets.listing import Missing, check_missing
from perceptmetrics.errors import DatasetError, InvalidOptionError, nearest_names

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from perceptmetrics.datasets.labelled import LabelledImages

__all__ = ["ENTRY_POINT_GROUP", "DatasetReader", "dataset_info", "list_datasets", "load_dataset", "register_dataset"]


ENTRY_POINT_GROUP = "perceptmetrics.datasets"

_log = logging.getLogger(__name__)
_entry_points_read = False


class DatasetReader(Protocol):
    """A data set, usually a module: facts about it, and the reader of its official download.

    `read(root, missing, *, ...)`: the keyword-only parameters are the options of the data set.
    """

    INFO: DatasetInfo
    read: Callable[..., LabelledImages]


_MODULES: dict[str, DatasetReader] = {
    module.INFO.name: module
    for module in (
        livec,
        koniq10k,
        spaq,
        flive,
        live,
        tid2013,
        kadid10k,
        lamem,
        things,
        sun,
        emoset,
        emotionroi,
        ava,
        ladders,
        livec_ladders,
        csv_file,
        choices,
        label_studio,
    )
}


def register_dataset(dataset: DatasetReader, *, replace: bool = False) -> None:
    """Register a data set under the name in its `INFO`.

    Args:
        dataset: A module or object with `INFO`, a `DatasetInfo`, and `read(root, missing, *, ...)`, which returns
            `LabelledImages`; its keyword-only parameters are the options of the data set.
        replace: Whether a data set of the same name may be replaced.

    Raises:
        DatasetError: The object lacks `INFO` or `read`, or the name is taken.
    """
    info = getattr(dataset, "INFO", None)
    if not isinstance(info, DatasetInfo) or not callable(getattr(dataset, "read", None)):
        raise DatasetError(
            f"A data set to register needs INFO, a DatasetInfo, and read(root, missing); got {dataset!r}."
        )
    if not replace and info.name in _all_modules():
        raise DatasetError(
            f"A data set named {info.name!r} is registered already. Choose another name, or pass replace=True."
        )
    _MODULES[info.name] = dataset


def list_datasets() -> list[str]:
    """Names for `load_dataset`: first the data sets of the papers by task, then those made from your own images."""
    return list(_all_modules())


def dataset_info(name: str) -> DatasetInfo:
    """Return facts about a data set.

    Args:
        name: One of `list_datasets`.

    Raises:
        DatasetError: There is no such data set; the message suggests the nearest name.
    """
    return _module(name).INFO


def load_dataset(
    name: str, root: str | os.PathLike[str], *, missing: Missing = "error", **options: object
) -> LabelledImages:
    """Read the labels of a data set and find its images.

    No image is opened: see `check_dataset`.

    Args:
        name: One of `list_datasets`.
        root: The folder into which the official download was unpacked.
        missing: Whether a labelled image without a file is an error, or is skipped and listed in
            `LabelledImages.missing`.
        options: Options of this data set, such as `columns` of `csv`; see its module.

    Returns:
        The images with their labels.

    Raises:
        DatasetError: There is no such data set, or its files do not have the expected form.
        InvalidOptionError: An option is unknown or has an invalid value.
    """
    refuse_empty(root=root)
    module = _module(name)
    check_missing(missing)
    parameters = {
        key: parameter
        for key, parameter in inspect.signature(module.read).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    for option, value in options.items():
        if option not in parameters:
            raise InvalidOptionError(f"{name} has no option {option!r}. {nearest_names(option, parameters)}")
        if isinstance(parameters[option].default, bool) and not isinstance(value, bool):
            raise InvalidOptionError(f"{name}: {option} must be True or False, got {value!r}.")
    return module.read(Path(root), missing, **options)


def _module(name: str) -> DatasetReader:
    modules = _all_modules()
    if name not in modules:
        raise DatasetError(f"There is no data set {name!r}. {nearest_names(name, modules)}")
    return modules[name]


def _all_modules() -> dict[str, DatasetReader]:
    """The data sets, those of installed packages included (entry-point group `perceptmetrics.datasets`)."""
    global _entry_points_read
    if not _entry_points_read:
        _entry_points_read = True
        for entry_point in entry_points(group=ENTRY_POINT_GROUP):
            try:
                register_dataset(entry_point.load())
            except Exception:  # noqa: BLE001 - another package's fault must not hide the data sets that work
                _log.warning("The data set of the entry point %r could not be read.", entry_point, exc_info=True)
    return _MODULES
