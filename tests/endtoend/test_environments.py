"""Two real environments, as if in two containers: other versions of NumPy and pandas, another home, user and path.

The older one is made by pip when this is first run, and kept in `.venv` as `dev.py` does; so are the packages of the
last test, which installs what `nbsnap env` wrote.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="POSIX paths of the interpreters")]

OLD = ("numpy==1.26.*", "pandas==2.2.*", "pyarrow==17.*")

SESSION = """
import numpy as np, pandas as pd
from helpers import double
ints = np.arange(6).reshape(2, 3); floats = np.linspace(0, 1, 20_000); swapped = np.array([1, 2], ">i4")
objects = np.array([1, "x", None], object); dates = np.array(["2026-01-01"], "M8[D]"); view = floats[3:9]
record = np.zeros(2, [("a", "i4"), ("b", "f8")]); masked = np.ma.array([1, 2], mask=[0, 1]); scalar = np.float32(1.5)
rng = np.random.default_rng(1); rng.random(3); bits = rng.bit_generator
legacy = np.random.RandomState(1); legacy.rand(3)
numbers = pd.DataFrame({0: [1, 2, 3], 1: [1.5, None, 2.5]}); typed = pd.Series(pd.array([1, None, 3], "Int64"))
sparse = pd.Series(pd.arrays.SparseArray([0, 0, 1])); periods = pd.period_range("2026-01", periods=3, freq="M")
stamp = pd.Timestamp("2026-01-01"); offset = pd.offsets.MonthEnd(); interval = pd.interval_range(0, 3)
frame = pd.DataFrame({"n": [1, 2], "t": ["x", None], "d": pd.date_range("2026-01-01", periods=2, tz="UTC")})
string = pd.Series(["a", None], dtype="string")
def total(x): return x[1].sum()
class Point:
    def __init__(self, x): self.x = np.asarray(x)
point = Point([1, 2])
"""

#: What must hold wherever it comes back.
EVERYWHERE = {
    "numbers": "ints.tolist() == [[0, 1, 2], [3, 4, 5]] and floats[-1] == 1 and scalar == np.float32(1.5)",
    "view": "view.base is floats or np.shares_memory(view, floats)",
    "swapped": "swapped.dtype.str == '>i4' and swapped.tolist() == [1, 2]",
    "objects": "objects.tolist() == [1, 'x', None] and str(dates[0]) == '2026-01-01'",
    "record": "record.dtype.names == ('a', 'b') and masked.sum() == 1",
    "generator": "rng.bit_generator is bits and rng.random() == np.random.Generator(np.random.PCG64(1)).random(4)[3]",
    "legacy": "legacy.rand() == np.random.RandomState(1).rand(4)[3]",
    "seeds": "rng.bit_generator.seed_seq.entropy == 1",
    "frame": "total(numbers) == 4.0 and numbers.describe().shape == (8, 2) and numbers.copy().assign(z=1).z.sum() == 3",
    "types": "typed.sum() == 4 and sparse.sum() == 1 and interval.get_indexer([1]).tolist() == [0]",
    "dates": "str((stamp + offset).date()) == '2026-01-31' and len(periods.to_timestamp()) == 3",
    "session": "isinstance(point, Point) and point.x.tolist() == [1, 2] and double(2) == 4",
}
#: And what does only where pandas is at least as new.
LATER = {
    "texts": "frame.t.tolist()[0] == 'x' and frame.t.isna().tolist() == [False, True]",
    "zone": "str(frame.d.dt.tz) == 'UTC' and frame.merge(frame, on='n').shape == (2, 5)",
    "string": "string.str.upper()[0] == 'A' and string.isna()[1]",
}


@dataclass
class Container:
    """A Python with packages, somebody's home, and a folder."""

    python: Path
    folder: Path
    user: str

    def run(self, source: str, *, notebook: str = "work") -> subprocess.CompletedProcess[str]:
        self.folder.mkdir(parents=True, exist_ok=True)
        home = self.folder.parent / f"home-{self.user}"
        home.mkdir(exist_ok=True)
        env = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "JUPYTER_"))}
        env |= {"HOME": str(home), "USER": self.user, "LOGNAME": self.user, "NBSNAP_NOTEBOOK": notebook}
        (self.folder / "cell.py").write_text(source)
        done = subprocess.run(
            [self.python, "cell.py"], cwd=self.folder, env=env, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def save(self, source: str = SESSION) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "helpers.py").write_text("def double(x): return 2 * x\n")
        self.run(f"{source}\nimport nbsnap\nassert nbsnap.snapshot().ok")

    def restore(self, checks: dict[str, str]) -> tuple[dict, str]:
        """Return the report with what does not hold in it, and what was told beforehand."""
        done = self.run(
            "import nbsnap\nr = nbsnap.restore(trust=True, notebook='work')\nimport numpy as np, json\nwrong = {}\n"
            f"for name, check in {checks!r}.items():\n"
            "    try:\n        if not eval(check): wrong[name] = 'is False'\n"
            "    except Exception as error: wrong[name] = repr(error)\n"
            "print('REPORT' + json.dumps({**r.to_dict(), 'wrong': wrong}))"
        )
        return json.loads(done.stdout.rpartition("REPORT")[2]), done.stderr

    def get(self, other: Container) -> None:
        """Take another's folder along."""
        shutil.copytree(other.folder, self.folder)


@pytest.fixture(scope="module")
def old_python() -> Path:
    """The Python of an environment with an older NumPy and pandas."""
    spec = importlib.util.spec_from_file_location("dev", ROOT / "dev.py")
    dev = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(dev)
    dev.VENVS.mkdir(exist_ok=True)
    fcntl = pytest.importorskip("fcntl")
    with (dev.VENVS / "old.lock").open("w") as lock:  # several workers of pytest begin at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        return dev.make_venv(f"old-{dev.RUNNING}", sys.executable, "-e", ".", *OLD)


@pytest.fixture
def ada(tmp_path: Path, old_python: Path) -> Container:
    return Container(old_python, tmp_path / "ada" / "project", "ada")


@pytest.fixture
def bob(tmp_path: Path) -> Container:
    return Container(Path(sys.executable), tmp_path / "srv" / "bob" / "work", "bob")


def test_to_a_newer_environment(ada, bob):
    """From NumPy 1 and pandas 2 to the newest: all of it comes back and can be used; the versions are told."""
    ada.save()
    bob.get(ada)
    report, told = bob.restore({**EVERYWHERE, **LATER})
    assert (report["failed"], report["wrong"]) == ([], {})
    assert "is here, it was saved under 1.26" in told
    assert "is here, it was saved under 2.2" in told
    assert {one["name"] for one in report["differs"] if one["degree"] == "danger"} == set()


def test_to_an_older_environment(ada, bob):
    """From the newest to NumPy 1 and pandas 2: told as dangers; what the old know comes back, the rest says why."""
    bob.save()
    ada.get(bob)
    report, told = ada.restore(EVERYWHERE)
    assert report["wrong"] == {}
    assert {skip["name"] for skip in report["failed"]} == {"frame", "string"}
    _, first, second = told.splitlines()[:3]
    assert "NumPy 1 does not know" in first
    assert "it does not know the types of a newer pandas" in second
    done = ada.run(
        "import nbsnap\nx = 1\ntry: nbsnap.restore(trust=True, strict=True, notebook='work')\n"
        "except nbsnap.StrictError as error: print(error)\nprint('ints' in globals())"
    )
    assert "nothing was restored, because it was saved in another environment: numpy 1.26" in done.stdout
    assert done.stdout.endswith("False\n")


def test_texts_of_arrow_as_pandas_2_names_them(ada):
    """`string[pyarrow_numpy]` of pandas 2.1 and 2.2 became a type with NaN under pandas 3: it comes back as it was."""
    ada.save("import pandas as pd\ntexts = pd.Series(['a', None], dtype='string[pyarrow_numpy]')")
    same = "texts.dtype == 'string[pyarrow_numpy]' and texts[0] == 'a' and np.isnan(texts[1])"
    report, told = ada.restore({"texts": same})
    assert (report["failed"], report["wrong"], told) == ([], {}, "")


def test_what_is_not_the_receiver_s_own_asks_first(ada, bob):
    """Another home has another key: nothing is loaded without --trust; a file of the project that changed is named."""
    ada.save("x = 1\nfrom helpers import double")
    bob.get(ada)
    done = bob.run("import nbsnap\ntry: nbsnap.restore(notebook='work')\nexcept nbsnap.TrustError as e: print('asked')")
    assert done.stdout == "asked\n"
    (bob.folder / "helpers.py").write_text("def double(x): return 3 * x\n")
    done = bob.run("import nbsnap\nr = nbsnap.restore(trust=True, notebook='work')\nprint(double(2))")
    assert done.stdout == "6\n"
    assert "helpers.py is not what it was: what comes back uses it as it is now (double)" in done.stderr


def test_the_environment_is_made_again(ada, tmp_path):
    """What `nbsnap env` writes is installed by pip into a new environment, in which everything comes back, strictly."""
    ada.save()
    file = ada.folder / "requirements.txt"
    ada.run(f"import nbsnap.cli\nassert nbsnap.cli.main(['env', '-o', {str(file)!r}]) == 0")
    assert [line.partition("==")[0] for line in file.read_text().splitlines() if line[0] != "#"] == ["numpy", "pandas"]
    made = tmp_path / "again"
    subprocess.run([sys.executable, "-m", "venv", made], check=True)
    python = made / "bin" / "python"
    # nbsnap is installed in editable mode there, which the file says in a comment
    command = [python, "-m", "pip", "install", "--quiet", "--no-compile", "-r", file, "-e", ROOT]
    subprocess.run(command, check=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    again = Container(python, tmp_path / "new" / "place", "carol")
    again.get(ada)
    done = again.run(
        "import nbsnap\nr = nbsnap.restore(trust=True, strict=True, notebook='work')\nprint(r.ok, r.differs)"
    )
    assert (done.stdout, done.stderr) == ("True ()\n", "")
