"""What threads use: locks come back fresh, thread-local data with what this thread has in it, loggers by name."""

from __future__ import annotations

import _thread
import contextlib
import logging
from typing import Any

from nbsnap import builders
from nbsnap.errors import CannotSave

from .common import Plan, fresh


def _thread_local(desk: Any, value: Any) -> Any:
    desk.claim(value)
    desk.note("thread-local data comes back with what this thread has in it")
    return builders.local, (), dict(vars(value)), None, None, builders.fill_attributes


def _simple_queue(desk: Any, queue: Any) -> Any:
    if not queue.empty():
        raise CannotSave("what waits in such a queue cannot be read without taking it out", queue)
    desk.claim(queue)
    return builders.simple_queue, ()


def _logger(desk: Any, logger: logging.Logger) -> Any:
    if logger is logging.getLogger():
        return builders.logger, ("",)
    if logging.Logger.manager.loggerDict.get(logger.name) is logger:
        return builders.logger, (logger.name,)
    desk.claim(logger)
    return object.__reduce_ex__(logger, 4)


PLANS: dict[type, Plan] = {
    _thread.LockType: fresh(builders.lock, "a lock"),
    _thread.RLock: fresh(builders.rlock, "a lock"),
    _thread._local: _thread_local,
}

with contextlib.suppress(ImportError):
    import _queue

    PLANS[_queue.SimpleQueue] = _simple_queue

#: For a class and its subclasses, by qualified name.
PLANS_BY_NAME: dict[str, Plan] = {"logging.Logger": _logger}
