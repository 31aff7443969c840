"""Other libraries are silenced for a moment: filters, and the level of their logger, are what they were before."""

from __future__ import annotations

import logging
import threading
import warnings

import pytest

from perceptmetrics._util.warnings import quiet


def test_only_the_stated_warnings_are_silenced():
    with quiet(category=FutureWarning, message="old"):
        warnings.warn("old and gone", FutureWarning, stacklevel=1)
        with pytest.raises(FutureWarning, match="new"):
            warnings.warn("new", FutureWarning, stacklevel=1)
        with pytest.raises(UserWarning, match="old"):
            warnings.warn("old", UserWarning, stacklevel=1)


def test_a_logger_says_errors_alone(caplog):
    logger = logging.getLogger("perceptmetrics-test-quiet")
    with quiet(logger.name):
        logger.warning("a warning")
        logger.error("an error")
    logger.warning("another warning")
    assert caplog.messages == ["an error", "another warning"]


@pytest.mark.parametrize("level", [logging.NOTSET, logging.DEBUG, logging.CRITICAL])
def test_everything_is_as_it_was_even_after_an_error(level):
    logger = logging.getLogger("perceptmetrics-test-quiet")
    logger.setLevel(level)
    filters = list(warnings.filters)
    with pytest.raises(ZeroDivisionError), quiet(logger.name):
        _ = 1 / 0
    assert (logger.level, list(warnings.filters)) == (level, filters)
    logger.setLevel(logging.NOTSET)


def test_two_threads_do_not_restore_each_others_state():
    logger = logging.getLogger("perceptmetrics-test-quiet")
    filters = list(warnings.filters)
    inside, leave = threading.Event(), threading.Event()

    def stay():
        with quiet(logger.name):
            inside.set()
            leave.wait(10)

    def pass_through():
        with quiet(logger.name):
            pass

    first, second = threading.Thread(target=stay), threading.Thread(target=pass_through)
    first.start()
    inside.wait(10)
    second.start()
    second.join(0.05)
    assert second.is_alive()
    leave.set()
    first.join()
    second.join()
    assert (logger.level, list(warnings.filters)) == (logging.NOTSET, filters)
