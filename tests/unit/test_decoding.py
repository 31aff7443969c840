"""Decoding ahead: in order, a bounded number ahead, with errors as results, and no thread left behind."""

from __future__ import annotations

import itertools
import threading
import time

import numpy as np
import pytest
import torch

from perceptmetrics.errors import InvalidImageError, InvalidOptionError
from perceptmetrics.images.decode import decode_ahead, default_workers
from tests.support.encoded_images import encode, noise

WORKERS = (0, 1, 4)


def our_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("perceptmetrics-decode")]


@pytest.mark.parametrize("workers", [*WORKERS, None])
def test_results_come_in_the_order_of_the_sources(workers):
    # Large and small alternate, so that decoding does not end in the order in which it started.
    samples = [noise(200 if index % 2 else 2, 60, seed=index) for index in range(40)]
    sources = [encode(array, "PNG") for array in samples]
    results = list(decode_ahead(sources, workers))
    assert [result.source for result in results] == sources
    for result, array in zip(results, samples, strict=True):
        assert result.error is None
        assert torch.equal(result.pixels, torch.from_numpy(array).permute(2, 0, 1))


@pytest.mark.parametrize("workers", WORKERS)
def test_errors_are_results(workers):
    good = np.zeros((4, 4, 3), np.uint8)
    results = list(decode_ahead([good, b"no image", good, b""], workers))
    assert [result.error is None for result in results] == [True, False, True, False]
    assert [result.pixels is None for result in results] == [False, True, False, True]
    assert isinstance(results[1].error, InvalidImageError)
    assert "is empty" in str(results[3].error)


@pytest.mark.parametrize("workers", WORKERS)
def test_other_errors_are_raised(workers, monkeypatch):
    def fail(source, options=None):
        raise KeyError(source)

    monkeypatch.setattr("perceptmetrics.images.decode.load_pixels", fail)
    with pytest.raises(KeyError, match="source"):
        list(decode_ahead(["source"], workers))


@pytest.mark.parametrize(("workers", "ahead"), [(0, 0), (1, 4), (4, 16)])
def test_a_bounded_number_of_sources_is_read_ahead(workers, ahead):
    taken = []

    def sources():
        for index in itertools.count():
            taken.append(index)
            yield np.zeros((2, 2, 3), np.uint8)

    results = decode_ahead(sources(), workers)
    assert not taken
    for count in range(1, 30):
        next(results)
        assert len(taken) <= count + ahead
    results.close()


@pytest.mark.parametrize("workers", [1, 4])
def test_images_are_decoded_in_that_many_threads(workers, monkeypatch):
    names, together = set(), threading.Barrier(workers)

    def load(source, options=None):
        together.wait(timeout=10)
        names.add(threading.current_thread().name)
        return source

    monkeypatch.setattr("perceptmetrics.images.decode.load_pixels", load)
    list(decode_ahead(range(4 * workers), workers))
    assert len(names) == workers
    assert all(name.startswith("perceptmetrics-decode") for name in names)


def test_no_worker_means_the_calling_thread(monkeypatch):
    monkeypatch.setattr(
        "perceptmetrics.images.decode.load_pixels", lambda source, options=None: threading.current_thread()
    )
    assert [result.pixels for result in decode_ahead(range(3), 0)] == [threading.main_thread()] * 3


@pytest.mark.parametrize("end", ["exhausted", "closed", "forgotten", "error in the sources"])
def test_threads_end_with_the_consumer(end):
    def sources():
        for index in range(20):
            if end == "error in the sources" and index == 15:
                raise OSError("disk gone")
            yield np.zeros((2, 2, 3), np.uint8)

    results = decode_ahead(sources(), 3)
    next(results)
    if end == "exhausted":
        list(results)
    elif end == "closed":
        results.close()
    elif end == "forgotten":
        del results
    else:
        with pytest.raises(OSError, match="disk gone"):
            list(results)
    deadline = time.monotonic() + 5
    while our_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not our_threads()


def test_a_consumer_that_stops_does_not_wait_for_the_images_ahead(monkeypatch):
    started, release = [], threading.Event()

    def load(source, options=None):
        started.append(source)
        assert source == 0 or release.wait(timeout=10)
        return source

    monkeypatch.setattr("perceptmetrics.images.decode.load_pixels", load)
    results = decode_ahead(iter(range(100)), 2)
    next(results)
    timer = threading.Timer(0.1, release.set)
    timer.start()
    results.close()
    timer.join()
    assert len(started) <= 3  # the first, and one that each thread was busy with


def test_a_negative_number_of_workers_is_refused():
    with pytest.raises(InvalidOptionError, match=r"workers must be 0 .* or more, got -1"):
        list(decode_ahead([], -1))


@pytest.mark.parametrize(("processors", "workers"), [(1, 1), (6, 6), (64, 8), (None, 1)])
def test_the_default_number_of_workers(processors, workers, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: processors)
    assert default_workers() == workers
