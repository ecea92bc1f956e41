"""The history of a notebook in real kernels: what has changed after a restart, and snapshots that go while in use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import nbsnap

pytestmark = pytest.mark.kernel

SESSION = """
import numpy as np, pandas as pd, dataclasses, functools
rng = np.random.default_rng(0)
prices = pd.DataFrame(rng.random((1000, 3)), columns=list('abc'))
part = prices.iloc[:10]
weights = rng.random((300, 400)); row = weights[0]
@dataclasses.dataclass
class Config:
    lr: float = 0.1
class Model:
    def __init__(self, config): self.config, self.w = config, rng.random(5000)
    def predict(self, x): return x @ self.w
model = Model(Config())
@functools.lru_cache
def scale(x, by=2):
    return x * by
runs = [{'lr': .1, 'tags': {'a', 'b', 'c'}}]
rows = (r for r in runs)
"""


def test_after_a_restart_nothing_has_changed(kernel_pair):
    """In a fresh kernel a restored session is as it was; then each change is told, with the text of what was edited."""
    first = kernel_pair.start()
    first.run(SESSION)
    first.run("%snapshot before-train -q")
    assert "nothing has changed" in first.run("%snapshots diff").text
    second = kernel_pair.restart()
    second.run("%restore -q")
    said = second.run("%snapshots diff").text
    assert "nothing has changed" in said
    assert "rows (generator)" in said

    second.run("prices['d'] = 1; weights[0, 0] = 5; model.w = model.w.astype('float32'); runs.append({}); extra = 1")
    second.run("def scale(x, by=3):\n    return x * by")
    said = second.run("%snapshots diff")
    assert "1 added · " in said.text
    for words in ("prices", "3 → 4 columns", "len 1 → 2", "-def scale(x, by=2):", "+def scale(x, by=3):", "extra"):
        assert words in said.text, words
    (bundle,) = said.displays
    assert "<table" in bundle["text/html"]
    assert "+def scale(x, by=3):" in bundle["text/html"]
    changes = second.run("d = %snapshots diff -q -o\nprint(d.to_json())").stdout
    kinds = {change["name"]: change["change"] for change in json.loads(changes)["changes"]}
    assert kinds["model"] == kinds["weights"] == "changed"
    assert kinds["row"] == kinds["part"] == "perhaps"
    assert "Config" not in kinds
    assert "Model" not in kinds
    assert second.value("float(row[0]), runs[1], extra") == (5.0, {}, 1), "the session is as it was"


def test_snapshots_go_while_their_arrays_are_in_use(kernel_pair):
    """Arrays that a restore has mapped stay whole when their snapshot is deleted, and can be saved again."""
    first = kernel_pair.start()
    first.run(
        "import numpy as np\nbig = np.random.default_rng(0).random(4_000_000)\ntotal = big.sum()\n%snapshot one -q"
    )
    second = kernel_pair.restart()
    second.run("%restore -q")
    second.run("other = 1\n%snapshot two -q")
    said = second.run("%snapshots delete one").text
    assert "1 snapshot deleted" in said
    assert second.value("bool(big.sum() == total)")
    second.run("big[7] = 1\n%snapshot three -q\n%snapshots delete two -q")
    second.run("import nbsnap.later; nbsnap.later.wait()")
    assert "all is well" in second.run("%snapshots check").text
    third = kernel_pair.restart()
    assert third.run("%restore").error is None
    assert third.value("bool(abs(big[8:].sum() - total) < 10), float(big[7])") == (True, 1.0)
    store = nbsnap.Store.open(Path(kernel_pair.folder) / ".nbsnap")
    assert [head.name for head in store.heads()] == ["three"]
    assert store.backend.usage() < 36_000_000, "one copy of the array"


def test_a_snapshot_in_the_background_is_waited_for(kernel_pair):
    """prune and diff come after it, and see it."""
    kernel = kernel_pair.start()
    kernel.run("import numpy as np\nx = np.random.default_rng(0).random(3_000_000)\n%snapshot one -q")
    kernel.run("x = x + 1\n%snapshot two --background -q\nr = %snapshots prune --last 1 --named -q -o")
    assert kernel.value("[head.name for head in r.removed], [kept.snapshot.name for kept in r.kept]") == (
        ["one"], ["two"],
    )  # fmt: skip
    assert "nothing has changed" in kernel.run("%snapshots diff two --only x").text


def test_two_kernels_one_store(kernel_pair):
    """One notebook prunes while another saves: neither notices, and both histories are whole."""
    one = kernel_pair.start()
    other = kernel_pair.start(notebook=str(Path(kernel_pair.notebook).with_name("other.ipynb")))
    one.run("import numpy as np\nx = np.arange(300_000.0)")
    other.run("import numpy as np\nx = np.arange(300_000.0)")
    saving = other.send("for n in range(15):\n    x = x + 1\n    %snapshot -q")
    said = [one.run("x = x + 1\n%snapshot -q\n%snapshots prune --last 1 -q").text for _ in range(8)]
    said.append(other.collect(saving).text)
    assert said == [""] * 9
    store = nbsnap.Store.open(Path(kernel_pair.folder) / ".nbsnap")
    assert (len(store.heads("work.ipynb")), len(store.heads("other.ipynb"))) == (1, 15)
    assert "all is well" in one.run("%snapshots check").text
    other.run("x = None\n%restore latest~7 -q")
    assert other.value("float(x[0])") == 8.0
