"""What threads and tasks use: locks, queues and executors come back fresh, loggers by name.

Nobody waits and nothing is held in a fresh process, so a lock comes back unlocked, a condition without waiters, an
executor without work. What a queue holds is data and comes back with it.
"""

from __future__ import annotations

import _thread
import collections
import contextlib
import gc
import logging
import sys
from typing import Any

from nbsnap import builders
from nbsnap.builders import threads
from nbsnap.describe import module_of
from nbsnap.errors import CannotSave
from nbsnap.refused import PROCESS

from .common import Plan, fresh


def _thread_local(desk: Any, value: Any) -> Any:
    desk.claim(value)
    desk.note("thread-local data comes back with what this thread has in it")
    return builders.local, (), dict(vars(value)), None, None, builders.fill_attributes


def _simple_queue(desk: Any, queue: Any) -> Any:
    """A queue of C: the collector is shown what waits in it."""
    desk.claim(queue)
    count = queue.qsize()
    if not count:
        return builders.simple_queue, ()
    held = [part for part in gc.get_referents(queue) if part is not type(queue)]
    if sys.version_info < (3, 13):  # one list, with what was taken out already at its beginning
        held = held[0][-count:] if held and type(held[0]) is list else []
    if len(held) != count:
        raise CannotSave("what waits in it cannot be read without taking it out", queue)
    return builders.simple_queue, (), tuple(held), None, None, threads.fill_simple_queue


def _executor(desk: Any, executor: Any) -> Any:
    """Workers start with the first task, so an executor without them is as good as it was."""
    desk.claim(executor)
    name = "thread_pool" if hasattr(executor, "_thread_name_prefix") else "process_pool"
    desk.note("an executor comes back fresh, without the tasks that it had")
    names = ("_max_workers", "_thread_name_prefix", "_initializer", "_initargs", "_max_tasks_per_child")
    options = {key.lstrip("_"): getattr(executor, key) for key in names if getattr(executor, key, None) is not None}
    context = getattr(executor, "_mp_context", None)
    if context is not None:
        options["mp_context"] = context.get_start_method()
    down = bool(getattr(executor, "_shutdown", False) or getattr(executor, "_shutdown_thread", False))
    base: Any = next(base for base in type(executor).__mro__ if module_of(base).startswith("concurrent.futures."))
    its = base.__init__.__code__.co_names  # what is set there is made anew; the rest a subclass has added
    mine = {key: part for key, part in vars(executor).items() if key not in its}
    return getattr(threads, name), (type(executor), options, down), mine or None, None, None, builders.fill_attributes


def _future(desk: Any, future: Any) -> Any:
    if not future.done():
        raise CannotSave(PROCESS, future)
    desk.claim(future)
    if future.cancelled():
        return threads.future, (type(future), "cancelled", None)
    error = future.exception()
    outcome = ("raised", error) if error is not None else ("returned", future.result())
    return threads.future, (type(future),), outcome, None, None, threads.fill_future


def _of_a_loop(desk: Any, value: Any) -> Any:
    """asyncio's locks, events and queues: bound to a loop as soon as somebody waits."""
    desk.claim(value)
    desk.note("what tasks wait for comes back fresh, without the waiting")
    state = {name: part for name, part in vars(value).items() if name != "_loop"}
    for name in ("_waiters", "_putters", "_getters"):
        if state.get(name) is not None:
            state[name] = collections.deque()
    if "_locked" in state:
        state["_locked"] = False
    return builders.new_object, (type(value),), state, None, None, builders.fill_attributes


def _process_lock(kind: str) -> Plan:
    def plan(desk: Any, value: Any) -> Any:
        desk.claim(value)
        desk.note("a lock comes back fresh")
        value_left: tuple[int, ...] = ()
        if kind.endswith("Semaphore"):
            with contextlib.suppress(NotImplementedError):  # macOS cannot tell
                value_left = (value.get_value(),)
        return threads.process_lock, (kind, value_left)

    return plan


def _process_event(desk: Any, value: Any) -> Any:
    desk.claim(value)
    return threads.process_event, (value.is_set(),)


def _process_queue(kind: str) -> Plan:
    def plan(desk: Any, queue: Any) -> Any:
        if not queue.empty():
            raise CannotSave("what waits in it cannot be read without taking it out", queue)
        desk.claim(queue)
        desk.note("a queue between processes comes back empty")
        return threads.process_queue, (kind, getattr(queue, "_maxsize", 0))

    return plan


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
PLANS_BY_NAME: dict[str, Plan] = {
    "logging.Logger": _logger,
    "concurrent.futures.thread.ThreadPoolExecutor": _executor,
    "concurrent.futures.process.ProcessPoolExecutor": _executor,
    "concurrent.futures._base.Future": _future,
    "asyncio.mixins._LoopBoundMixin": _of_a_loop,
    "multiprocessing.synchronize.Lock": _process_lock("Lock"),
    "multiprocessing.synchronize.RLock": _process_lock("RLock"),
    "multiprocessing.synchronize.Semaphore": _process_lock("Semaphore"),
    "multiprocessing.synchronize.BoundedSemaphore": _process_lock("BoundedSemaphore"),
    "multiprocessing.synchronize.Condition": _process_lock("Condition"),
    "multiprocessing.synchronize.Event": _process_event,
    "multiprocessing.queues.Queue": _process_queue("Queue"),
    "multiprocessing.queues.JoinableQueue": _process_queue("JoinableQueue"),
    "multiprocessing.queues.SimpleQueue": _process_queue("SimpleQueue"),
}
