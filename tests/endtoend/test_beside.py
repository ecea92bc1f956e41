"""What lies beside the variables, in real kernels: as the next cell sees it, and as the user is told."""

from __future__ import annotations

import json
import os
import time

import pytest

pytestmark = pytest.mark.kernel

INLINE = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}


def test_the_next_cell_cannot_tell(kernel_pair):
    """After SIGKILL and a restore the next cell draws, prints, computes and imports as it would have done before."""
    first = kernel_pair.start()
    first.run(
        "import random, decimal, warnings, os, sys\nimport numpy as np, pandas as pd\nimport matplotlib.pyplot as plt\n"
        "random.seed(1); np.random.seed(2); decimal.getcontext().prec = 6\n"
        "class Mine(Warning): pass\nwarnings.simplefilter('error', Mine)\n"
        "pd.set_option('display.max_rows', 4); plt.rcParams['lines.linewidth'] = 5\n"
        "os.makedirs('data', exist_ok=True); os.chdir('data'); sys.path.append(os.path.abspath('.'))"
    )
    first.run("import xml.etree.ElementTree\nfig = plt.figure(); plt.figure('loose'); plt.plot([1, 2])")
    next_cell = (
        "random.random(), np.random.rand(), decimal.Decimal(1) / 7, os.getcwd(), sys.path[-1], "
        "pd.get_option('display.max_rows'), plt.rcParams['lines.linewidth'], plt.get_fignums(), plt.get_figlabels(), "
        "plt.gcf().get_label(), plt.figure(1) is fig, any(f[2] is Mine for f in warnings.filters), "
        "hasattr(xml.etree, 'ElementTree')"
    )
    first.run("%snapshot")
    before = first.run(f"repr(({next_cell}))").result
    second = kernel_pair.restart()
    said = second.run("%restore").text
    assert second.run(f"repr(({next_cell}))").result == before
    (line,) = (line for line in said.splitlines() if "put back, too" in line)
    for part in ("working directory", "sys.path", "options of matplotlib and pandas", "figures 1 and 2", "random gen"):
        assert part in line
    second.run("os.chdir('/'); random.seed(9); decimal.getcontext().prec = 2; plt.close('all')")
    second.run("%restore -q")
    assert second.run(f"repr(({next_cell}))").result == before, "and a restore in a live kernel, too"


def test_the_inline_backend_shows_no_figure_for_a_restore(kernel_pair):
    """Inline figures are closed after their cell, so none is opened again; those in variables can be shown."""
    first = kernel_pair.start(env=INLINE)
    first.run("import matplotlib.pyplot as plt")
    assert len(first.run("fig, ax = plt.subplots(); ax.plot([1, 2]);\n%snapshot").images) == 1
    first.kill()
    second = kernel_pair.start(env=INLINE)
    assert second.run("%restore").images == []
    assert second.value("plt.get_fignums()") == []
    assert len(second.run("fig").images) == 1
    assert len(second.run("plt.plot([3, 4]);").images) == 1, "the backend works as ever"
    assert second.value("plt.get_fignums()") == []


def test_inline_figures_that_stay_open(kernel_pair):
    """Where the inline backend was told to keep figures open, they are open again, and can be drawn on."""
    keep = "%config InlineBackend.close_figures = False\nimport matplotlib.pyplot as plt"
    first = kernel_pair.start(env=INLINE)
    first.run(keep)
    first.run("plt.plot([1, 2]);")
    first.run("%snapshot")
    first.kill()
    second = kernel_pair.start(env=INLINE)
    second.run(keep)
    second.run("%restore")
    assert second.value("plt.get_fignums(), len(plt.gca().lines)") == ([1], 1)
    assert len(second.run("plt.plot([3, 4]); plt.show()").images) >= 1
    assert second.value("len(plt.gca().lines)") == 2


EXTENSION = """
def load_ipython_extension(shell):
    shell.user_ns["loaded"] = shell.user_ns.get("loaded", 0) + 1
def unload_ipython_extension(shell):
    shell.user_ns["loaded"] -= 1
"""


def test_extensions_are_told_or_loaded(kernel_pair):
    """A missing extension costs a note that names it; with `reload_extensions` it is loaded instead."""
    (kernel_pair.folder / "own_extension.py").write_text(EXTENSION)
    first = kernel_pair.start()
    first.run("%load_ext own_extension")
    first.run("%load_ext autoreload\nx = 1\ndel loaded")
    first.run("%snapshot")
    second = kernel_pair.restart()
    assert "the session had %load_ext autoreload, %load_ext own_extension" in second.run("%restore").text
    assert second.value("'loaded' in globals()") is False
    second.run("%config NbSnap.reload_extensions = True")
    assert "extensions autoreload and own_extension" in second.run("%restore").text
    assert second.value("loaded, 'autoreload' in get_ipython().magics_manager.magics['line']") == (1, True)
    assert "autoreload" not in second.run("%restore").text, "they are there now"


def test_a_mode_of_matplotlib_is_told(kernel_pair):
    """A backend that was chosen in the session, and is not that of the new one, is named by its magic."""
    first = kernel_pair.start(env={"MPLBACKEND": "agg"})
    first.run("%matplotlib inline\nx = 1")
    first.run("%snapshot")
    first.kill()
    second = kernel_pair.start(env={"MPLBACKEND": "agg"})
    assert "the session had %matplotlib inline" in second.run("%restore").text
    second.run("%config NbSnap.reload_extensions = True")
    second.run("%restore")
    assert second.value("__import__('matplotlib').get_backend().removeprefix('module://')") in (
        "inline",
        "matplotlib_inline.backend_inline",
    )
    assert "%matplotlib" not in second.run("%restore").text


def test_what_is_beside_can_be_chosen(kernel_pair):
    """`--beside` names parts for one time, `NbSnap.beside` for all; `--only` asks for variables alone."""
    kernel = kernel_pair.start()
    kernel.run("import random, os\nhere = os.getcwd()\nos.mkdir('data')\nx = 1")
    kernel.run("random.seed(1)\n%snapshot")
    spoil = "random.seed(5); os.chdir('data')"
    look = "random.random() == 0.13436424411240122, os.getcwd() == here"
    kernel.run("%restore")
    assert kernel.value(look) == (True, True)
    for line, expected in {
        "%restore --beside none": (False, False),
        "%restore --beside random": (True, False),
        "%restore --beside directory,random": (True, True),
        "%restore --only x": (False, False),
        "%restore --only x --beside all": (True, True),
    }.items():
        kernel.run(f"os.chdir(here); {spoil}")
        kernel.run(line)
        assert kernel.value(look) == expected, line
    kernel.run("%config NbSnap.beside = ['directory']")
    kernel.run(f"os.chdir(here); {spoil}")
    assert "put back, too: working directory" in kernel.run("%restore").text
    assert kernel.value(look) == (False, True)
    assert "not the str 'randm'" in kernel.run("%config NbSnap.beside = ['randm']").text
    wrong = kernel.run("%restore --beside randm", ok=False)
    assert "there is no 'randm' beside the variables" in wrong.text
    report = json.loads(kernel.run("r = %snapshot -q -o\nprint(r.to_json())").stdout)
    assert report["beside"] == ["working directory"]


def test_an_interrupted_restore_leaves_the_state(kernel_pair):
    """Ctrl-C while a restore loads variables: the directory and sys.path, which were put back first, are as before."""
    first = kernel_pair.start()
    first.run("import os, sys, time, random\nos.mkdir('data'); os.chdir('data'); sys.path.append(os.getcwd())")
    first.run(
        "class Slow:\n    def __setstate__(self, state):\n        open('../started', 'w').close(); time.sleep(60)\n"
        "slow = Slow(); slow.x = 1"
    )
    first.run("random.seed(1)\n%snapshot")
    second = kernel_pair.restart()
    second.run("import os, sys, random\nrandom.seed(2); state = random.getstate(), os.getcwd(), list(sys.path)")
    sent = second.send("%restore")
    deadline = time.monotonic() + 60
    while not (kernel_pair.folder / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    second.interrupt()
    second.collect(sent)
    assert second.value("state == (random.getstate(), os.getcwd(), list(sys.path))") is True
    assert os.fspath(kernel_pair.folder) == second.value("os.getcwd()")
