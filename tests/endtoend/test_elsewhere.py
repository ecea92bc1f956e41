"""Saved in one environment, restored in another: what is told beforehand, what `strict` refuses, what comes back.

The packages are made here: a module and the files that pip would have written beside it. So a test can have any two
versions of one, and none needs the network. Real ones meet in `test_environments.py`.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

GIZMO = "class Gizmo:\n    def __init__(self, n): self.n = n\ndef turn(g): return g.n\n"


@pytest.fixture
def install(two_shells, tmp_path):
    """Install a version of a package into a folder that the shells look into; None takes it away."""
    folder = tmp_path / "site"
    folder.mkdir()
    two_shells.env["PYTHONPATH"] = str(folder)

    def put(name: str, version: str | None, source: str = GIZMO, **more: str) -> Path:
        for old in folder.glob(f"{name}*"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        if version is not None:
            (folder / f"{name}.py").write_text(source)
            info = folder / f"{name}-{version}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nA gizmo.\n")
            for file, text in more.items():
                (info / file.replace("__", ".")).write_text(text)
        return folder

    return put


def test_the_manifest_tells_what_the_session_ran_on(two_shells, install):
    """Distributions with their modules and where they came from, files of the project, byte order; in show's JSON."""
    install("gizmo", "2.0", direct_url__json='{"url": "https://me:pw@example.org/g.git", "vcs_info": {"vcs": "git",'
            ' "commit_id": "abc123"}}')  # fmt: skip
    (two_shells.folder / "helpers.py").write_text("def f(): return 1\n")
    two_shells.env["VIRTUAL_ENV"] = "/home/me/env"
    two_shells.env["MY_TOKEN"] = "ghp_0123456789abcdefghijABCDEFGHIJ0123456789"
    two_shells.save("import gizmo\nimport helpers\nx = 1")
    shown = two_shells.run("import nbsnap.cli\nnbsnap.cli.main(['show', '--json'])")
    record = json.loads(shown.out)
    (found,) = [one for one in record["distributions"] if one["name"] == "gizmo"]
    assert found == {
        "name": "gizmo", "version": "2.0", "modules": ["gizmo"], "how": "vcs",
        "origin": "git+https://example.org/g.git@abc123",
    }  # fmt: skip
    (helpers,) = record["local"]
    assert (helpers["name"], helpers["path"], helpers["size"]) == ("helpers", "helpers.py", 18)
    facts = dict(record["environment"])
    assert facts["byteorder"] in ("little", "big")
    assert facts["VIRTUAL_ENV"] == "/home/me/env"
    assert "ghp_" not in shown.out
    assert "me:pw" not in shown.out


def test_nothing_is_said_where_nothing_differs(two_shells, install):
    """The same environment costs no line, nor does strict mind it."""
    install("gizmo", "2.0")
    two_shells.save("import gizmo\ng = gizmo.Gizmo(1)")
    done = two_shells.run(
        "import nbsnap\nr = nbsnap.restore(strict=True)\nassert r.differs == (), r.differs\nprint(g.n)"
    )
    assert (done.out, done.err) == ("1\n", "")


@pytest.mark.parametrize(
    ("there", "here", "degree"),
    [("2.1", "2.0", "slightly"), ("2.0", "2.0.1", "slightly"), ("2.9", "3.0", "differs"), ("0.4", "0.5", "differs")],
)
def test_versions(two_shells, install, there, here, degree):
    """Another major version has a line, a smaller difference has none; the report has both."""
    install("gizmo", there)
    two_shells.save("from gizmo import Gizmo\ng = Gizmo(1)")
    install("gizmo", here)
    report, wrong = two_shells.restore({"it came": "g.n == 1"})
    assert wrong == {}
    assert [(one["name"], one["saved"], one["here"], one["degree"]) for one in report["differs"]] == [
        ("gizmo", there, here, degree)
    ]
    done = two_shells.run("import nbsnap\nnbsnap.restore()")
    line = f"gizmo {here} is here, it was saved under {there} (Gizmo and g)"
    assert (line in done.err) is (degree == "differs")


def test_what_is_dangerous_is_told_first_and_before_anything_is_loaded(two_shells, install):
    """A row of the table of dangers comes with its reason; the lines are there though loading ends the process."""
    install("gizmo", "1.0", GIZMO + "import os\nclass End:\n    def __reduce__(self): return os._exit, (9,)\n")
    install("polars", "1.9", GIZMO)
    two_shells.save("import gizmo, polars\na = gizmo.Gizmo(1)\nb = polars.Gizmo(2)\nz = gizmo.End()")
    install("gizmo", "2.0", GIZMO)
    install("polars", "1.8", GIZMO)
    done = two_shells.run("import nbsnap\nnbsnap.restore()", ok=False)
    assert done.code == 9
    heading, first, second = done.err.splitlines()
    assert heading == "nbsnap: this was saved in another environment:"
    assert first.startswith("  polars 1.8 is here, it was saved under 1.9: its plans and expressions are")
    assert first.endswith(("(b and polars)", "(polars and b)"))
    assert second.startswith("  gizmo 2.0 is here, it was saved under 1.0 (")


def test_a_package_that_is_missing(two_shells, install):
    """It is named beforehand with what needs it, and counts only if a variable that is restored does."""
    install("gizmo", "2.0")
    two_shells.save("from gizmo import Gizmo\ng = Gizmo(1)\nx = 5\nf = lambda: 1")
    install("gizmo", None)
    done = two_shells.run("import nbsnap\nnbsnap.restore()\nprint(x)")
    assert done.out == "5\n"
    assert "gizmo 2.0 is not installed here: pip install gizmo==2.0 (Gizmo and g)" in done.err
    done = two_shells.run("import nbsnap\nr = nbsnap.restore(only='x', strict=True)\nprint(x, r.differs)")
    assert (done.out, done.err) == ("5 ()\n", "")


def test_what_a_class_needs_its_instances_need(two_shells, install):
    """Also where they alone are restored: the base of their class is in a package that is gone."""
    install("gizmo", "2.0")
    two_shells.save("import gizmo\nclass Mine(gizmo.Gizmo): pass\nm = Mine(1)\nx = 1")
    install("gizmo", None)
    two_shells.run("import nbsnap\nr = nbsnap.restore(only=['x'], strict=True)")
    done = two_shells.run("import nbsnap\nr = nbsnap.restore(only=['m'])\nprint([d.variables for d in r.differs])")
    assert done.out.splitlines()[-1] == "[('m',)]"
    assert "gizmo 2.0 is not installed here: pip install gizmo==2.0 (m)" in done.err


def test_strict_refuses_and_touches_nothing(two_shells, install):
    """With the lines in the error; nothing was loaded, and the namespace is as it was."""
    install("gizmo", "2.0", GIZMO + "print('loaded')")
    two_shells.save("from gizmo import Gizmo\ng = Gizmo(1)\nx = 5")
    install("gizmo", "3.0", GIZMO + "print('loaded')")
    done = two_shells.run(
        "import nbsnap\nx = 1\ntry: nbsnap.restore(strict=True)\n"
        "except nbsnap.StrictError as error: print(error)\nprint(x, 'g' in globals())"
    )
    assert done.out.splitlines() == [
        "nothing was restored, because it was saved in another environment:"
        " gizmo 3.0 is here, it was saved under 2.0 (Gizmo and g)",
        "1 False",
    ]


def test_files_of_the_project(two_shells, own_folder):
    """One that changed or is missing is named, with what needs it; one that nobody needs is not."""
    (own_folder / "helpers.py").write_text("from other import g\ndef f(): return 1\n")
    (own_folder / "other.py").write_text("def g(): return 1\n")
    package = own_folder / "project"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "models.py").write_text("class M: pass\n")
    two_shells.save("from helpers import f\nfrom project.models import M\nm = M()\nx = 1")
    done = two_shells.run("import nbsnap\nprint(nbsnap.restore(strict=True).ok, f())")
    assert (done.out, done.err) == ("True 1\n", "")
    (own_folder / "other.py").write_text("def g(): return 2\n")
    (package / "models.py").rename(package / "kinds.py")
    done = two_shells.run("import nbsnap\nnbsnap.restore()")
    assert done.err.splitlines()[1:] == [
        "  project/models.py cannot be found here: the module project.models (M and m)",
        "  other.py is not what it was: what comes back uses it as it is now",
    ]
    done = two_shells.run("import nbsnap\nprint(nbsnap.restore(only='x').differs)")
    assert (done.out, done.err) == ("()\n", "")


def test_a_project_that_was_moved(two_shells, shells_in, own_folder, tmp_path):
    """Its files are looked for where the restoring session is, also in folders that it had added to `sys.path`."""
    (own_folder / "lib").mkdir()
    (own_folder / "lib" / "helpers.py").write_text("class H: pass\n")
    two_shells.save("import sys, os\nsys.path.append(os.path.abspath('lib'))\nfrom helpers import H\nh = H()")
    moved = tmp_path / "elsewhere"
    own_folder.rename(moved)
    done = shells_in(moved).run(
        "import nbsnap\nr = nbsnap.restore(strict=True)\nprint(r.ok, r.differs, type(h).__name__)"
    )
    assert (done.out, done.err) == ("True () H\n", "")


def test_a_snapshot_of_before_is_compared_by_what_it_has(two_shells, install, own_folder):
    """Without the new tables, the list of packages tells as much as it can."""
    install("gizmo", "2.0")
    two_shells.save("from gizmo import Gizmo\ng = Gizmo(1)")
    install("gizmo", "3.0")
    two_shells.run(
        "import dataclasses, nbsnap\nfrom nbsnap import elsewhere\nfrom nbsnap.store import Store\n"
        "with Store.open('.nbsnap') as store: record = store.find('latest', None)\n"
        "old = dataclasses.replace(record, distributions=(), local=(), environment=())\n"
        "(found,) = elsewhere.differences(old, ['g', 'Gizmo'], trusted=True)\n"
        "assert (found.name, found.saved, found.here) == ('gizmo', '2.0', '3.0'), found"
    )


def test_another_machine(two_shells):
    """Another system, another order of bytes and another Python are told from the record."""
    two_shells.save("import array\nx = 1\na = array.array('d', [1.0])\nexec('def f(): return 1')")
    source = (
        "import dataclasses, nbsnap\nfrom nbsnap import elsewhere\nfrom nbsnap.store import Store\n"
        "with Store.open('.nbsnap') as store: record = store.find('latest', None)\n"
        "head = dataclasses.replace(record.head, python='3.9.1', platform='darwin-arm64')\n"
        "other = dataclasses.replace(record, head=head, environment=(('byteorder', 'big'),))\n"
        "for line in elsewhere.lines(elsewhere.differences(other, ['x', 'a', 'f'], trusted=True)): print(line)\n"
    )
    lines = two_shells.run(source).out.splitlines()
    assert (
        "it was saved under 3.9.1: functions without a text, of which it could make them, are left out (f)" in lines[0]
    )
    assert lines[1].endswith("the memory of other libraries than NumPy cannot be read (a)")
    assert lines[2].endswith("it was saved on darwin-arm64")


def test_a_dry_run_of_what_nobody_trusts_looks_into_no_folder_that_it_names(two_shells, tmp_path):
    """A record may be anybody's: what it says of `sys.path` is only followed where the snapshot may be loaded."""
    (tmp_path / "named").mkdir()
    (tmp_path / "named" / "plans.py").write_text("x = 1\n")
    two_shells.env["PYTHONPATH"] = str(tmp_path / "named")
    two_shells.save("import plans\ny = plans")
    del two_shells.env["PYTHONPATH"]
    source = f"""
import sys, dataclasses, nbsnap
from nbsnap import elsewhere
from nbsnap.store import Store
with Store.open('.nbsnap') as store: record = store.find('latest', None)
record = dataclasses.replace(record, environment=(*record.environment, ('sys.path', {str(tmp_path / "named")!r})))
met = []
def hook(event, told):
    if event in ('open', 'os.listdir') and 'named' in str(told): met.append(event)
sys.addaudithook(hook)
for trusted in (False, True):
    met.clear()
    print(len(elsewhere.differences(record, ['y'], trusted=trusted)), bool(met))
"""
    assert two_shells.run(source).out.splitlines() == ["1 False", "0 True"]


# --- the magic --------------------------------------------------------------------------------------------------------


SHELL = """
from IPython.core.interactiveshell import InteractiveShell
ip = InteractiveShell.instance()
ip.run_cell("%load_ext nbsnap")
"""


def test_the_magic_tells_it_too(two_shells, install):
    """In IPython it stands before the report; -v tells the slight ones, -q only the dangers; a dry run tells it."""
    install("gizmo", "2.0")
    install("wheel_of", "1.0", GIZMO)
    two_shells.run(
        SHELL + "ip.run_cell('import gizmo, wheel_of\\ng = gizmo.Gizmo(1)\\nw = wheel_of.Gizmo(1)\\n%snapshot -q')"
    )
    install("gizmo", "3.0")
    install("wheel_of", "1.0.1", GIZMO)
    ways = ("", "-v", "-q", "--dry-run", "--strict")
    cells = "".join(f"print('@@@')\nip.run_cell('%reset -f')\nip.run_cell('%restore {way}')\n" for way in ways)
    done = two_shells.run(SHELL + "import sys\nsys.stderr = sys.stdout\n" + cells + "print('g' in ip.user_ns)")
    plain, verbose, quiet, dry, strict = done.out.split("@@@")[1:]
    before, _, after = plain.partition("Restored")
    assert "gizmo 3.0 is here, it was saved under 2.0" in before
    assert "and 1 more (slight): %restore -v tells all" in before
    assert "gizmo" not in after
    assert "wheel_of 1.0.1 is here" in verbose
    assert "gizmo 3.0" not in quiet
    assert "gizmo 3.0" in dry.partition("Dry run")[0]
    assert "nothing was restored, because it was saved in another environment: gizmo 3.0" in strict
    assert strict.endswith("False\n")


def test_a_module_that_another_version_does_not_have(two_shells, install):
    """It is said that the version lacks it, and which one has it, not that the package is not installed."""
    folder = install("gizmo", "1.0")
    (folder / "gizmo.py").unlink()
    (folder / "gizmo").mkdir()
    (folder / "gizmo" / "__init__.py").touch()
    (folder / "gizmo" / "parts.py").write_text("class Part: pass\n")
    two_shells.save("import gizmo.parts\np = gizmo.parts.Part()\ndel gizmo")
    install("gizmo", "2.0")
    report, _ = two_shells.restore({})
    (failed,) = report["failed"]
    assert failed["reason"] == "needs the module gizmo.parts, which gizmo 2.0 does not have"
    assert failed["hint"] == "pip install gizmo==1.0"
