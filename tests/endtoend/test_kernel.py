"""The main job where it matters: real ipykernels, killed with SIGKILL, and what the next kernel has then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.kernel

SESSION = """
import numpy as np, math
FACTOR = 3
data = np.arange(6.0)
shared = [1, 2]
owner = {"list": shared}
class Model:
    def __init__(self, w): self.w = w
    def predict(self, x): return self.w * x * FACTOR
model = Model(2)
def scale(x):
    return x * FACTOR
rows = (i for i in range(3))
_private = "mine too"
"""


def test_the_main_job(kernel_pair):
    """A snapshot, SIGKILL, a new kernel, a restore: variables, aliases, classes and live functions are there again."""
    first = kernel_pair.start()
    first.run(SESSION)
    said = first.run('%snapshot before-train -m "the last good state"').text
    assert "Snapshot before-train" in said
    assert "rows" in said
    assert "generator" in said
    assert "In [2]" in said, "the cell that made what was lost"
    pid = first.pid

    second = kernel_pair.restart()
    assert second.pid != pid
    said = second.run("%restore").text
    assert "Restored before-train" in said
    assert "rows" in said
    assert second.value("data.tolist(), math.floor(2.5), _private") == ([0, 1, 2, 3, 4, 5], 2, "mine too")
    assert second.value("owner['list'] is shared, isinstance(model, Model), 'rows' in globals()") == (True, True, False)
    assert second.value("scale(2), model.predict(1)") == (6, 6)
    second.run("FACTOR = 10")
    assert second.value("scale(2), model.predict(1)") == (20, 20)
    second.run("shared.append(3)")
    assert second.value("owner['list']") == [1, 2, 3]


def test_the_session_goes_on_from_restore_to_restore(kernel_pair):
    """A restored session can be changed, saved and restored again, kernel after kernel."""
    kernel = kernel_pair.start()
    kernel.run("log = ['start']\ndef note(text):\n    log.append(text)")
    for turn in range(3):
        kernel.run(f"note('turn {turn}')")
        kernel.run(f"%snapshot turn-{turn}")
        kernel = kernel_pair.restart()
        kernel.run("%restore")
    assert kernel.value("log") == ["start", "turn 0", "turn 1", "turn 2"]
    kernel.run("%restore turn-0")
    assert kernel.value("log") == ["start", "turn 0"]
    kernel.run("%restore latest~1")
    assert kernel.value("log") == ["start", "turn 0", "turn 1"]
    kernel.run("note('by the restored function')")
    assert kernel.value("log[-1]") == "by the restored function"


def test_ipythons_own_things_are_the_new_kernels(kernel_pair):
    """In, Out, exit, get_ipython, display hooks, history and the execution count are left alone by a restore."""
    first = kernel_pair.start()
    first.run("x = 1")
    for _ in range(5):
        first.run("x + 100")
    first.run("%snapshot")
    second = kernel_pair.restart()
    second.run("before = (id(In), id(Out), id(get_ipython()), id(exit), id(quit), id(__builtins__))")
    second.run("import sys; hooks = (sys.displayhook, sys.excepthook, sys.stdout, sys.stdin)")
    count = second.run("'a value'").count
    second.run("%restore")
    after = second.run("before == (id(In), id(Out), id(get_ipython()), id(exit), id(quit), id(__builtins__))")
    assert after.result == "True"
    assert after.count == count + 2, "the count goes on"
    same = second.run("hooks == (sys.displayhook, sys.excepthook, sys.stdout, sys.stdin)")
    assert same.result == "True"
    assert second.value(f"Out[{count}], sorted(Out)[0]") == ("a value", count)
    assert second.value("In[2].startswith('before = '), _i2 == In[2], any('x + ' + '100' in cell for cell in In)") == (
        True,
        True,
        False,
    )
    assert second.run("_").result == "'a value'" or second.run("1 + 1\n").result == "2"
    assert second.run("41 + 1").result == "42", "values are still shown"
    assert second.value("_") == 42
    history = [line[2] for line in eval(second.run("print([*get_ipython().history_manager.get_range()])").stdout)]
    assert "%restore" in history
    assert not any("x + 100" in line for line in history)


def test_names_of_ipython_are_never_saved(kernel_pair):
    """The snapshot holds the user's names only: no In, Out, exit, get_ipython, nor history in variables."""
    kernel = kernel_pair.start()
    kernel.run("x = 5")
    kernel.run("x + 1")
    report = json.loads(kernel.run("r = %snapshot -q -o\nprint(r.to_json())").stdout)
    assert [variable["name"] for variable in report["variables"]] == ["x"]
    assert report["skipped"] == []


def test_the_hint_appears_in_a_fresh_kernel_only(kernel_pair):
    """Loading prints one line when this notebook has a snapshot and nothing has been defined yet, else nothing."""
    first = kernel_pair.start(load=False)
    assert first.run("%load_ext nbsnap").text == "", "no snapshot yet"
    first.run("a, b = 1, 2\n%snapshot")
    second = kernel_pair.restart(load=False)
    said = second.run("%load_ext nbsnap").text.rstrip("\n")
    assert said.startswith("nbsnap: 2 variables")
    assert "%restore" in said
    assert "\n" not in said
    third = kernel_pair.restart(load=False)
    third.run("mine = 1")
    assert third.run("%load_ext nbsnap").text == "", "the namespace is in use"
    other = kernel_pair.start(load=False, notebook=str(Path(kernel_pair.notebook).with_name("other.ipynb")))
    assert other.run("%load_ext nbsnap").text == "", "another notebook's snapshots"


def test_notebooks_in_one_folder_do_not_see_each_other(kernel_pair):
    """`%restore` brings back the latest snapshot of this notebook, not of its neighbour."""
    one = kernel_pair.start()
    one.run("who = 'one'\n%snapshot")
    other_name = str(Path(kernel_pair.notebook).with_name("other.ipynb"))
    other = kernel_pair.start(notebook=other_name)
    other.run("who = 'other'\n%snapshot")
    again = kernel_pair.start()
    again.run("%restore")
    assert again.value("who") == "one"


def test_quiet_output_and_report_object(kernel_pair):
    """`-q` shows nothing but problems, `-o` returns the report, and a magic prints wherever in the cell it stands."""
    kernel = kernel_pair.start()
    kernel.run("x = 1")
    quiet = kernel.run("%snapshot -q")
    assert quiet.text == ""
    assert quiet.result is None
    assert "1 variable" in kernel.run("%snapshot\ny = 2").text
    kernel.run("report = %snapshot -o -q --only x")
    assert kernel.value("type(report).__name__, [v.name for v in report.variables]") == ("SnapshotReport", ["x"])
    assert kernel.run("%restore -q --only x").text == ""
    kernel.run("back = %restore -o -q --only x")
    assert kernel.value("type(back).__name__, back.ok") == ("RestoreReport", True)


def test_quiet_still_tells_problems(kernel_pair):
    """`-q` keeps the lines about what was skipped."""
    kernel = kernel_pair.start()
    kernel.run("x = 1\nrows = (i for i in range(3))")
    assert "rows" in kernel.run("%snapshot -q").text


def test_dry_run_touches_nothing(kernel_pair):
    """`--dry-run` shows what would happen and leaves folder, store and namespace as they are."""
    kernel = kernel_pair.start()
    kernel.run("x = 1\nrows = (i for i in range(3))")
    said = kernel.run("%snapshot --dry-run").text
    assert "x" in said
    assert "rows" in said
    assert not list(kernel_pair.folder.glob(".nbsnap*"))
    kernel.run("%snapshot")
    kernel.run("x = 2")
    assert "x" in kernel.run("%restore --dry-run").text
    assert kernel.value("x") == 2


def test_only_exclude_exact(kernel_pair):
    """`--only`, `--exclude` and `--exact` choose names, by name and by pattern, on both ways."""
    kernel = kernel_pair.start()
    kernel.run("df_a, df_b, other, big = 1, 2, 3, 4")
    kernel.run("%snapshot parts --only df_* --exclude df_b")
    kernel.run("%snapshot whole --exclude big")
    kernel.run("df_a = df_b = other = 0\nextra = 9")
    kernel.run("%restore whole --only df_* --exclude df_a")
    assert kernel.value("df_a, df_b, other, extra") == (0, 2, 0, 9)
    kernel.run("%restore parts")
    assert kernel.value("df_a, df_b, other, extra") == (1, 2, 0, 9)
    kernel.run("%restore whole --exact")
    assert kernel.value("sorted(n for n in globals() if n in ('df_a', 'df_b', 'other', 'big', 'extra'))") == [
        "df_a",
        "df_b",
        "other",
    ]


def test_strict_leaves_all_as_it_was(kernel_pair):
    """`--strict` turns a skip into an error of one line: no snapshot is made, no name is bound."""
    kernel = kernel_pair.start()
    kernel.run("x = 1\nrows = (i for i in range(3))")
    refused = kernel.run("%snapshot --strict", ok=False)
    assert "rows" in refused.text
    assert "Traceback" not in refused.text + refused.traceback
    listed = kernel.run("import nbsnap.restoring\n%restore", ok=False)
    assert "%snapshot" in listed.text, "there is no snapshot yet"
    kernel.run("%snapshot")
    kernel.run("x = 2")
    assert "rows" in kernel.run("%restore --strict", ok=False).text
    assert kernel.value("x") == 2


def test_a_package_that_is_missing_can_be_installed_later(kernel_pair):
    """What does not load is named with the way out; after that, `%restore --only x` finishes the job."""
    module = kernel_pair.folder / "widgets_lib.py"
    module.write_text("class Widget:\n    size = 3\n")
    kernel = kernel_pair.start()
    kernel.run("import sys; sys.path.insert(0, '')\nfrom widgets_lib import Widget\nw = Widget(); plain = 1")
    kernel.run("del Widget\n%snapshot")
    module.rename(module.with_suffix(".away"))
    kernel = kernel_pair.restart()
    said = kernel.run("%restore").text
    assert "widgets_lib" in said
    assert kernel.value("plain, 'w' in globals()") == (1, False)
    module.with_suffix(".away").rename(module)
    kernel.run("import sys; sys.path.insert(0, '')\n%restore --only w")
    assert kernel.value("w.size") == 3


def test_help_reads_well(kernel_pair):
    """`%snapshot?` lists every argument that the magic takes."""
    kernel = kernel_pair.start()
    help_text = kernel.run(
        "print(get_ipython().find_line_magic('snapshot').__doc__, get_ipython().find_line_magic('restore').__doc__)"
    ).stdout
    for word in ("--only", "--exclude", "--strict", "--dry-run", "-m", "-q", "-o", "--exact", "NAME", "SNAPSHOT"):
        assert word in help_text


def test_settings_are_config_traitlets(kernel_pair, tmp_path):
    """`%config NbSnap.store` and `NBSNAP_STORE` move the store; the environment wins."""
    kernel = kernel_pair.start()
    kernel.run("x = 1")
    kernel.run(f"%config NbSnap.store = {str(tmp_path / 'elsewhere')!r}")
    kernel.run("%snapshot")
    assert (tmp_path / "elsewhere").is_dir()
    assert not (kernel_pair.folder / ".nbsnap").exists()
    by_env = kernel_pair.start(env={"NBSNAP_STORE": str(tmp_path / "by-env")})
    by_env.run(f"%config NbSnap.store = {str(tmp_path / 'elsewhere')!r}\ny = 1")
    by_env.run("%snapshot")
    assert (tmp_path / "by-env").is_dir()


def test_a_restored_figure_is_shown_as_a_picture(kernel_pair):
    """In a kernel that has drawn nothing yet, a restored figure at the end of a cell is a PNG, as it was before."""
    inline = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    kernel = kernel_pair.start(env=inline)
    before = kernel.run("import matplotlib.pyplot as plt\nfig, ax = plt.subplots(); ax.plot([1, 2]); plt.close()\nfig")
    kernel.run("%snapshot -q")
    kernel.kill()
    kernel = kernel_pair.start(env=inline)
    assert not kernel.run("%restore -q").images
    assert kernel.run("fig").images == before.images
    assert len(before.images) == 1


def test_what_was_restored_was_made_in_the_cell_of_the_session_before(kernel_pair):
    """In [2] of the new kernel is another cell; the line that made the variable is told, until a cell binds it anew."""
    kernel = kernel_pair.start()
    kernel.run("cfg = {'lr': 0.1, 'rows': (i for i in range(3))}")
    kernel.run("%snapshot")
    kernel = kernel_pair.restart()
    kernel.run("other = 'cell two of the new kernel'")
    kernel.run("%restore")
    made = "json.dumps([(v.cell, v.code) for v in report.variables if v.name == 'cfg'])"
    kernel.run("import json\nreport = get_ipython().run_line_magic('snapshot', '-o -q')")
    assert json.loads(kernel.value(made)) == [[2, "cfg = {'lr': 0.1, 'rows': (i for i in range(3))}"]]
    kernel.run("cfg = {'lr': 0.2}")
    kernel.run("report = get_ipython().run_line_magic('snapshot', '-o -q')")
    assert json.loads(kernel.value(made))[0][1] == "cfg = {'lr': 0.2}"


def test_damage_found_after_a_restore_is_told_in_the_notebook(kernel_pair):
    """A big array is there before its bytes were looked at; that they are damaged is a line in the notebook."""
    kernel = kernel_pair.start()
    kernel.run("import numpy as np\nprices = np.random.default_rng(0).random(4_000_000)\n%snapshot")
    (pack,) = (kernel_pair.folder / ".nbsnap" / "packs").glob("*.pack")
    data = bytearray(pack.read_bytes())
    data[20_000_000] ^= 1
    pack.write_bytes(data)
    kernel = kernel_pair.restart()
    if kernel.value("__import__('nbsnap.mapping').mapping.is_safe(__import__('os').open('.', 0))"):
        said = kernel.run("%restore\nimport nbsnap.later\nassert nbsnap.later.wait(60)\nprint('after')")
        assert "nbsnap: prices: damaged in the store, so what was restored may be wrong: " in said.stderr
        assert "after" in said.stdout
    said = kernel.run("%restore --no-map")
    assert "is damaged in the store: " in said.text
