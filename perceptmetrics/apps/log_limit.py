"""A limit of log lines: what clients can cause again and again must not fill a disk."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["LogLimit", "limited_logs"]


class LogLimit(logging.Filter):
    """Passes some records of each line of code in a period, and says later how many were left out.

    Args:
        records: Number of records that pass in a period.
        period: Seconds.
    """

    def __init__(self, records: int = 10, period: float = 60.0) -> None:
        super().__init__()
        self._records = records
        self._period = period
        self._seen: dict[tuple[str, int], tuple[float, int]] = {}  # start of the period, records in it

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record passes; the first of a period says how many were left out in the last one."""
        place, now = (record.pathname, record.lineno), time.monotonic()
        start, count = self._seen.get(place, (now, 0))
        if now - start >= self._period:
            if count > self._records:
                omitted = count - self._records
                record.msg, record.args = f"{record.getMessage()} ({omitted} similar messages were left out)", ()
            start, count = now, 0
        self._seen[place] = (start, count + 1)
        return count < self._records


@contextmanager
def limited_logs(names: Sequence[str]) -> Iterator[None]:
    """Limit the records of these loggers until the block ends."""
    limit = LogLimit()
    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addFilter(limit)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(limit)
