"""What every test stands on: a home of its own, real kernels, and pairs of processes.

No test reads or writes the user's home, IPython profile, Jupyter folders or store: the environment is replaced before
any test runs, for this process and so for all that it starts. Two ways of "save here, restore there" are offered:

- `kernel_pair`: real ipykernels in one folder, as many as the test starts, the first ones usually killed with SIGKILL;
- `two_shells`: plain Python processes in one folder, namespace `__main__`; a tenth of the price.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from kernels import Kernel

# The same examples at each run, so that nobody's change fails for what was there before; NBSNAP_RANDOM=1 looks further.
settings.register_profile("steady", derandomize=True, database=None, deadline=None)
settings.register_profile("random", deadline=None)
settings.load_profile("random" if os.environ.get("NBSNAP_RANDOM") else "steady")

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"

# A user's settings that must not reach a test.
FOREIGN = (
    "NBSNAP_STORE",
    "JPY_SESSION_NAME",
    "JPY_PARENT_PID",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONINSPECT",
    "VSCODE_PID",
)


@pytest.fixture(scope="session", autouse=True)
def private_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give this process and its children a home folder, IPython profile, Jupyter folders and caches of their own."""
    home = tmp_path_factory.mktemp("home")
    patch = pytest.MonkeyPatch()
    for name in FOREIGN:
        patch.delenv(name, raising=False)
    places = {
        "HOME": "",
        "USERPROFILE": "",
        "IPYTHONDIR": "ipython",
        "JUPYTER_CONFIG_DIR": "jupyter/config",
        "JUPYTER_DATA_DIR": "jupyter/data",
        "JUPYTER_RUNTIME_DIR": "jupyter/runtime",
        "XDG_CACHE_HOME": "cache",
        "XDG_CONFIG_HOME": "config",
        "XDG_DATA_HOME": "data",
        "XDG_STATE_HOME": "state",
        "MPLCONFIGDIR": "matplotlib",
    }
    for name, place in places.items():
        folder = home / place
        folder.mkdir(parents=True, exist_ok=True)
        patch.setenv(name, str(folder))
    patch.setenv("PYTHONNOUSERSITE", "1")
    patch.setenv("MPLBACKEND", "Agg")
    patch.setenv("OMP_NUM_THREADS", "1")
    patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    patch.setenv("TERM", "xterm")
    patch.setenv("COLUMNS", "120")
    yield home
    patch.undo()


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run every test in a folder of its own, so that a default store never appears anywhere else."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


class KernelPair:
    """Kernels that follow one another in one folder, for one notebook. All are ended when the test is over."""

    def __init__(self, folder: Path, notebook: str) -> None:
        self.folder = folder
        self.notebook = notebook
        self.started: list[Kernel] = []

    def start(
        self, *, load: bool = True, notebook: str | None = None, folder: Path | None = None, **more: Any
    ) -> Kernel:
        """A fresh kernel, with nbsnap loaded unless told otherwise."""
        from kernels import Kernel

        kernel = Kernel(folder or self.folder, notebook=notebook or self.notebook, **more)
        self.started.append(kernel)
        if load:
            kernel.run("%load_ext nbsnap")
        return kernel

    def restart(self, *, load: bool = True) -> Kernel:
        """SIGKILL the newest kernel and start another in its place."""
        self.started[-1].kill()
        return self.start(load=load)

    def close(self) -> None:
        """End every kernel."""
        for kernel in self.started:
            kernel.close()


@pytest.fixture
def kernel_pair(own_folder: Path) -> Iterator[KernelPair]:
    """Real ipykernels: `start()`, run cells, `restart()` kills with SIGKILL and starts a fresh one."""
    pair = KernelPair(own_folder, str(own_folder / "work.ipynb"))
    yield pair
    pair.close()


#: One row of a table: what it is about, what a user types, expressions that are true in the session restored.
Row = tuple[str, str, list[str]]


@dataclass
class Ended:
    """A process that has run to its end."""

    code: int
    out: str
    err: str


@dataclass
class Shells:
    """Plain Python processes in one folder, each running what a user would type, in `__main__`."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def run(self, source: str, *arguments: str, ok: bool = True, timeout: float = 120.0) -> Ended:
        """Run a program in a fresh process; fail the test when it fails, unless `ok` is False."""
        script = self.folder / "session.py"  # one name for all: a store keeps snapshots by notebook or script
        script.write_text(source, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, str(script), *arguments],
            cwd=self.folder,
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if ok and done.returncode:
            pytest.fail(f"exit code {done.returncode}\n{source}\n{done.stdout}\n{done.stderr}", pytrace=False)
        return Ended(done.returncode, done.stdout, done.stderr)

    def save(self, source: str, call: str = "nbsnap.snapshot()") -> dict[str, Any]:
        """Run `source`, take a snapshot, end. Returns the report as a dict."""
        done = self.run(f"{source}\nimport nbsnap\nprint('\\nREPORT' + {call}.to_json())\n")
        return json.loads(done.out.rpartition("\nREPORT")[2])

    def restore(self, checks: dict[str, str], call: str = "nbsnap.restore()") -> tuple[dict[str, Any], dict[str, str]]:
        """Restore in a fresh process, then evaluate each check there, apart from the others.

        Returns the report as a dict, and of each check that does not hold what happened.
        """
        done = self.run(
            "import nbsnap\n"
            f"__report__ = {call}\n"
            "def __look__(checks, names):\n"
            "    wrong = {}\n"
            "    for check, source in checks.items():\n"
            "        try:\n"
            "            if not eval(source, names): wrong[check] = 'is False: ' + source\n"
            "        except Exception as error: wrong[check] = f'{type(error).__name__}: {error}'\n"
            "    return wrong\n"
            f"__wrong__ = __look__({checks!r}, globals())\n"
            "import json\n"
            "print('\\nREPORT' + json.dumps([__report__.to_dict(), __wrong__]))\n"
        )
        report, wrong = json.loads(done.out.rpartition("\nREPORT")[2])
        return report, wrong

    def holds(self, rows: Sequence[Row], engine: str, before: str = "") -> None:
        """Save what all rows of a table declare, with that engine, and fail where one does not hold afterwards."""
        source = before + "\n".join(declare for _, declare, _ in rows)
        report = self.save(source, f"nbsnap.snapshot(engine={engine!r})")
        assert report["skipped"] == []
        restored, wrong = self.restore({f"{name}: {check}": check for name, _, held in rows for check in held})
        assert restored["failed"] == []
        assert wrong == {}


@pytest.fixture
def two_shells(own_folder: Path) -> Shells:
    """Plain Python processes: `save(source)` in one, `restore(checks)` in another."""
    return Shells(own_folder)


@pytest.fixture
def shells_in() -> Callable[[Path], Shells]:
    """`two_shells` for a folder of the test's own choice."""
    return Shells
