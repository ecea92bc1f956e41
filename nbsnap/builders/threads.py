"""Locks, queues and executors, as streams make them: `nbsnap.builders.threads.NAME`."""

from __future__ import annotations

import concurrent.futures
from typing import Any


def fill_simple_queue(target: Any, items: tuple[Any, ...]) -> None:
    """Put what waited back into a queue."""
    for item in items:
        target.put(item)


def thread_pool(cls: Any, options: dict[str, Any], down: bool) -> object:
    """Return an executor without workers; they start with its first task."""
    made = cls.__new__(cls)
    concurrent.futures.ThreadPoolExecutor.__init__(made, **options)
    if down:
        made.shutdown()
    return made


def process_pool(cls: Any, options: dict[str, Any], down: bool) -> object:
    """Return an executor without workers; they start with its first task."""
    if "mp_context" in options:
        import multiprocessing

        options = {**options, "mp_context": multiprocessing.get_context(options["mp_context"])}
    made = cls.__new__(cls)
    concurrent.futures.ProcessPoolExecutor.__init__(made, **options)
    if down:
        made.shutdown()
    return made


def future(cls: Any, outcome: str = "", value: object = None) -> object:
    """Return a future, cancelled or still to be given its outcome."""
    made = cls()
    if outcome == "cancelled":
        made.cancel()
        made.set_running_or_notify_cancel()
    return made


def fill_future(target: Any, outcome: tuple[str, Any]) -> None:
    """Give a future its outcome: what it returned or raised."""
    if outcome[0] == "raised":
        target.set_exception(outcome[1])
    else:
        target.set_result(outcome[1])


def process_lock(kind: str, value: tuple[int, ...]) -> object:
    """Return a fresh `multiprocessing.Lock()` or its like."""
    import multiprocessing

    return getattr(multiprocessing, kind)(*value)


def process_event(is_set: bool) -> object:
    """Return a `multiprocessing.Event`."""
    import multiprocessing

    made = multiprocessing.Event()
    if is_set:
        made.set()
    return made


def process_queue(kind: str, size: int) -> object:
    """Return an empty queue between processes."""
    import multiprocessing

    return multiprocessing.SimpleQueue() if kind == "SimpleQueue" else getattr(multiprocessing, kind)(size)
