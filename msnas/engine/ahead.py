"""Work whose results are wanted one after another, done beforehand by threads while its results are used."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(work: Callable[[T], R], items: Sequence[T], *, threads: int) -> Iterator[R]:
    """`work` of each item, in order; `threads` items are under way beforehand (0: each when it is asked for).

    What `work` raises is raised where its result is due.
    """
    if threads == 0:
        yield from map(work, items)
        return
    pool, left = ThreadPoolExecutor(threads, thread_name_prefix="ahead"), iter(items)
    try:
        pending: deque[Future[R]] = deque(pool.submit(work, item) for item in islice(left, threads))
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(work, item) for item in islice(left, 1))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
