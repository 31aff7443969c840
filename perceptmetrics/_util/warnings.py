"""Silence warnings and log output of third-party libraries."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["quiet"]

_LOCK = RLock()  # filters and levels belong to the process: two blocks at once would restore each other's


@contextmanager
def quiet(logger_name: str | None = None, *, category: type[Warning] = Warning, message: str = "") -> Iterator[None]:
    """Suppress warnings, and the messages of a logger below errors; afterwards both are as they were.

    Args:
        logger_name: Name of the logger; None for none.
        category: Which warnings.
        message: What their text begins with, as a regular expression.
    """
    logger = None if logger_name is None else logging.getLogger(logger_name)
    with _LOCK, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message, category)
        level = logging.NOTSET if logger is None else logger.level
        if logger is not None:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            if logger is not None:
                logger.setLevel(level)
