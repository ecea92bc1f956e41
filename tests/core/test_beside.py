"""What lies beside the variables is there again in another process: generators, figures, options, places, filters."""

from __future__ import annotations

from typing import Any

import pytest

ALL_OFF = "nbsnap.restore(beside='none')"


def test_the_random_streams_go_on(two_shells: Any) -> None:
    """Python's and NumPy's global generators draw next what they would have drawn, the kept half of a pair included."""
    two_shells.save(
        "import random, numpy as np\n"
        "random.seed(1); np.random.seed(2); random.gauss(0, 1); np.random.randn()\n"
        "states = random.getstate(), np.random.get_state(legacy=False)\n"
        "coming = [random.gauss(0, 1), random.random(), np.random.randn(), *np.random.rand(3)]\n"
        "random.setstate(states[0]); np.random.set_state(states[1])\n"
    )
    drawn = "[random.gauss(0, 1), random.random(), np.random.randn(), *np.random.rand(3)]"
    report, wrong = two_shells.restore({"the same": f"{drawn} == coming"})
    assert wrong == {}
    assert "random generators" in report["beside"]
    assert report["notes"] == []


def test_another_bit_generator_goes_on(two_shells: Any) -> None:
    """NumPy's global generator comes back as the kind that the session had put in its place."""
    import numpy

    if not hasattr(numpy.random, "set_bit_generator"):
        pytest.skip("this numpy has one kind only")
    two_shells.save(
        "import numpy as np\nnp.random.set_bit_generator(np.random.PCG64(5)); np.random.rand(3)\n"
        "state = np.random.get_state(legacy=False); coming = np.random.rand(2).tolist()\nnp.random.set_state(state)\n"
    )
    _, wrong = two_shells.restore({"the same": "np.random.rand(2).tolist() == coming"})
    assert wrong == {}


def test_a_generator_without_its_library_costs_a_line(two_shells: Any) -> None:
    """Where numpy cannot be imported, its generator's state is left, a line says so, and all else comes back."""
    two_shells.save("import numpy.random, random\ndel numpy\nx = [1]\nrandom.seed(3)\n")
    call = (
        "(__import__('sys').modules.update({'numpy': None, 'numpy.random': None}), "
        "nbsnap.restore(beside=['random']))[1]"
    )
    report, wrong = two_shells.restore({"x": "x == [1]", "python": "random.random() == 0.23796462709189137"}, call)
    assert wrong == {}
    assert report["failed"] == []
    assert [note for note in report["notes"] if note.startswith("random: the state of numpy")] == report["notes"] != []


def test_nothing_beside_is_imported(two_shells: Any) -> None:
    """A session that has loaded no library saves and restores without loading one."""
    code = (
        "x = 1\nimport nbsnap, sys\nnbsnap.snapshot()\nnbsnap.restore()\n"
        "print({'numpy', 'matplotlib', 'pandas', 'decimal', 'torch', 'sklearn'} & set(sys.modules))"
    )
    assert two_shells.run(code).out.strip() == "set()"


FIGURES = """
import matplotlib.pyplot as plt
fig, ax = plt.subplots()
ax.plot([1, 2, 3])
plt.figure(7); plt.plot([4, 5])
plt.figure('by name'); plt.title('kept')
closed, _ = plt.subplots(); plt.close(closed)
plt.figure(7)
"""


def test_open_figures_are_open_again(two_shells: Any) -> None:
    """Figures keep numbers, labels and the current one; one that is a variable stays one object; closed ones stay."""
    two_shells.save(FIGURES)
    report, wrong = two_shells.restore(
        {
            "numbers": "plt.get_fignums() == [1, 7, 8]",
            "labels": "plt.get_figlabels() == ['', '', 'by name']",
            "current": "plt.gcf().number == 7 and plt.gca().lines[0].get_ydata().tolist() == [4, 5]",
            "one object": "plt.figure(1) is fig and plt.gcf() is fig and fig.axes == [ax]",
            "by name": "plt.figure('by name').axes[0].get_title() == 'kept'",
            "managers": "all(plt.figure(n).canvas.manager.num == n for n in plt.get_fignums())",
            "drawn": "fig.canvas.draw() is None and len(fig.canvas.buffer_rgba()) > 0",
            "saved": "fig.savefig('picture.png') is None and __import__('os').path.getsize('picture.png') > 1000",
            "closed": "not plt.fignum_exists(closed.number) and closed.axes[0].figure is closed",
            "closing": "plt.close(fig) is None and plt.get_fignums() == [7, 8]",
        }
    )
    assert wrong == {}
    assert "figures 1, 7 and 8" in report["beside"]


def test_figures_are_opened_once(two_shells: Any) -> None:
    """A second restore replaces the figures of the first; without `figures` none is opened."""
    two_shells.save(FIGURES)
    _, wrong = two_shells.restore(
        {
            "none": "plt.get_fignums() == []",
            "twice": "nbsnap.restore() and nbsnap.restore() and plt.get_fignums() == [1, 7, 8]",
            "the variable's": "plt.figure(1) is fig",
        },
        ALL_OFF,
    )
    assert wrong == {}


def test_a_figure_of_ones_own_is_not_closed(two_shells: Any) -> None:
    """A number that another figure holds stays that figure's; the restored one gets the next, and a line says so."""
    two_shells.save(FIGURES)
    report, wrong = two_shells.restore(
        {
            "own": "plt.figure(1) is own and not own.axes",
            "numbers": "plt.get_fignums() == [1, 7, 8, 9]",
            "restored": "plt.figure(9) is fig and fig.number == 9",
        },
        "(exec('import matplotlib.pyplot as plt; own = plt.figure()', globals()), nbsnap.restore())[1]",
    )
    assert wrong == {}
    assert report["notes"] == ["figure 1 is one of this session's own: the restored one is figure 9"]


def test_undo_in_a_live_session(two_shells: Any) -> None:
    """Restoring where the snapshot was made puts all of it back: streams, figures, options, filters, places."""
    done = two_shells.run(
        f"""
import nbsnap, os, random, decimal, warnings
import numpy as np, pandas as pd
{FIGURES}
here = os.getcwd()
random.seed(1); np.random.seed(1); draws = []
nbsnap.snapshot()
coming = random.random(), np.random.rand()
filters = list(warnings.filters)
# a bad cell
os.mkdir("elsewhere"); os.chdir("elsewhere")
ax.set_title("spoiled"); plt.close(7); spoiled = fig
pd.set_option("display.max_rows", 3); np.seterr(all="raise"); plt.rcParams["lines.linewidth"] = 9
decimal.getcontext().prec = 5; decimal.getcontext().traps[decimal.Inexact] = True
warnings.simplefilter("error")
report = nbsnap.restore()
assert (random.random(), np.random.rand()) == coming
assert os.getcwd() == here
assert plt.get_fignums() == [1, 7, 8] and plt.gcf().number == 7
assert plt.figure(1) is fig and fig is not spoiled and ax.get_title() == ""
assert pd.get_option("display.max_rows") == 60 and np.geterr()["divide"] == "warn"
assert plt.rcParams["lines.linewidth"] == 1.5
assert decimal.getcontext().prec == 28 and not decimal.getcontext().traps[decimal.Inexact]
assert warnings.filters == filters
assert report.notes == (), report.notes
print(report.beside)
"""
    )
    assert "options of matplotlib, numpy and pandas" in done.out


OPTIONS = """
import numpy as np, pandas as pd, matplotlib, decimal, warnings
DIGITS = 2
np.set_printoptions(precision=3, formatter={"bool": lambda value: "yes" if value else "no"})
np.seterr(divide="raise")
pd.set_option("display.max_rows", 7)
pd.options.display.float_format = lambda x: f"{x:.{DIGITS}f}!"
matplotlib.rcParams["lines.linewidth"] = 4
matplotlib.rcParams["font.family"] = ["serif"]
decimal.getcontext().prec = 50
decimal.getcontext().traps[decimal.Inexact] = True
class Mine(Warning): pass
warnings.simplefilter("error", Mine)
warnings.filterwarnings("ignore", "not this", UserWarning, "some[.]module", 3)
filters = [(action, category.__name__, line) for action, _, category, _, line in warnings.filters]
"""


def test_options_filters_and_context_come_back(two_shells: Any) -> None:
    """What was set in numpy, pandas, matplotlib, warnings and decimal is set again, with functions and own classes."""
    saved = two_shells.save(OPTIONS)
    assert "options of matplotlib, numpy and pandas" in saved["beside"]
    report, wrong = two_shells.restore(
        {
            "numpy": "str(np.array([1 / 3])) == '[0.333]' and str(np.array([True])) == '[yes]'",
            "seterr": "np.geterr() == {'divide': 'raise', 'over': 'warn', 'under': 'ignore', 'invalid': 'warn'}",
            "pandas": "pd.get_option('display.max_rows') == 7 and '1.50!' in str(pd.Series([1.5]))",
            "live": "globals().update(DIGITS=1) is None and '1.5!' in str(pd.Series([1.5]))",
            "rcParams": "matplotlib.rcParams['lines.linewidth'] == 4",
            "a list": "matplotlib.rcParams['font.family'] == ['serif']",
            "decimal": "decimal.getcontext().prec == 50 and decimal.getcontext().traps[decimal.Inexact]",
            "the class": "any(f[2] is Mine and f[0] == 'error' for f in warnings.filters)",
            "filters": "[(f[0], f[2].__name__, f[4]) for f in warnings.filters] == filters",
            "a pattern": "any(f[1] and f[1].match('NOT THIS') and f[3].match('some.module') for f in warnings.filters)",
        }
    )
    assert wrong == {}
    assert {"options of matplotlib, numpy and pandas", "warning filters", "decimal context"} <= set(report["beside"])


def test_scikit_learn_is_configured_again(two_shells: Any) -> None:
    """`sklearn.set_config` counts after a restore."""
    two_shells.save("import sklearn\nsklearn.set_config(transform_output='pandas', assume_finite=True)")
    config = "sklearn.get_config()"
    _, wrong = two_shells.restore(
        {"config": f"{config}['transform_output'] == 'pandas' and {config}['assume_finite'] is True"}
    )
    assert wrong == {}


@pytest.mark.heavy
def test_torch_goes_on(two_shells: Any) -> None:
    """torch's generator, default dtype, grad mode, printing and deterministic flag are as they were."""
    two_shells.save(
        "import torch\ntorch.manual_seed(5); torch.rand(3)\nstate = torch.get_rng_state()\n"
        "coming = torch.rand(4).tolist(); torch.set_rng_state(state)\n"
        "torch.set_default_dtype(torch.float64); torch.set_grad_enabled(False)\n"
        "torch.set_printoptions(precision=2); torch.use_deterministic_algorithms(True)\n"
    )
    _, wrong = two_shells.restore(
        {
            "stream": "torch.rand(4, dtype=torch.float32).tolist() == coming",
            "dtype": "torch.get_default_dtype() is torch.float64",
            "grad": "not torch.is_grad_enabled()",
            "print": "str(torch.tensor([1 / 3])).startswith('tensor([0.33]')",
            "deterministic": "torch.are_deterministic_algorithms_enabled()",
        }
    )
    assert wrong == {}


def test_options_are_set_only_where_the_library_is(two_shells: Any) -> None:
    """A library that the session had loaded, but set nothing in, is not loaded for it."""
    two_shells.save("import pandas, numpy as np\nnp.seterr(over='raise')\ndel pandas")
    report, wrong = two_shells.restore({"not loaded": "'pandas' not in __import__('sys').modules"})
    assert wrong == {}
    assert "options of numpy" in report["beside"]


PLACES = """
import os, sys
import nbsnap
os.makedirs("data/deep", exist_ok=True); os.makedirs("src", exist_ok=True); os.makedirs("last", exist_ok=True)
with open("src/own_module.py", "w") as file: file.write("class Own:\\n    pass\\n")
sys.path.insert(0, os.path.abspath("src"))
sys.path.append(os.path.abspath("last"))
sys.path.append(os.path.abspath("gone later"))
import own_module
made = own_module.Own()
os.chdir("data/deep")
"""


def test_places_come_back_before_the_variables(two_shells: Any) -> None:
    """The working directory and added entries of sys.path are there when variables need a module from them."""
    two_shells.save(PLACES + "os.mkdir('../../gone later')")
    (two_shells.folder / "gone later").rmdir()
    report, wrong = two_shells.restore(
        {
            "directory": f"os.getcwd() == {str(two_shells.folder / 'data' / 'deep')!r}",
            "front": "sys.path.index(made_in) < sys.path.index(os.path.dirname(os.__file__))"
            " if (made_in := os.path.dirname(own_module.__file__)) else False",
            "last": f"sys.path[-1] == {str(two_shells.folder / 'last')!r}",
            "variable": "type(made) is own_module.Own",
        }
    )
    assert wrong == {}
    assert report["failed"] == []
    assert {"sys.path", f"working directory {two_shells.folder / 'data' / 'deep'}"} <= set(report["beside"])
    assert report["notes"] == [f"not added to sys.path, as it is not there: {two_shells.folder / 'gone later'}"]


def test_a_project_that_was_moved_keeps_to_itself(two_shells: Any, shells_in: Any) -> None:
    """The working directory is looked for below the folder where the restoring session began."""
    two_shells.save(PLACES)
    moved = two_shells.folder.parent / "moved"
    (moved / "data" / "deep").mkdir(parents=True)
    (moved / "src").mkdir()
    (moved / "src" / "own_module.py").write_text("class Own: new = True\n")
    store = str(two_shells.folder / ".nbsnap")
    call = f"nbsnap.restore(store={store!r}, notebook='session.py')"
    checks = {"directory": f"os.getcwd() == {str(moved / 'data' / 'deep')!r}", "modules": "own_module.Own.new"}
    _, wrong = shells_in(moved).restore(checks, call)
    assert wrong == {}


def test_a_directory_that_is_gone_costs_a_line(two_shells: Any) -> None:
    """Where the working directory does not exist any more, the session stays where it is, and says so."""
    two_shells.save("import os, nbsnap\nos.mkdir('brief'); os.chdir('brief')\nx = 1")
    (two_shells.folder / "brief").rmdir()
    report, wrong = two_shells.restore({"stays": f"os.getcwd() == {str(two_shells.folder)!r}", "x": "x == 1"})
    assert wrong == {}
    (note,) = report["notes"]
    assert "brief" in note
    assert f"it stays {two_shells.folder}" in note


def test_submodules_come_with_their_package(two_shells: Any) -> None:
    """`import a.b` binds `a` only, and after a restore `a.b` is there: what cells import, and what else was loaded."""
    two_shells.save(
        "import xml.etree.ElementTree, concurrent\nimport logging.handlers as named\nimport importlib\n"
        "importlib.import_module('concurrent.futures')\nimport email.mime.text\ndel email\n"
    )
    report, wrong = two_shells.restore(
        {
            "imported": "xml.etree.ElementTree.fromstring('<a/>').tag == 'a'",
            "loaded": "concurrent.futures.Future is not None",
            "alias": "named.RotatingFileHandler is not None",
        }
    )
    assert wrong == {}
    assert not any("email" in said for said in report["beside"])


def test_modules_of_nbsnap_are_its_own_affair(two_shells: Any) -> None:
    """What nbsnap has loaded when it saves is neither kept nor told when it is put back."""
    two_shells.save("import nbsnap, concurrent.futures")
    report, _ = two_shells.restore({})
    assert not any("nbsnap" in said for said in report["beside"])


def test_submodules_stay_from_restore_to_restore(two_shells: Any) -> None:
    """A session that was restored, and has not run the cell that imported a submodule, keeps it all the same."""
    two_shells.save("import xml.etree.ElementTree")
    again = "(nbsnap.restore(), nbsnap.snapshot())[0]"
    for _ in range(2):
        _, wrong = two_shells.restore({"there": "xml.etree.ElementTree.fromstring('<a/>').tag == 'a'"}, again)
        assert wrong == {}


def test_a_submodule_that_does_not_load_costs_a_line(two_shells: Any) -> None:
    """A submodule that raises when it is imported again leaves its package, and a note."""
    package = two_shells.folder / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("")
    two_shells.save("import own_package.part")
    (package / "part.py").write_text("raise SystemExit('no')")
    report, wrong = two_shells.restore({"package": "own_package.__name__ == 'own_package'"})
    assert wrong == {}
    assert report["notes"] == ["own_package.part was imported, and could not be now: SystemExit: no"]


# --- what is meant, and what is not -----------------------------------------------------------------------------------


def test_parts_can_be_left_out(two_shells: Any) -> None:
    """`beside` names the parts to keep or to put back; "none" and "all" are words for no part and every part."""
    source = "import random, decimal\nrandom.seed(1)\ndecimal.getcontext().prec = 9"
    checks = {"random": "random.random() == 0.13436424411240122", "decimal": "decimal.getcontext().prec == 9"}
    two_shells.save(source, "nbsnap.snapshot(beside=['random'])")
    assert list(two_shells.restore(checks)[1]) == ["decimal"]
    two_shells.save(source)
    assert two_shells.restore(checks)[1] == {}
    assert list(two_shells.restore(checks, "nbsnap.restore(beside='decimal')")[1]) == ["random"]
    assert list(two_shells.restore(checks, ALL_OFF)[1]) == ["random", "decimal"]
    saved = two_shells.save(source, "nbsnap.snapshot(beside='none')")
    assert saved["beside"] == []
    done = two_shells.run("x = 1\nimport nbsnap\nnbsnap.snapshot(beside=['randm'])", ok=False)
    assert "NbSnapError: there is no 'randm' beside the variables; there are all, none, random, " in done.err


def test_asking_for_variables_is_asking_for_no_more(two_shells: Any) -> None:
    """With `only` or `exclude` nothing beside the variables is put back, unless it is asked for."""
    two_shells.save("import random\nrandom.seed(1)\nx = 1")
    checks = {"random": "__import__('random').random() == 0.13436424411240122"}
    for some in ("only=['x']", "exclude=['random']"):
        report, wrong = two_shells.restore(checks, f"nbsnap.restore({some})")
        assert list(wrong) == ["random"]
        assert report["beside"] == []
        assert two_shells.restore(checks, f"nbsnap.restore({some}, beside='all')")[1] == {}
    saved = two_shells.save("import random\nx = 1", "nbsnap.snapshot(only=iter(['x']))")
    assert saved["beside"] == []
    assert [variable["name"] for variable in saved["variables"]] == ["x"]


def test_a_dict_is_not_the_session(two_shells: Any) -> None:
    """Of a namespace that is a dict of one's own nothing beside is kept or put back, unless it is asked for."""
    done = two_shells.run(
        "import nbsnap, random\nspace = {'x': 1}\n"
        "print(nbsnap.snapshot(space).beside)\n"
        "random.seed(1)\nprint(nbsnap.snapshot(space, beside='random').beside)\ncoming = random.random()\n"
        "nbsnap.restore('latest', space); print(random.random() == coming)\n"
        "nbsnap.restore('latest', space, beside='random'); print(random.random() == coming)\n"
        "print(nbsnap.snapshot(globals()).beside != ())"
    )
    assert done.out.splitlines() == ["()", "('random generator',)", "False", "True", "True"]


def test_what_lies_beside_is_no_variable(two_shells: Any) -> None:
    """It is not counted, listed or bound; alone it is nothing to save."""
    saved = two_shells.save("import matplotlib.pyplot as plt\nplt.figure()\nx = 1")
    assert [variable["name"] for variable in saved["variables"]] == ["plt", "x", "nbsnap"]
    report, wrong = two_shells.restore({"names": "not any(':' in name for name in globals())"})
    assert wrong == {}
    assert [variable["name"] for variable in report["restored"]] == ["plt", "x", "nbsnap"]
    done = two_shells.run("from random import seed as _\nfrom nbsnap import snapshot\nsnapshot({})", ok=False)
    assert "there is no variable to save" in done.err


def test_a_dry_run_tells(two_shells: Any) -> None:
    """A dry run says what would be kept or put back, and changes nothing."""
    source = "import random\nrandom.seed(1)\nimport os, nbsnap\nos.mkdir('data')\nos.chdir('data')"
    would = two_shells.save(source, "nbsnap.snapshot(dry_run=True)")
    assert {"random generator", "working directory"} <= set(would["beside"])
    (two_shells.folder / "data").rmdir()
    two_shells.save(source)
    report, wrong = two_shells.restore(
        {"stays": f"__import__('os').getcwd() == {str(two_shells.folder)!r}"}, "nbsnap.restore(dry_run=True)"
    )
    assert wrong == {}
    assert set(would["beside"]) == set(report["beside"])


def test_what_cannot_be_kept_costs_a_line(two_shells: Any) -> None:
    """An open figure that cannot be saved is a note: no variable is lost, and `strict` minds variables only."""
    saved = two_shells.save(
        "import matplotlib.pyplot as plt\nplt.figure().rows = (i for i in range(3))\nplt.figure()\nx = 1",
        "nbsnap.snapshot(strict=True)",
    )
    (note,) = saved["notes"]
    assert note.startswith("figure 1: not kept: ")
    assert "generator" in note
    report, wrong = two_shells.restore({"figures": "plt.get_fignums() == [2]"}, "nbsnap.restore(strict=True)")
    assert wrong == {}
    assert "figure 2" in report["beside"]


UNDONE = """
import nbsnap, os, random, sys, decimal, warnings, signal
import matplotlib.pyplot as plt
own = plt.figure()
warnings.simplefilter("error", ResourceWarning)
def state():
    return (random.getstate(), os.getcwd(), list(sys.path), decimal.getcontext().prec, list(warnings.filters),
            plt.get_fignums(), plt.figure(1) is own, plt.rcParams["lines.linewidth"], sorted(globals()))
before = None
before = state()
"""


@pytest.mark.parametrize("why", ["strict", "interrupt"])
def test_a_restore_that_fails_leaves_the_state_as_it_was(two_shells: Any, why: str) -> None:
    """`strict`, or Ctrl-C while the last of it is put back: streams, places, figures and options are as before."""
    bad = "rows = (i for i in range(3))" if why == "strict" else ""
    two_shells.save(
        "import os, sys, random, decimal, warnings, nbsnap\nimport matplotlib.pyplot as plt\n"
        "os.makedirs('data', exist_ok=True); os.chdir('data'); sys.path.append(os.path.abspath('..'))\n"
        "sys.path.append(os.path.abspath('.'))\n"
        "random.seed(4); decimal.getcontext().prec = 11; warnings.simplefilter('ignore')\n"
        f"plt.figure(); plt.figure(); plt.rcParams['lines.linewidth'] = 7\n{bad}\n"
    )
    if why == "strict":
        act = "try: nbsnap.restore(strict=True)\nexcept nbsnap.StrictError: print('stopped')\n"
    else:
        act = (
            "real = random.setstate\n"
            "def stopping(value):\n"
            "    random.setstate = real\n"
            "    real(value)\n"
            "    signal.raise_signal(signal.SIGINT)\n"
            "random.setstate = stopping\n"
            "before = None; before = state()\n"
            "try: nbsnap.restore()\nexcept KeyboardInterrupt: print('stopped')\n"
        )
    done = two_shells.run(
        f"{UNDONE}{act}after = None; after = state(); after[-1].remove('after')\n"
        "print([b == a for b, a in zip(before, after)])"
    )
    assert done.out.splitlines() == ["stopped", str([True] * 9)]


def test_the_same_state_gives_the_same_pieces(two_shells: Any) -> None:
    """Another process in the same state adds nothing to the store; a generator that has gone on adds its own few KB."""
    source = "import random, numpy as np\nrandom.seed(1); np.random.seed(1)\nx = list(range(50_000))\n"
    assert two_shells.save(source)["new_bytes"] > 0
    assert two_shells.save(source)["new_bytes"] == 0
    assert 0 < two_shells.save(source + "random.random(); np.random.rand()")["new_bytes"] < 12_000


def test_snapshots_without_it_are_read(two_shells: Any) -> None:
    """A manifest that knows nothing of what lies beside the variables is one where nothing does."""
    from dataclasses import replace

    from nbsnap import Store, manifest

    two_shells.save("import random\nrandom.seed(1)\nx = 1", "nbsnap.snapshot(beside='none')")
    with Store.open(two_shells.folder / ".nbsnap") as store:
        record = store.load(store.heads()[0].id)
    assert record.beside == ()
    empty, plain = manifest.encode(record)
    assert manifest.decode(plain) == empty
    full = replace(record, beside=record.variables)
    assert manifest.decode(manifest.encode(full)[1]).beside == record.variables
    report, wrong = two_shells.restore({"x": "x == 1"})
    assert wrong == {}
    assert report["beside"] == []


def test_every_part_can_be_taken_and_told() -> None:
    """What may be asked for, what has a keeper and what has words for the report are the same parts."""
    from nbsnap import beside, wording
    from nbsnap.parts import BESIDE

    assert set(beside.chosen(BESIDE)) == set(BESIDE)
    assert all(wording.beside([f"{part}:item"]) for part in BESIDE)
    assert set(wording._BESIDE) == set(BESIDE)
