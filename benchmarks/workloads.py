"""The sessions that are saved and loaded: what a user types, what changes between two saves, what is compared.

A workload is text, because functions and classes of a session are the session's only where they were typed. The child
runs it in a module that is `__main__`, as IPython does. `N` is the size, already multiplied by `--scale`; it stays a
variable like any other.

- `build` makes the session. What is random has a seed, so that every process makes the same.
- `steps` are the saves, one after the other in one process, each timed apart: `change` is typed before it. What the
  tools that know no second save do there is a whole save again.
- `loads` happen in fresh processes, one each, after the last save.
- `look` is an expression that tells everything about the session. It is evaluated after the last save and after a
  load; a difference means that the tool brought back something else, and then its times do not count.
- `touch` reads every byte once, for tools that load only on first use.
- `imports` are typed before loading, so that nobody's load pays for the libraries.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Step:
    """A save, and what is typed before it."""

    name: str
    change: str = ""
    times: int = 1  # so often: what it takes is the median of them, what it writes their sum
    background: bool = False  # return before it is on disk, in an empty place; only where nbsnap can


@dataclass(frozen=True)
class Load:
    """A load in a fresh process."""

    name: str
    only: str = ""  # this variable alone
    look: str = ""  # what to compare; the workload's `look` by default
    listing: bool = False  # only list what there is
    tools: tuple[str, ...] = ()  # only these; all by default


@dataclass(frozen=True)
class Workload:
    """A session, how it is saved, and how it is loaded."""

    name: str
    what: str
    size: int  # N at scale 1
    build: str
    look: str
    data: str = "0"  # how many bytes it is that must be saved, where that is known
    steps: tuple[Step, ...] = (Step("first"),)
    loads: tuple[Load, ...] = (Load("restore"),)
    touch: str = ""
    imports: str = "import numpy as np, numpy.random"  # NumPy 2 imports the second when it is first asked for
    least: int = 1  # N at the smallest scale
    keep: bool = False  # all files that were saved, not only the last
    cold: bool = False  # the first call of a process: nothing is imported or tried before
    cells: bool = False  # no saving at all: what an empty cell costs in IPython
    tools: tuple[str, ...] = ("nbsnap", "cloudpickle", "dill", "joblib")

    def at(self, scale: float) -> Workload:
        """Return the workload at another size."""
        return replace(self, size=max(self.least, round(self.size * scale)))


def from_json(record: dict[str, Any]) -> Workload:
    """Return the workload that `dataclasses.asdict` took apart."""
    return Workload(
        **{
            **record,
            "steps": tuple(Step(**step) for step in record["steps"]),
            "loads": tuple(Load(**{**load, "tools": tuple(load["tools"])}) for load in record["loads"]),
            "tools": tuple(record["tools"]),
        }
    )


MAPPED = Load("mapped", tools=("joblib",))  # joblib can map arrays into memory, if it is told to

_RANDOM = "import numpy as np\nrng = np.random.default_rng(1)\n"

# Lines of a log as one array of bytes: nearly the same again and again, and never quite.
_LOG = """
import numpy as np
def make_log(n):
    line = b"2026-03-14 INFO  request 000000000 of worker 00: GET /api/items/000000 took 0000 us\\n"
    page = np.tile(np.frombuffer(line, np.uint8), (n, 1))
    number = np.arange(n)
    for text, values in ((b"000000000 of", number), (b"00:", number % 17), (b"000000 t", number * 7919 % 100_003),
                         (b"0000 us", number * 31 % 977)):
        at, width = line.index(text), text.count(b"0")
        for k in range(width):
            page[:, at + width - 1 - k] = 48 + values // 10**k % 10
    return page
"""

# One page of a text, again and again.
_PAGE = """
page = "".join(f"{n}. It was the best of times, it was the worst of times, it was the age\\n" for n in range(40))
"""

WORKLOADS = (
    Workload(
        "array",
        "one array of 2 GB, and a small dict",
        size=250_000_000,
        build=_RANDOM + "big = rng.random(N)\nsmall = {'rate': 0.1, 'steps': [1, 2, 3], 'weights': rng.random(100)}",
        look="[digest(big), small['rate'], small['weights'].tolist(), rng.bit_generator.state['state']['state']]",
        data="big.nbytes",
        touch="float(big.sum())",
        steps=(
            Step("first"),
            Step("unchanged"),
            Step("added", "extra = rng.random(131_072)"),
            Step("element", "big[len(big) // 2] = -1.0"),
            Step("background", background=True),
        ),
        loads=(Load("restore"), Load("small", only="small", look="small['weights'].tolist()"), MAPPED),
        least=1000,
    ),
    Workload(
        "arrays",
        "20 arrays of 100 MB",
        size=12_500_000,
        build=_RANDOM + "for k in range(20):\n    globals()[f'a{k:02}'] = rng.random(N)",
        look="[digest(globals()[f'a{k:02}']) for k in range(20)]",
        data="20 * a00.nbytes",
        touch="sum(float(globals()[f'a{k:02}'].sum()) for k in range(20))",
        loads=(Load("restore"), MAPPED),
        least=1000,
    ),
    Workload(
        "session",
        "frames that share columns, a model, figures, functions, dicts, texts",
        size=2_000_000,
        build="""
import numpy as np, pandas as pd
import matplotlib.pyplot as plt
from sklearn.ensemble import RandomForestClassifier
rng = np.random.default_rng(1)
raw = pd.DataFrame({
    "order": np.arange(N),
    "customer": rng.integers(0, 1 + N // 20, N),
    "city": pd.Categorical.from_codes(rng.integers(0, 40, N), [f"city {k}" for k in range(40)]),
    "status": np.array(["new", "paid", "sent", "returned"], dtype=object)[rng.integers(0, 4, N)],
    "day": np.datetime64("2025-01-01", "s") + rng.integers(0, 365, N).astype("timedelta64[D]"),
    "price": np.round(rng.gamma(2.0, 20.0, N), 2),
    "amount": rng.integers(1, 10, N),
    "weight": rng.random(N),
})
clean = raw.assign(total=raw["price"] * raw["amount"])
by_day = clean[["day", "city", "total"]]
train, test = clean.iloc[: N * 4 // 5], clean.iloc[N * 4 // 5 :]
by_city = clean.groupby("city", observed=False)["total"].agg(["sum", "mean", "count"])
features = clean[["price", "amount", "weight"]].to_numpy()
labels = (clean["total"] > 100).to_numpy()
model = RandomForestClassifier(20, max_depth=8, random_state=1).fit(features[:20_000], labels[:20_000])
fig, (left, right) = plt.subplots(1, 2)
left.hist(raw["price"].head(100_000), bins=50)
right.plot(by_city["sum"].to_numpy())
settings = {"rate": 0.19, "names": {k: f"customer {k}" for k in range(1 + N // 20)}}
notes = "what was found out on the way\\n" * 1000
def with_tax(city):
    return by_city.loc[city, "sum"] * (1 + settings["rate"])
class Report:
    def __init__(self, title):
        self.title, self.lines = title, []
    def add(self, city):
        self.lines.append(f"{city}: {with_tax(city):.2f}")
report = Report("orders")
report.add("city 3")
""",
        look="""[
    [digest(frame[c].to_numpy(dtype=str if frame[c].dtype == object else None)[:100_000].astype(str).tobytes())
     for frame in (raw, clean, by_day, test) for c in frame],
    len(train), model.predict(features[:1000]).tolist(), [len(axes.patches) + len(axes.lines) for axes in fig.axes],
    with_tax("city 7"), report.lines, type(report) is Report, len(settings["names"]), len(notes), digest(features)]""",
        touch="""float(sum(frame[c].sum() for frame in (raw, clean, train, test)
                  for c in ("order", "customer", "price", "amount", "weight"))) + float(features.sum())""",
        imports="import numpy, pandas, matplotlib.pyplot, sklearn.ensemble",
        steps=(Step("first"), Step("unchanged"), Step("column", "clean['net'] = clean['total'] * 0.81")),
        loads=(Load("restore"), MAPPED),
        least=200,
    ),
    Workload(
        "zeros",
        "1 GB of zeros",
        size=125_000_000,
        build="import numpy as np\nzeros = np.zeros(N)\nzeros[0] = 0.0",
        look="[zeros.shape, bool(zeros.any())]",
        data="zeros.nbytes",
        touch="float(zeros.sum())",
        least=1000,
    ),
    Workload(
        "repeated",
        "1 GB of a repeated text as one str",
        size=1_000_000_000,
        build=_PAGE + "text = page * (N // len(page))",
        look="digest(text.encode())",
        data="len(text)",
        touch="text.count('worst')",
        least=8000,
    ),
    Workload(
        "text",
        "1 GB of a log as one str",
        size=1_000_000_000,
        build=_LOG + "text = make_log(N // 80).tobytes().decode()\ndel make_log",
        look="digest(text.encode())",
        data="len(text)",
        touch="text.count('worker')",
        least=8000,
    ),
    Workload(
        "lines",
        "1 GB of a log as an array of lines",
        size=1_000_000_000,
        build=_LOG + "lines = make_log(N // 80)\ndel make_log",
        look="digest(lines)",
        data="lines.nbytes",
        touch="int(lines.max())",
        least=8000,
    ),
    Workload(
        "objects",
        "one million small objects: dicts of numbers and texts",
        size=250_000,
        build="records = [{'id': i, 'name': f'user {i}', 'score': i / 7} for i in range(1000, 1000 + N)]",
        look="digest(repr(records).encode())",
        imports="",
        least=50,
    ),
    Workload(
        "instances",
        "one million small objects: instances of a dataclass of the session",
        size=250_000,
        build="""
from dataclasses import dataclass
@dataclass
class Point:
    id: int
    name: str
    score: float
points = [Point(i, f"user {i}", i / 7) for i in range(1000, 1000 + N)]
""",
        look="digest(repr(points).encode())",
        imports="",
        least=50,
    ),
    Workload(
        "variables",
        "5,000 variables of 2 kB",
        size=5000,
        build=_RANDOM
        + """
for k in range(N):
    globals()[f"v{k:05}"] = (
        list(range(k, k + 400)), {f"key {j}": j * k for j in range(100)}, rng.random(250), f"text {k} " * 200,
        [(j, j / 3, str(j)) for j in range(k, k + 50)],
    )[k % 5]
""",
        look="digest(repr([globals()[f'v{k:05}'] for k in range(N)]).encode())",
        steps=(Step("first"), Step("unchanged"), Step("one changed", "v00000 = 'another'")),
        least=10,
    ),
    Workload(
        "column",
        "a frame of 5 million rows and 10 columns, then one column more",
        size=5_000_000,
        build=_RANDOM + "import pandas as pd\nframe = pd.DataFrame(rng.random((10, N)).T, columns=list('abcdefghij'))",
        look="[digest(frame[c].to_numpy()) for c in frame]",
        data="int(frame.memory_usage(index=False).sum())",
        touch="float(frame.to_numpy().sum())",
        imports="import numpy, pandas",
        steps=(Step("first"), Step("column", "frame['ratio'] = frame['a'] / frame['b']")),
        least=1000,
    ),
    Workload(
        "history",
        "21 saves of 100 MB, 1 % changed in one place each",
        size=12_500_000,
        build=_RANDOM + "data = rng.random(N)\nturn = 0",
        look="digest(data)",
        data="data.nbytes",
        touch="float(data.sum())",
        steps=(
            Step("first"),
            Step(
                "history",
                "turn += 1\ndata[turn * N // 21 : turn * N // 21 + N // 100] = rng.random(N // 100)",
                times=20,
            ),
        ),
        least=2100,
        keep=True,
    ),
    Workload(
        "cold",
        "a few small variables, in the first call of a process",
        size=10,
        build="import numpy as np\nx, cfg, a = 1, {'rate': 0.1}, np.arange(10.0)\ndef f(v):\n    return v * x",
        look="[x, cfg, a.tolist(), f(2)]",
        imports="",
        cold=True,
    ),
    Workload(
        "cells",
        "an empty cell, with 1,000 variables",
        size=1000,
        build="for k in range(N):\n    globals()[f'v{k:05}'] = [k, {'key': k}, f'text {k}']",
        look="0",
        cells=True,
        tools=("nbsnap", "bare"),
    ),
)


def find(name: str) -> Workload:
    """Return the workload of that name."""
    return next(workload for workload in WORKLOADS if workload.name == name)
