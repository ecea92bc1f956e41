"""One table of what people hold in sessions: declared in one process, saved, restored and looked at in another.

Each row is (name, what a user types, expressions that hold afterwards). All rows live in one session, so that each also
stands beside all the others; every engine has to give the same answers.
"""

from __future__ import annotations

from typing import Any

import pytest

ROWS: list[tuple[str, str, list[str]]] = [
    (
        "scalars",
        "i, x, z, s, b, none, yes = 1, 2.5, 3j, 'text', b'bytes', None, True",
        ["(i, x, z, s, b, none, yes) == (1, 2.5, 3j, 'text', b'bytes', None, True)"],
    ),
    (
        "containers",
        "nested = {'list': [1, (2, {3})], 'set': frozenset({4}), 5: bytearray(b'6')}",
        ["nested == {'list': [1, (2, {3})], 'set': frozenset({4}), 5: bytearray(b'6')}", "nested[5].append(1) is None"],
    ),
    (
        "aliases across variables",
        "shared = [1]; left = {'k': shared}; right = (shared, {'k': shared})",
        ["left['k'] is shared", "right[0] is shared", "right[1]['k'] is shared"],
    ),
    (
        "cycles across variables",
        "ring = []; ring.append(ring); here = {}; there = {'here': here}; here['there'] = there",
        ["ring[0] is ring", "here['there'] is there", "there['here'] is here"],
    ),
    (
        "two names for one thing that cannot change",
        "one_row = (1, 2.5); that_row = one_row; one_text = 'long ' * 50; that_text = one_text\n"
        "one_set = frozenset([1]); that_set = one_set",
        ["that_row is one_row and that_text is one_text and that_set is one_set and one_row == (1, 2.5)"],
    ),
    ("sentinel", "MISSING = object()\ndef given(x=MISSING): return x is not MISSING", ["not given()", "given(1)"]),
    (
        "function on globals",
        "factor = 3\ndef scaled(x): return helper(x) * factor\ndef helper(x): return x + 1",
        [
            "scaled(1) == 6",
            "globals().update(factor=10) or scaled(1) == 20",
            "globals().update(helper=lambda x: 0) or scaled(1) == 0",
            "scaled.__globals__ is globals()",
        ],
    ),
    (
        "function attributes",
        "def described(a, /, b: int = 2, *rest, c: 'str' = 'd', **more) -> list:\n    'says so'\n    return [a, b]\n"
        "described.note = ['kept']",
        [
            "described(1) == [1, 2] and described.__doc__ == 'says so' and described.note == ['kept']",
            "described.__annotations__ == {'b': int, 'c': 'str', 'return': list}",
            "described.__kwdefaults__ == {'c': 'd'} and described.__qualname__ == 'described'",
        ],
    ),
    (
        "closures that share a cell",
        "def counter():\n    n = 0\n    def up():\n        nonlocal n\n        n += 1\n        return n\n"
        "    return up, lambda: n\nup, now = counter(); up()",
        ["up() == 2 and now() == 2"],
    ),
    (
        "recursive closure",
        "def outer():\n    def inner(n): return n if n == 0 else inner(n - 1)\n    return inner\ndown = outer()",
        ["down(5) == 0"],
    ),
    (
        "decorator with wraps",
        "import functools\ndef twice(f):\n    @functools.wraps(f)\n    def wrapper(*a): return f(*a) * 2\n    return wrapper\n"
        "@twice\ndef tripled(x): return x * 3",
        ["tripled(1) == 6 and tripled.__wrapped__(1) == 3 and tripled.__name__ == 'tripled'"],
    ),
    (
        "lru_cache",
        "@functools.lru_cache(maxsize=7)\ndef fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\nfib(10)",
        ["fib(20) == 6765", "fib.cache_parameters() == {'maxsize': 7, 'typed': False}"],
    ),
    (
        "partial",
        "def added(a, b): return a + b\nplus_one = functools.partial(added, 1)",
        ["plus_one(2) == 3", "plus_one.func is added"],
    ),
    (
        "singledispatch",
        "@functools.singledispatch\ndef kind(x): return 'other'\n@kind.register\ndef _int(x: int): return 'int'",
        ["kind(1) == 'int' and kind('') == 'other'", "kind.dispatch(int) is _int"],
    ),
    (
        "generator and async functions",
        "def ticks():\n    yield 1\nasync def later(): return 2",
        ["list(ticks()) == [1]", "__import__('asyncio').run(later()) == 2"],
    ),
    ("lambda in a container", "table = {'f': lambda x: x + factor_b}; factor_b = 1", ["table['f'](1) == 2"]),
    (
        "class with super, property, classmethod, staticmethod, class state",
        "class Base:\n    made = []\n    def __init__(self, v): self.v = v; Base.made.append(self)\n"
        "    def name(self): return 'base'\n"
        "class Child(Base):\n    def name(self): return 'child of ' + super().name()\n"
        "    @property\n    def double(self): return self.v * 2\n"
        "    @classmethod\n    def of(cls, v): return cls(v)\n    @staticmethod\n    def plain(x): return x\n"
        "child = Child(4); bound = child.name",
        [
            "child.name() == 'child of base' and child.double == 8 and Child.of(1).v == 1 and Child.plain(5) == 5",
            "type(child) is Child and isinstance(child, Base) and Child.__bases__ == (Base,)",
            "Base.made[0] is child and Child.made is Base.made",
            "bound.__self__ is child and bound() == 'child of base'",
            "setattr(Child, 'later', lambda self: 'added') or child.later() == 'added'",
        ],
    ),
    (
        "descriptors and __init_subclass__ that do not run again",
        "runs = []\nclass Plugin:\n    def __init_subclass__(cls, **k): runs.append(cls.__name__)\n"
        "class Named:\n    def __set_name__(self, owner, name): self.name = name\n"
        "    def __get__(self, obj, cls): return self.name\n"
        "class First(Plugin):\n    field = Named()\nplugin = First()",
        ["runs == ['First']", "plugin.field == 'field'"],
    ),
    (
        "metaclass of the session",
        "class Meta(type):\n    seen = []\n    def __new__(m, n, b, d, **k):\n        m.seen.append(n)\n"
        "        return super().__new__(m, n, b, d)\n    def __len__(cls): return 42\n"
        "class Made(metaclass=Meta): pass\nmade = Made()",
        ["len(Made) == 42 and type(Made) is Meta and Meta.seen == ['Made'] and type(made) is Made"],
    ),
    (
        "slots",
        "class Slotted:\n    __slots__ = ('a', '_b', '__weakref__')\n    def __init__(self): self.a, self._b = 1, [2]\n"
        "slotted = Slotted()",
        ["(slotted.a, slotted._b) == (1, [2])", "not hasattr(slotted, '__dict__')"],
    ),
    (
        "abstract base class with a registered one",
        "import abc\nclass Shape(abc.ABC):\n    @abc.abstractmethod\n    def area(self): ...\n"
        "class Square(Shape):\n    def area(self): return 4\nclass Foreign: pass\nShape.register(Foreign)\nsquare = Square()",
        [
            "isinstance(square, Shape) and square.area() == 4 and issubclass(Foreign, Shape)",
            "Shape.__abstractmethods__ == frozenset({'area'})",
            "not issubclass(int, Shape)",
        ],
    ),
    (
        "generic and protocol",
        "import typing\nT = typing.TypeVar('T')\nclass Box(typing.Generic[T]):\n    def __init__(self, v: T): self.v = v\n"
        "@typing.runtime_checkable\nclass HasV(typing.Protocol):\n    v: int\nbox = Box[int](3)",
        ["box.v == 3 and Box.__parameters__ == (T,) and isinstance(box, HasV)", "Box[str].__origin__ is Box"],
    ),
    (
        "enum, flag, enum with methods and mixin",
        "import enum\nclass Color(enum.Enum):\n    RED = 1\n    BLUE = 'b'\n    CRIMSON = 1\n"
        "    @property\n    def nice(self): return self.name.title()\n"
        "class Level(enum.IntEnum):\n    LOW = 1\n"
        "class Perm(enum.Flag):\n    R = enum.auto()\n    W = enum.auto()\n"
        "class Planet(enum.Enum):\n    EARTH = (5.9, 6.3)\n    def __init__(self, mass, radius): self.mass = mass\n"
        "red, by_color, both, low, earth = Color.RED, {Color.BLUE: 1}, Perm.R | Perm.W, [Level.LOW], Planet.EARTH",
        [
            "red is Color.RED and Color(1) is red and Color['BLUE'] is Color.BLUE and Color.CRIMSON is red",
            "list(Color) == [Color.RED, Color.BLUE] and by_color[Color.BLUE] == 1 and red.nice == 'Red'",
            "both is (Perm.R | Perm.W) and Perm.R in both",
            "low[0] is Level.LOW and low[0] + 1 == 2",
            "earth is Planet.EARTH and earth.mass == 5.9",
        ],
    ),
    (
        "dataclasses",
        "import dataclasses\n@dataclasses.dataclass\nclass Point:\n    x: int\n    tags: list = dataclasses.field(default_factory=list)\n"
        "@dataclasses.dataclass(frozen=True, slots=True, order=True)\nclass Fixed:\n    x: int\n"
        "point, fixed = Point(1, ['a']), Fixed(2)",
        [
            "point == Point(1, ['a']) and type(point) is Point and Point(1).tags is not Point(1).tags",
            "fixed == Fixed(2) and fixed < Fixed(3) and hash(fixed) == hash(Fixed(2)) and not hasattr(fixed, '__dict__')",
            "dataclasses.replace(fixed, x=5).x == 5 and dataclasses.asdict(point) == {'x': 1, 'tags': ['a']}",
            "[f.name for f in dataclasses.fields(Point)] == ['x', 'tags']",
        ],
    ),
    (
        "named tuples and typed dict",
        "import collections\nPair = collections.namedtuple('Pair', 'a b', defaults=[9])\n"
        "class Row(typing.NamedTuple):\n    id: int\n    tag: str = 'none'\n"
        "class Opt(typing.TypedDict, total=False):\n    k: int\npair, row, opt = Pair(1), Row(7), Opt(k=1)",
        [
            "pair == (1, 9) and type(pair) is Pair and pair._replace(a=3) == Pair(3, 9)",
            "row.tag == 'none' and type(row) is Row and Row(1)._asdict() == {'id': 1, 'tag': 'none'}",
            "opt == {'k': 1} and Opt.__optional_keys__ == frozenset({'k'})",
        ],
    ),
    (
        "collections",
        "missing = collections.defaultdict(lambda: [shared_default]); shared_default = 5; missing['a']\n"
        "order = collections.OrderedDict(b=1, a=2); count = collections.Counter('aab')\n"
        "recent = collections.deque([1, 2], maxlen=2); chain = collections.ChainMap({'a': 1}, {'b': 2})",
        [
            "missing['b'] == [5] and missing['a'] == [5]",
            "list(order) == ['b', 'a'] and count['a'] == 2 and recent.maxlen == 2 and chain['b'] == 2",
        ],
    ),
    (
        "objects with a greedy __getattr__",
        "class Proxy:\n    def __init__(self, inner): self.inner = inner\n"
        "    def __getattr__(self, name): return getattr(self.inner, name)\nproxy = Proxy([1])",
        ["proxy.inner == [1] and proxy.count(1) == 1"],
    ),
    (
        "own reduce and state",
        "class Own:\n    def __init__(self, n): self.n = n\n    def __reduce__(self): return Own, (self.n,)\n"
        "class Stated:\n    def __getstate__(self): return {'kept': self.a}\n"
        "    def __setstate__(self, s): self.a = s['kept'] + offset\noffset = 100\n"
        "own = Own(3); stated = Stated(); stated.a = 1",
        ["own.n == 3", "stated.a == 101"],
    ),
    (
        "a class that holds its own instance",
        "class Single:\n    def __init__(self): self.v = 1\nSingle.it = Single(); single = Single.it",
        ["Single.it is single and single.v == 1"],
    ),
    (
        "instance of an older definition",
        "class Shifting:\n    era = 'old'\nold = Shifting()\nclass Shifting:\n    era = 'new'\nnew = Shifting()",
        ["old.era == 'old' and new.era == 'new' and type(new) is Shifting and type(old) is not Shifting"],
    ),
    (
        "deep structures: lists, dicts, linked nodes with cycles, own states, list subclasses, chains of closures",
        "nest = []\nfor _n in range(10_000): nest = [nest]\n"
        "class Node:\n    def __init__(self, n): self.n, self.tags = n, [{n}]\n    def __hash__(self): return hash(self.n)\n"
        "    def __eq__(self, other): return self.n == other.n\n"
        "first = last = Node(0)\nfor _n in range(1, 5_000): last.next = Node(_n); last = last.next\n"
        "last.next = first; by_node = {first: 1}\n"
        "class Wrap:\n    def __init__(self, inner): self.inner = inner\n    def __getstate__(self): return {'i': self.inner}\n"
        "    def __setstate__(self, s): self.inner, self.back = s['i'], True\n"
        "class Items(list): pass\nwrapped, items, calls = None, Items(), None\n"
        "def chained(f): return lambda: f\n"
        "for _n in range(3_000): wrapped, items, calls = Wrap(wrapped), Items([items]), chained(calls)\n"
        "def depth(x, down, stop):\n    n = 0\n    while not stop(x): x = down(x); n += 1\n    return n",
        [
            "depth(nest, lambda x: x[0], lambda x: not x) == 10_000",
            "depth(first.next, lambda x: x.next, lambda x: x is first) == 4_999 and last.next is first",
            "last.tags == [{4_999}] and by_node[first] == 1 and type(last) is Node",
            "depth(wrapped, lambda x: x.inner, lambda x: x is None) == 3_000 and wrapped.back and wrapped.inner.back",
            "depth(items, lambda x: x[0], lambda x: not x) == 3_000 and type(items[0]) is Items",
            "depth(calls, lambda f: f(), lambda f: f is None) == 3_000",
        ],
    ),
    ("locks", "import threading\nguarded = {'lock': threading.Lock(), 're': threading.RLock(), 'v': 1}", [
        "guarded['v'] == 1 and guarded['lock'].acquire(False) and guarded['re'].acquire(False)",
    ]),
    ("queue, event, condition", "import queue\nline = queue.Queue(); line.put(1); flag = threading.Event(); flag.set()", [
        "line.get_nowait() == 1 and flag.is_set()",
    ]),
    ("logger", "import logging\nlogger = logging.getLogger('a.b')", ["logger is logging.getLogger('a.b')"]),
    ("modules", "import os.path as p, json", ["p is __import__('os').path and json.loads('1') == 1"]),
    ("standard streams", "import sys\nto = {'out': sys.stdout}", ["to['out'] is sys.stdout"]),
    ("in-memory files", "import io\nbuffer = io.BytesIO(b'abc'); buffer.read(1); page = io.StringIO('xy'); page.read(1)", [
        "buffer.read() == b'bc' and page.read() == 'y'",
    ]),
    ("exceptions", "error = ValueError('why', 3)", ["type(error) is ValueError and error.args == ('why', 3)"]),
    ("weak reference", "class Held: pass\nheld = Held(); weak = __import__('weakref').ref(held)\n"
     "proxy_of = __import__('weakref').proxy(held); held.n = 1", ["weak() is held", "proxy_of.__repr__.__self__ is held"]),
    ("own module object", "import types\nmade_module = types.ModuleType('made', 'doc'); made_module.x = [1]", [
        "made_module.x == [1] and made_module.__doc__ == 'doc'",
    ]),
    ("the namespace itself", "everything = globals()", ["everything is globals()"]),
    ("dates, paths, patterns, numbers", "import datetime, pathlib, re, decimal, fractions, uuid, ipaddress\n"
     "day = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc); path = pathlib.Path('a/b'); rx = re.compile('a+')\n"
     "money = decimal.Decimal('1.10'); half = fractions.Fraction(1, 2); uid = uuid.UUID(int=5); r = range(3)", [
         "day.year == 2026 and day.tzinfo is datetime.timezone.utc and path.name == 'b' and rx.match('aa')",
         "str(money) == '1.10' and half * 2 == 1 and uid.int == 5 and list(r) == [0, 1, 2]",
     ]),
    ("iterators of C", "import itertools\nrest = iter([1, 2, 3]); next(rest)", ["list(rest) == [2, 3]"]),
    (
        "views of dicts, read-only dicts, memory views, thread-local data",
        "source = {'a': 1}; keys, pairs = source.keys(), [source.items()]; proxy_map = types.MappingProxyType(source)\n"
        "raw_bytes = bytearray(b'abcd'); window = memoryview(raw_bytes); local = threading.local(); local.x = 5",
        [
            "source.__setitem__('b', 2) is None and list(keys) == ['a', 'b'] and proxy_map['b'] == 2",
            "list(pairs[0]) == [('a', 1), ('b', 2)]",
            "raw_bytes.__setitem__(0, 120) is None and bytes(window) == b'xbcd'",
            "local.x == 5",
        ],
    ),
    ("values with an identity of their own", "class Day(datetime.date): pass\nclass Dec(decimal.Decimal): pass\n"
     "d1 = Day(2026, 1, 2); d2 = [d1]; n1 = Dec('1.5'); n2 = {'n': n1}", ["d2[0] is d1 and n2['n'] is n1"]),
]  # fmt: skip


@pytest.mark.parametrize("engine", ["auto", "dill", "cloudpickle"])
def test_everything_in_the_table_comes_back(two_shells: Any, engine: str) -> None:
    """What one process saved holds in another, every row, whichever engine goes first."""
    two_shells.holds(ROWS, engine)


NUMERIC = [
    (
        "arrays",
        "import numpy as np\nbig = np.arange(100_000.0); small = np.eye(3); grid = np.asfortranarray(np.ones((4, 5)))\n"
        "rows = np.array([(1, 'a')], dtype=[('n', 'i4'), ('s', 'U2')]); things = np.array([[1], {'k': 2}], dtype=object)\n"
        "frozen = np.arange(3); frozen.flags.writeable = False; rng = np.random.default_rng(3); rng.random(5)\n"
        "draw = rng.bit_generator.state",
        [
            "big.sum() == 4999950000.0 and big.flags.writeable and small.flags.writeable and (small == np.eye(3)).all()",
            "grid.flags.f_contiguous and rows['s'][0] == 'a' and things[1] == {'k': 2}",
            "not frozen.flags.writeable and rng.bit_generator.state == draw",
            "big.__setitem__(0, 5) is None and big[0] == 5",
        ],
    ),
    (
        "views",
        "base = np.arange(100_000.0); part = base[10:20]; turned = base.reshape(100, 1000).T; back = base[::-1]\n"
        "locked = base[5:9]; locked.flags.writeable = False; spread = np.broadcast_to(base[:3], (4, 3))\n"
        "hidden = np.zeros(1_000_000); left_part, right_part = hidden[500:600], hidden[550:700]; del hidden\n"
        "columns = np.asfortranarray(np.ones((3, 4))); column = columns[:, 1]; when = np.zeros(9, 'M8[s]'); then = when[2:]\n"
        "wide = np.broadcast_to(1.5, (3_000, 3_000, 3_000)); every = np.arange(99_999)[::2]; every.flags.writeable = False\n"
        "packed = bytearray(100_000); lower = np.frombuffer(packed, 'u1'); upper = lower[100:]; lone = base.copy()[3:5]",
        [
            "part.base is base and turned.base is base and back.base is base and not base.flags.owndata",
            "turned.shape == (1000, 100) and turned[1, 0] == 1 and back[0] == 99_999 and (spread == base[:3]).all()",
            "base.__setitem__(10, -1) is None and part[0] == -1 and turned[10, 0] == -1 and back[-11] == -1",
            "not locked.flags.writeable and np.shares_memory(locked, base) and part.flags.writeable",
            "np.shares_memory(left_part, right_part) and left_part.__setitem__(50, 7) is None and right_part[0] == 7",
            "columns.flags.f_contiguous and columns.__setitem__((0, 1), 5) is None and column[0] == 5",
            "wide.shape == (3_000, 3_000, 3_000) and wide[2, 1, 0] == 1.5 and wide.strides == (0, 0, 0)",
            "not wide.flags.writeable and not every.flags.writeable and every[1] == 2",
            "then.base is when and then.dtype == 'M8[s]'",
            "np.shares_memory(lower, upper) and upper.shape == (99_900,)",
            "not np.shares_memory(lone, base) and lone.tolist() == [3.0, 4.0]",
        ],
    ),
    (
        "frames",
        "import pandas as pd\ndf = pd.DataFrame({'a': range(20_000), 'b': pd.Categorical(['x', 'y'] * 10_000)})\n"
        "df.index = pd.date_range('2026', periods=20_000, freq='s'); series = df['a']; by = {'df': df}; column_of = df['a'].to_numpy()",
        [
            "np.shares_memory(column_of, df['a'].to_numpy())",
            "by['df'] is df and df.dtypes['b'] == 'category' and df['a'].sum() == sum(range(20_000))",
            "series.index.equals(df.index) and df.index.freq == 's'",
            "df.loc[:, 'a'].add(1).iloc[0] == 1 and df.assign(c=1).shape == (20_000, 3)",
        ],
    ),
    (
        "figure",
        "import matplotlib.pyplot as plt\nfig, ax = plt.subplots(); line, = ax.plot([1, 2, 3]); ax.set_title('t')",
        ["fig.axes[0] is ax and ax.lines[0] is line and ax.get_title() == 't' and fig.savefig(io.BytesIO()) is None"],
    ),
    (
        "pipeline with a function of the session",
        "import io\nfrom sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import FunctionTransformer, StandardScaler\n"
        "from sklearn.linear_model import LogisticRegression\nfrom sklearn.datasets import load_iris\n"
        "shift = 1.0\ndef shifted(X): return X + shift\nX, y = load_iris(return_X_y=True)\nstep = StandardScaler()\n"
        "model = make_pipeline(FunctionTransformer(shifted), step, LogisticRegression()).fit(X, y); before = model.predict_proba(X)",
        [
            "(model.predict_proba(X) == before).all()",
            "model.steps[1][1] is step and model.steps[0][1].func is shifted",
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize("engine", ["auto", "dill", "cloudpickle"])
def test_arrays_frames_figures_and_models_come_back(two_shells: Any, engine: str) -> None:
    """The libraries that nearly every notebook uses, with what is shared between their objects."""
    two_shells.holds(NUMERIC, engine)
