"""Objects of the standard library that pickle refuses or rebuilds wrongly: weak, waiting, iterating, raised, matched.

Each row is (name, what a user types, expressions that hold in the process that restored it). All rows live in one
session, and every engine has to give the same answers.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest

ROWS: list[tuple[str, str, list[str]]] = [
    (
        "weak dictionaries and sets",
        "import weakref, gc\nclass Held:\n    pass\nheld, other = Held(), Held()\n"
        "by_key = weakref.WeakKeyDictionary({held: [1]}); by_name = weakref.WeakValueDictionary({'h': held, 'o': other})\n"
        "everyone = weakref.WeakSet([held, other]); holder = {'cache': by_name}\n"
        "class Cache(weakref.WeakValueDictionary):\n    def __init__(self, limit): super().__init__(); self.limit = limit\n"
        "cache = Cache(3); cache['h'] = held",
        [
            "by_key[held] == [1] and by_name['h'] is held and by_name['o'] is other and len(everyone) == 2",
            "held in everyone and holder['cache'] is by_name",
            "type(cache) is Cache and cache.limit == 3 and cache['h'] is held",
            "globals().pop('other') and gc.collect() >= 0 and 'o' not in by_name and len(everyone) == 1",
        ],
    ),
    (
        "weak references",
        "class Door:\n    def open(self): return 'open'\ndoor = Door(); gone = []\n"
        "to_door = weakref.ref(door); method = weakref.WeakMethod(door.open); proxy = weakref.proxy(door)\n"
        "class Tagged(weakref.ref):\n    __slots__ = ('tag',)\n    def __new__(cls, target, tag): return super().__new__(cls, target)\n"
        "    def __init__(self, target, tag): super().__init__(target); self.tag = tag\n"
        "tagged = Tagged(door, 't'); lost = weakref.ref(Door())\n"
        "watched = Door(); watching = weakref.ref(watched, gone.append); last = weakref.finalize(watched, gone.append, 'end')",
        [
            "to_door() is door and method()() == 'open' and proxy.open() == 'open' and lost() is None",
            "type(tagged) is Tagged and tagged() is door and tagged.tag == 't'",
            "last.alive and globals().pop('watched') and gc.collect() >= 0 and not last.alive",
            "'end' in gone and watching in gone",
        ],
    ),
    (
        "exceptions",
        "class Refused(Exception):\n    def __init__(self, who, why):\n        super().__init__(f'{who}: {why}'); self.who = who\n"
        "try:\n    try: 1 / 0\n    except ZeroDivisionError as zero: raise Refused('me', 'zero') from zero\n"
        "except Refused as caught: refused = caught\n"
        "try:\n    try: int('x')\n    except ValueError: raise KeyError('k')\nexcept KeyError as caught: keyed = caught\n"
        "group = ExceptionGroup('g', [ValueError(1), Refused('you', 'no')]); noted = ValueError('n'); noted.add_note('hey')\n"
        "import json, subprocess\ntry: json.loads('{')\nexcept ValueError as caught: unparsed = caught\n"
        "absent = FileNotFoundError(2, 'No such file', 'f.txt'); coded = UnicodeDecodeError('utf8', b'abc', 0, 1, 'bad')\n"
        "stopped = StopIteration(5); wrong = SyntaxError('bad', ('f.py', 1, 2, 'text')); unfound = ImportError('m', name='n', path='p')\n"
        "class Slotted(Exception):\n    __slots__ = ('code',)\nslotted = Slotted('s'); slotted.code = 7\n"
        "called = subprocess.CalledProcessError(2, 'ls', b'out'); looped = ValueError(); looped.me = looped",
        [
            "type(refused) is Refused and str(refused) == 'me: zero' and refused.args == ('me: zero',) and refused.who == 'me'",
            "type(refused.__cause__) is ZeroDivisionError and refused.__suppress_context__ and refused.__traceback__ is None",
            "type(keyed.__context__) is ValueError and keyed.__cause__ is None and not keyed.__suppress_context__",
            "[type(e) for e in group.exceptions] == [ValueError, Refused] and group.exceptions[1].who == 'you'",
            "noted.__notes__ == ['hey'] and unparsed.pos == 1 and called.returncode == 2 and called.output == b'out'",
            "absent.filename == 'f.txt' and absent.errno == 2 and str(absent) == \"[Errno 2] No such file: 'f.txt'\"",
            "coded.reason == 'bad' and coded.object == b'abc' and stopped.value == 5 and wrong.lineno == 1",
            "(unfound.name, unfound.path, str(unfound)) == ('n', 'p', 'm')",
            "slotted.code == 7 and slotted.args == ('s',) and looped.me is looped",
        ],
    ),
    (
        "matches",
        "import re\nhello = re.match(r'(?P<first>\\w+) (\\w+)', 'hello world!'); same_match = hello\n"
        "inner = re.compile('b', re.I).search('aBc', 1, 3); whole = re.fullmatch(b'(a)(x)?b', b'ab')\n"
        "second = list(re.finditer(r'(?<=x)a', 'xaxa'))[1]",
        [
            "hello['first'] == 'hello' and hello.span() == (0, 11) and hello.lastindex == 2 and same_match is hello",
            "inner.span() == (1, 2) and (inner.pos, inner.endpos) == (1, 3) and whole.groups() == (b'a', None)",
            "second.span() == (3, 4)",
        ],
    ),
    (
        "context variables",
        "import contextvars\nlevel = contextvars.ContextVar('level', default=[3]); user = contextvars.ContextVar('user')\n"
        "who = {'name': 'me'}; user.set(who)\ndef current(): return user.get()",
        ["level.get() == [3] and level.name == 'level'", "user.get() is who and current() is who"],
    ),
    (
        "SQLite databases in memory",
        "import sqlite3\nbase = sqlite3.connect(':memory:'); base.row_factory = sqlite3.Row\n"
        "base.execute('create table t(a, b)'); base.execute('insert into t values (5, ?)', (b'x' * 100_000,)); base.commit()\n"
        "class Repository:\n    def __init__(self): self.base = base\nrepository = Repository()\n"
        "class Named(sqlite3.Connection): pass\nnamed = sqlite3.connect(':memory:', factory=Named); named.title = 't'",
        [
            "base.execute('select a, length(b) as n from t').fetchone()['n'] == 100_000 and repository.base is base",
            "type(named) is Named and named.title == 't' and named.execute('create table u(x)') is not None",
            "base.execute('insert into t values (6, 7)').rowcount == 1",
        ],
    ),
    (
        "iterators at their position",
        "import itertools, collections\nnumbers = [1, 2, 3, 4]; at = iter(numbers); next(at); counted = enumerate('abc'); next(counted)\n"
        "paired = zip([1, 2], [3, 4]); mapped = map(str, [1, 2]); next(mapped); back = reversed([1, 2, 3]); next(back)\n"
        "keys = iter({'a': 1, 'b': 2}); next(keys); letters = iter('abc'); next(letters); steps = iter(range(5)); next(steps)",
        [
            "numbers.append(9) is None and list(at) == [2, 3, 4, 9]",
            "list(counted) == [(1, 'b'), (2, 'c')] and list(paired) == [(1, 3), (2, 4)] and list(mapped) == ['2']",
            "list(back) == [2, 1] and list(keys) == ['b'] and list(letters) == ['b', 'c'] and list(steps) == [1, 2, 3, 4]",
        ],
    ),
    (
        "locks, queues and executors",
        "import asyncio, concurrent.futures, multiprocessing, queue, threading\n"
        "class Worker:\n    def __init__(self):\n        self.lock = threading.Lock(); self.ready = threading.Event(); self.ready.set()\n"
        "        self.condition = threading.Condition(); self.slots = threading.Semaphore(3); self.lock.acquire()\n"
        "        self.jobs = queue.Queue(); self.jobs.put(1); self.best = queue.PriorityQueue(); self.best.put((2, 'b')); self.best.put((1, 'a'))\n"
        "        self.simple = queue.SimpleQueue(); [self.simple.put(n) for n in (1, numbers, 3)]; self.simple.get()\n"
        "        self.pool = concurrent.futures.ThreadPoolExecutor(3, thread_name_prefix='w'); self.done = self.pool.submit(int, '7'); self.done.result()\n"
        "worker = Worker(); processes = concurrent.futures.ProcessPoolExecutor(2)\n"
        "class Crew(concurrent.futures.ThreadPoolExecutor):\n    def __init__(self, name): super().__init__(4); self.name = name\n"
        "crew = Crew('c'); closed = concurrent.futures.ThreadPoolExecutor(1); closed.shutdown()\n"
        "failed = crew.submit(lambda: 1 / 0); failed.exception(); dropped = concurrent.futures.Future(); dropped.cancel()\n"
        "mutex = asyncio.Lock(); inbox = asyncio.Queue()\nasync def contend():\n    async with mutex:\n"
        "        waiting = asyncio.ensure_future(mutex.acquire()); await asyncio.sleep(0); waiting.cancel()\n    await inbox.put(4)\nasyncio.run(contend())\n"
        "between = multiprocessing.Lock(); signal = multiprocessing.Event(); signal.set(); room = multiprocessing.Semaphore(2)",
        [
            "worker.lock.acquire(False) and worker.ready.is_set() and worker.slots.acquire(False)",
            "worker.condition.acquire() and worker.condition.notify() is None",
            "worker.jobs.get_nowait() == 1 and worker.best.get_nowait() == (1, 'a')",
            "worker.simple.get_nowait() is numbers and worker.simple.get_nowait() == 3 and worker.simple.empty()",
            "worker.pool.submit(int, '5').result() == 5 and worker.pool._max_workers == 3 and worker.done.result() == 7",
            "processes._max_workers == 2 and type(crew) is Crew and crew.name == 'c' and crew.submit(int).result() == 0",
            "raised(lambda: closed.submit(int), RuntimeError) and dropped.cancelled()",
            "type(failed.exception()) is ZeroDivisionError",
            "asyncio.run(mutex.acquire()) and asyncio.run(inbox.get()) == 4",
            "between.acquire(False) and signal.is_set() and room.acquire(False)",
        ],
    ),
    (
        "rows, formats, new types, and objects that say only their name",
        "listed = base.execute(\"select 1 as a, 'x' as b\").fetchall(); import struct, random, typing\n"
        "layout = struct.Struct('<i'); dice = random.SystemRandom(); UserId = typing.NewType('UserId', int)\n"
        "class Single:\n    def __init__(self): self.values = [1]\n    def __reduce__(self): return 'SINGLE'\n"
        "SINGLE = Single(); singles = [SINGLE]",
        [
            "listed[0]['b'] == 'x' and listed[0].keys() == ['a', 'b'] and tuple(listed[0]) == (1, 'x')",
            "layout.unpack(b'\\1\\0\\0\\0') == (1,) and dice.random() < 1 and UserId(3) == 3 and UserId.__supertype__ is int",
            "singles[0] is SINGLE and SINGLE.values == [1]",
        ],
    ),
    (
        "C structures",
        "import ctypes\nclass Pair(ctypes.Structure):\n    _fields_ = [('x', ctypes.c_int), ('y', ctypes.c_double)]\n"
        "    def total(self): return self.x + self.y\npair = Pair(1, 2.5); triple = (ctypes.c_int * 3)(1, 2, 3)\n"
        "class Either(ctypes.Union):\n    _fields_ = [('pair', Pair), ('number', ctypes.c_int)]\neither = Either(number=3)",
        [
            "type(pair) is Pair and pair.total() == 3.5 and ctypes.sizeof(Pair) == 16",
            "list(triple) == [1, 2, 3] and type(triple) is ctypes.c_int * 3 and either.pair.x == 3",
        ],
    ),
]  # fmt: skip

RAISED = "def raised(call, kind):\n    try: call()\n    except kind: return True\n    return False\n"  # in the restored session


@pytest.mark.parametrize("engine", ["auto", "dill", "cloudpickle"])
def test_every_row_comes_back(two_shells: Any, engine: str) -> None:
    """What one process saved holds in another, every row, whichever engine goes first."""
    two_shells.holds(ROWS, engine, RAISED)


def test_what_comes_back_in_another_form_is_told(two_shells: Any) -> None:
    """Fresh locks and executors, lost tracebacks, functions that an SQLite connection had: a note at the variable."""
    report = two_shells.save("\n".join(declare for _, declare, _ in ROWS))
    notes = {variable["name"]: " ".join(variable["notes"]) for variable in report["variables"]}
    assert "a lock comes back fresh" in notes["worker"]
    assert "an executor comes back fresh" in notes["worker"]
    assert "without its traceback" in notes["refused"]
    assert "without the functions" in notes["base"]


def test_what_still_runs_or_is_elsewhere_is_skipped(two_shells: Any) -> None:
    """A pending future, a connection to a file or closed, a match in a buffer, a full pipe, a context: each has a line."""
    report = two_shells.save(
        "import sqlite3, concurrent.futures, contextvars, re, multiprocessing, threading\n"
        "pending = concurrent.futures.Future(); kept = sqlite3.connect('kept.db'); over = sqlite3.connect(':memory:'); over.close()\n"
        "found = re.match(b'a', bytearray(b'a')); full = multiprocessing.Queue(); full.put(1); full_wait = __import__('time').sleep(0.2)\n"
        "context = contextvars.copy_context(); token = contextvars.ContextVar('v').set(1); shared = multiprocessing.Value('i', 1)\n"
        "good = 1"
    )
    assert {skip["name"]: skip["kind"] for skip in report["skipped"]} == dict.fromkeys(
        ("pending", "kept", "over", "found", "full", "context", "token", "shared"), "skipped"
    )
    assert {"good"} <= {variable["name"] for variable in report["variables"]}


def test_an_exception_keeps_its_good_part(two_shells: Any) -> None:
    """A generator among its attributes is left out; the rest of the exception is there."""
    report = two_shells.save("error = ValueError('v'); error.rows = (n for n in [1]); error.code = 5")
    assert [(skip["kind"], skip["path"]) for skip in report["skipped"]] == [("partly", "error.rows")]
    _, wrong = two_shells.restore({"kept": "error.code == 5 and str(error) == 'v' and 'generator' in repr(error.rows)"})
    assert wrong == {}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type statements are of Python 3.12")
def test_type_statements_come_back(two_shells: Any) -> None:
    """Aliases, also of themselves and with parameters, and functions and classes with parameters."""
    report = two_shells.save(
        "type Number = int | float\ntype Tree = list[Tree] | int\ntype Pair[T] = tuple[T, T]\n"
        "def same[T: Number](x: T) -> T: return x\n"
        "class Stack[T]:\n    def __init__(self): self.items: list[T] = []\nstack = Stack[int]()"
    )
    assert report["skipped"] == []
    _, wrong = two_shells.restore(
        {
            "alias": "Number.__value__ == (int | float) and Number.__name__ == 'Number' and Number.__module__ == '__main__'",
            "recursive": "Tree.__value__.__args__[0].__args__[0] is Tree",
            "parameters": "Pair.__value__ == tuple[Pair.__type_params__[0], Pair.__type_params__[0]]",
            "function": "same(3) == 3 and same.__type_params__[0].__bound__ is Number",
            "class": "type(stack) is Stack and Stack[str].__origin__ is Stack",
        }
    )
    assert wrong == {}
