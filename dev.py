#!/usr/bin/env python3
"""Everything a fresh machine needs, from nothing but Python 3.11 or later and pip.

    python3 dev.py example    set up, then run the main job on examples/quickstart.ipynb: snapshot, SIGKILL, restore
    python3 dev.py test       set up, then pass the tests: ruff, mypy, pytest, and the core on the other Pythons found
    python3 dev.py ci         what else the continuous integration runs: real kernels, slow tests, JupyterLab in a
                              browser, the built wheel, oldest versions, fronts and store on the other Pythons, objects
                              of forty libraries, notebooks of other packages
    python3 dev.py bench …    set up, then measure nbsnap beside dill, cloudpickle and joblib; `bench --help` says more

Virtual environments, the cache of downloads and every other file go into `.venv/` of this checkout, which git
ignores, or into temporary folders. The interpreter's own packages, the home folder and the IPython profile in it are
neither read nor written. A second run reuses what the first one installed as long as `pyproject.toml` is the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENVS = ROOT / ".venv"
SUPPORTED = ("3.11", "3.12", "3.13")
RUNNING = f"{sys.version_info[0]}.{sys.version_info[1]}"

#: The tests of every day: without those that take long, need libraries that nobody else needs, a browser, or a GPU.
QUICK = "not slow and not soak and not heavy and not foreign and not browser and not cuda"
CORE_SUITES = ("tests/core", "tests/test_messy.py", "tests/endtoend/test_plain.py")
#: What knows no objects of the user's: on the oldest and the newest Python, and not on those between.
STORE_SUITES = ("tests/storage",)
#: Random sessions, which take as long as the rest of the core: on the oldest and the newest Python, too.
RANDOM_SUITES = ("tests/core/test_graphs.py", "tests/core/test_random_differences.py")
#: What a Python between the oldest and the newest runs of the fronts.
KERNEL_SUITES = tuple(f"tests/endtoend/test_{n}.py" for n in ("kernel", "startup"))
#: What depends on versions of IPython and ipykernel most.
SHELL_SUITES = (
    "tests/fronts",
    *KERNEL_SUITES,
    *(f"tests/endtoend/test_{n}.py" for n in ("attempt", "autosnapshot")),
)

#: What depends on the version of Python too: bytecode, text of classes, processes of their own.
LANGUAGE_SUITES = tuple(
    f"tests/endtoend/test_{n}.py"
    for n in ("background", "history", "interrupt", "rerun", "secrets", "trust", "undo", "verify")
)
#: What depends on the versions of the libraries that nbsnap is made of.
PART_SUITES = (
    *(f"tests/core/test_{n}.py" for n in ("classes", "failures", "found", "objects", "skips", "standard")),
    *(f"tests/storage/test_{n}.py" for n in ("backends", "line", "manifest")),
    "tests/endtoend/test_plain.py",
)

FORGIVEN = 4  # so many tests may pass at the second try only
TESTS_FAILED = 1  # what pytest exits with then; with others where it was interrupted, or went wrong itself

# The lower bounds of pyproject.toml, and the oldest front end that is supported.
OLDEST = (
    "ipython==8.18.*",
    "ipykernel==6.29.*",
    "dill==0.3.8",
    "cloudpickle==3.0.*",
    "blake3==0.4.*",
    "xxhash==3.4.*",
    "zstandard==0.22.*",
)

# What pip says when the network, not the request, was at fault: worth another try.
PASSING_TROUBLE = re.compile(
    r"timed? ?out|temporary failure|connection (?:reset|aborted|refused|broken|error)|incompleteread|protocolerror"
    r"|remote end closed|max retries|ssl.*eof|\b(?:429|500|502|503|504)\b",
    re.IGNORECASE,
)


class Failed(Exception):
    """A step that did not pass; the message is for the person at the terminal."""


def say(text: str) -> None:
    """Print one line of dev.py's own, apart from what the steps print, with the minutes that have gone by."""
    print(f"\n== {time.monotonic() - _STARTED:.0f} s: {text}", flush=True)


_STARTED = time.monotonic()


def environment() -> dict[str, str]:
    """The caller's environment, less what would let other Pythons' packages in or have every import compile anew."""
    unwanted = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    kept["PYTHONNOUSERSITE"] = "1"
    kept["PYTHONPYCACHEPREFIX"] = str(VENVS / "pycache")
    kept["PIP_CACHE_DIR"] = os.environ.get("PIP_CACHE_DIR", str(VENVS / "pip-cache"))
    kept["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    return kept


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    """Run a command in the open: its output is the user's to read."""
    words = [str(word) for word in command]
    if subprocess.run(words, cwd=cwd, env=environment(), check=False).returncode:
        raise Failed("failed: " + " ".join(words))


def run_tests(python: Path, *arguments: str) -> None:
    """Run pytest, two tests at a time; what fails is run once more by itself.

    A busy machine may upset who looks at a clock. What passes only then is said aloud, so that somebody looks into it,
    and more than FORGIVEN are no accident. Nothing is forgiven to a run that did not come to its end.
    """
    cache = Path(tempfile.mkdtemp(prefix="nbsnap-pytest-"))
    command = [str(python), "-m", "pytest", "-q", "-o", f"cache_dir={cache}", "-n", "2", *arguments]
    try:
        code = subprocess.run(command, cwd=ROOT, env=environment(), check=False).returncode
        known = cache / "v" / "cache" / "lastfailed"
        failed = json.loads(known.read_text()) if code == TESTS_FAILED and known.exists() else {}
        if code and not 0 < len(failed) <= FORGIVEN:
            raise Failed("failed: " + " ".join(command))
        if code:
            say("what failed, once more")
            run(*command, "-n", "0", "--last-failed")
            say("UNSTEADY: passed at the second try: " + ", ".join(failed))
    finally:
        shutil.rmtree(cache, ignore_errors=True)


def pip(python: Path, *arguments: str | Path, tries: int = 4) -> None:
    """Run pip quietly; try again, a little later each time, when the network failed for a moment."""
    command = [str(python), "-m", "pip", *map(str, arguments)]
    for attempt in range(1, tries + 1):
        done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        told = done.stdout + done.stderr
        if attempt == tries or not PASSING_TROUBLE.search(told):
            print(told, flush=True)
            raise Failed("failed: " + " ".join(command))
        print(f"   the network failed for a moment; try {attempt + 1} of {tries} in {5 * attempt} s", flush=True)
        time.sleep(5 * attempt)


def make_venv(name: str, interpreter: str | Path, *wanted: str | Path) -> Path:
    """Return the Python of the virtual environment `.venv/NAME` with `wanted` installed into it.

    A stamp beside it holds the hash of what was asked for; the same again costs nothing, anything else starts anew.
    """
    folder = VENVS / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "nbsnap-stamp"
    asked = (ROOT / "pyproject.toml").read_bytes() + "\n".join(map(str, (interpreter, *wanted))).encode()
    mark = hashlib.sha256(asked).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == mark:
        say(f"using .venv/{name}")
        return python
    say(f"setting up .venv/{name}: {' '.join(map(str, wanted))}")
    started = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    if str(interpreter) == sys.executable:
        venv.create(folder, with_pip=True)
    else:
        run(interpreter, "-m", "venv", folder)
    pip(python, "install", "--quiet", "--no-compile", *wanted)  # most modules are never imported here
    stamp.write_text(mark)
    print(f"   ready after {time.monotonic() - started:.0f} s", flush=True)
    return python


def version_of(interpreter: Path) -> str:
    """`3.12` for an interpreter that starts, "" for one that does not (a launcher that points nowhere)."""
    ask = "import sys; print('%d.%d' % sys.version_info[:2], sys.implementation.name)"
    try:
        done = subprocess.run([interpreter, "-c", ask], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    version, _, kind = done.stdout.strip().partition(" ")
    return version if done.returncode == 0 and kind == "cpython" else ""


def find_python(version: str) -> Path | None:
    """A CPython of that version: beside the running one (as version managers lay them out), or on PATH."""
    beside = sorted(Path(sys.base_prefix).parent.glob(f"*{version}*/bin/python{version}"), reverse=True)
    on_path = shutil.which(f"python{version}")
    for candidate in [*beside, *([Path(on_path)] if on_path else [])]:
        if version_of(candidate) == version:
            return candidate
    return None


def example() -> None:
    """Run the main job on the quickstart notebook, in real kernels."""
    python = make_venv(f"example-{RUNNING}", sys.executable, "-e", ".[example]")
    run(python, ROOT / "examples" / "run.py", ROOT / "examples" / "quickstart.ipynb")


def test() -> None:
    """Lint, types, the quick suites here but for real kernels, and those of the core on the other Pythons."""
    found = {version: find_python(version) for version in SUPPORTED if version != RUNNING}
    others = {version: interpreter for version, interpreter in found.items() if interpreter is not None}
    with ThreadPoolExecutor(max_workers=2) as pool:  # pip waits for the network half of the time
        main_venv = pool.submit(make_venv, f"dev-{RUNNING}", sys.executable, "-e", ".[dev]")
        venvs = {v: pool.submit(make_venv, f"test-{v}", others[v], "-e", ".[test]") for v in others}
    python = main_venv.result()
    say("ruff")
    run(python, "-m", "ruff", "check", ".")
    run(python, "-m", "ruff", "format", "--check", ".")
    say("mypy")
    run(python, "-m", "mypy")
    say(f"pytest on Python {RUNNING}")
    chosen = f"{QUICK} and not kernel"
    if missing := sorted(set(found) - set(others)):
        chosen += " and not pythons"
        say(f"a snapshot is NOT taken from one Python to another (tests/endtoend/test_pythons.py): no {missing}")
    os.environ["NBSNAP_PYTHONS"] = os.pathsep.join(f"{v}={venvs[v].result()}" for v in others)
    run_tests(python, "-m", chosen)
    with ThreadPoolExecutor(max_workers=2) as pool:
        for outcome in [pool.submit(test_on, version, venvs[version].result()) for version in others]:
            print(outcome.result(), flush=True)
    for version in sorted(set(found) - set(others)):
        say(f"Python {version} was not found beside {sys.base_prefix} nor on PATH: NOT tested on it")


def test_on(version: str, python: Path) -> str:
    """Run the suites of the core on another Python; return what pytest said, or raise with it."""
    say(f"pytest on Python {version}: started")
    without = (f"--ignore={file}" for file in RANDOM_SUITES)
    command = [str(python), "-m", "pytest", "-q", "-m", QUICK, *CORE_SUITES, *without]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    told = f"\n== pytest on Python {version}\n{done.stdout}{done.stderr}"
    if done.returncode:
        print(told, flush=True)
        raise Failed(f"the tests on Python {version}")
    return told


def ci() -> None:
    """Kernels, slow tests, a browser, the wheel as a user has it, oldest versions, other Pythons, libraries."""
    python = make_venv(f"dev-{RUNNING}", sys.executable, "-e", ".[dev]")
    say("real kernels")
    run_tests(python, "-m", f"{QUICK} and kernel")
    say("the slow tests")
    run_tests(python, "-m", "slow and not soak and not heavy and not foreign and not browser and not cuda")
    check_browser()
    check_wheel(python)
    oldest = make_venv(f"oldest-{RUNNING}", sys.executable, "-e", ".[test]", *OLDEST)
    say("the oldest versions promised: " + " ".join(OLDEST))
    run_tests(oldest, "-m", QUICK, *PART_SUITES, *SHELL_SUITES)
    for version in SUPPORTED:
        if version != RUNNING and (interpreter := find_python(version)) is not None:
            other = make_venv(f"test-{version}", interpreter, "-e", ".[test]")
            if version == SUPPORTED[-1]:
                say(f"fronts, the store and random sessions on Python {version}")
                run_tests(other, "-m", QUICK, *SHELL_SUITES, *LANGUAGE_SUITES, *STORE_SUITES, *RANDOM_SUITES)
            else:
                say(f"real kernels on Python {version}")
                run_tests(other, "-m", QUICK, *KERNEL_SUITES)
    check_libraries()


def bench(arguments: Sequence[str] = ()) -> None:
    """Measure, in an environment that limits nothing: neither the threads of NumPy nor the caches of imports."""
    python = make_venv(f"bench-{RUNNING}", sys.executable, "-e", ".[bench]")
    run(python, "-m", "benchmarks", *arguments)


def check_browser() -> None:
    """Run a notebook through JupyterLab's page, if there is a Chromium, or one can be installed."""
    known = ("chromium", "chromium-browser", "google-chrome", "chrome")
    if not any(map(shutil.which, known)) and shutil.which("apt-get") and os.geteuid() == 0:
        say("installing Chromium")
        for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            subprocess.run(["apt-get", "-q", *command], stdout=subprocess.DEVNULL, check=False)
    if not any(map(shutil.which, known)):
        say("no Chromium was found: JupyterLab's page is NOT tested")
        return
    python = make_venv(f"browser-{RUNNING}", sys.executable, "-e", ".[browser]")
    say("JupyterLab in a browser")
    run_tests(python, "-n", "0", "-m", "browser")


def check_libraries() -> None:
    """Save and restore objects of real libraries, and cut notebooks of other packages after every cell."""
    python = make_venv(f"libraries-{RUNNING}", sys.executable, "-e", ".[test,libraries,notebooks]")
    say("objects of real libraries")
    run_tests(python, "-m", "heavy")
    say("notebooks of other packages, cut after every cell")
    run_tests(python, "-m", "foreign")


def check_wheel(python: Path) -> None:
    """Build the wheel, install it alone in a clean environment, and save and restore with it in two processes."""
    say("the wheel, in a clean environment")
    with tempfile.TemporaryDirectory(prefix="nbsnap-wheel-") as name:
        scratch = Path(name)
        pip(python, "wheel", "--quiet", "--no-deps", "--wheel-dir", scratch, ROOT)
        (wheel,) = scratch.glob("nbsnap-*.whl")
        clean = scratch / "clean"
        run(sys.executable, "-m", "venv", clean)
        scripts = clean / ("Scripts" if os.name == "nt" else "bin")
        pip(scripts / "python", "install", "--quiet", wheel)
        work = scratch / "work"
        work.mkdir()
        save = "import nbsnap; x = {'answer': 42}; y = x; f = lambda: x['answer']; assert nbsnap.snapshot().ok"
        load = "import nbsnap; assert nbsnap.restore().ok; assert y is x; x = {'answer': 43}; assert f() == 43"
        run(scripts / "python", "-I", "-c", save, cwd=work)
        run(scripts / "python", "-I", "-c", load, cwd=work)
        run(scripts / "nbsnap", "list", cwd=work)
        run(scripts / "nbsnap", "check", cwd=work)
        print(f"   {wheel.name}: {wheel.stat().st_size:,} bytes", flush=True)


COMMANDS = {"example": example, "test": test, "ci": ci, "bench": bench}


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the one argument, run the command, tell how long it took."""
    if sys.version_info < (3, 11):
        print(f"Python 3.11 or later is needed; this is {sys.version.split()[0]}", file=sys.stderr)
        return 2
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=sorted(COMMANDS))
    words = list(sys.argv[1:] if arguments is None else arguments)
    rest = words[1:] if words[:1] == ["bench"] else []  # its own to parse
    command = parser.parse_args(words[: len(words) - len(rest)]).command
    started = time.monotonic()
    try:
        if command == "bench":
            bench(rest)
        else:
            COMMANDS[command]()
    except Failed as problem:
        say(f"{command}: {problem}")
        return 1
    except KeyboardInterrupt:
        say(f"{command}: interrupted")
        return 130
    say(f"{command}: passed in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
