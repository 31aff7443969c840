"""Run tasks in threads, a bounded number ahead of whoever consumes the results."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from concurrent.futures import Future

__all__ = ["run_ahead"]

T = TypeVar("T")


def run_ahead(
    batches: Iterable[Sequence[Callable[[], T]]],
    *,
    workers: int,
    ahead: int,
    name: str,
    weigh: Callable[[Sequence[Callable[[], T]]], int] | None = None,
    max_weight: int = 0,
) -> Generator[list[T], None, None]:
    """Run batches of tasks and yield the results of each batch, in order.

    Tasks see the context variables of the caller, as they are when it asks for a batch.

    Args:
        batches: The tasks of each batch; consumed lazily.
        workers: Number of threads; 0 runs the tasks in the calling thread, each batch when it is asked for.
        ahead: Number of batches that are submitted before the first of them is waited for.
        name: Name of the threads.
        weigh: The weight of a batch, such as its bytes in memory; None if batches weigh nothing.
        max_weight: Weight of the batches that may wait together; a heavier batch waits alone.

    Yields:
        The results of one batch. An exception of a task is raised in place of its batch. When the generator is closed,
        tasks that have not started are cancelled.
    """
    if workers == 0:
        for batch in batches:
            yield [task() for task in batch]
        return
    with ThreadPoolExecutor(workers, thread_name_prefix=name) as pool:
        submitted: deque[tuple[list[Future[T]], int]] = deque()
        waiting = 0
        try:
            for batch in batches:
                weight = 0 if weigh is None else weigh(batch)
                waiting += weight
                submitted.append(([pool.submit(copy_context().run, task) for task in batch], weight))
                while len(submitted) > ahead or (waiting > max_weight and submitted):
                    futures, weight = submitted.popleft()
                    yield [future.result() for future in futures]
                    waiting -= weight
            while submitted:
                yield [future.result() for future in submitted.popleft()[0]]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
