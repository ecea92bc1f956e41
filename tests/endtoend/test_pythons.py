"""Another Python: a session saved by each of 3.11, 3.12 and 3.13, restored by each other one, in fresh processes.

What runs the other Pythons has nbsnap and the test requirements installed. `dev.py test` hands them over in
NBSNAP_PYTHONS, and leaves this file out, with a line, where one is not there; by hand, those are taken that it has made
in `.venv`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from core.test_objects import ROWS as OBJECTS
from core.test_standard import RAISED
from core.test_standard import ROWS as STANDARD

pytestmark = pytest.mark.pythons

ROOT = Path(__file__).resolve().parents[2]
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
VERSIONS = ("3.11", "3.12", "3.13")

SAVE = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.history_manager.enabled = False
import json, nbsnap
for cell in json.loads(sys.argv[1]):
    shell.run_cell(cell, store_history=True).raise_error()
print("REPORT" + nbsnap.snapshot(shell.user_ns, store="store", notebook="n").to_json())
"""
RESTORE = """
import json, nbsnap, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.history_manager.enabled = False
report = nbsnap.restore(namespace=shell.user_ns, store="store", notebook="n")
wrong = {}
for check in json.loads(sys.argv[1]):
    try:
        if not eval(check, shell.user_ns): wrong[check] = "is False"
    except Exception as error: wrong[check] = f"{type(error).__name__}: {error}"
print("REPORT" + json.dumps([report.to_dict(), wrong]))
"""
SCRIPT = """
import json, nbsnap
__report__ = nbsnap.restore()
def __look__(checks, names, wrong):
    for check in checks:
        try:
            if not eval(check, names): wrong[check] = "is False"
        except Exception as error: wrong[check] = f"{type(error).__name__}: {error}"
    return wrong
print("REPORT" + json.dumps([__report__.to_dict(), __look__(%r, globals(), {})]))
"""


def number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def interpreter(version: str) -> str:
    """Return what runs nbsnap under a version of Python."""
    if version == HERE:
        return sys.executable
    told = dict(item.split("=", 1) for item in os.environ.get("NBSNAP_PYTHONS", "").split(os.pathsep) if item)
    made = [ROOT / ".venv" / f"{kind}-{version}" / "bin" / "python" for kind in ("test", "dev")]
    found = told.get(version) or next((str(path) for path in made if path.exists()), None)
    if found is None:
        pytest.fail(f"no Python {version} with nbsnap is known: `python3 dev.py test` makes one (or -m 'not pythons')")
    return found


def run(version: str, source: str, *arguments: str) -> Any:
    """Run a program under a version of Python; return what it has reported."""
    Path("session.py").write_text(source, encoding="utf-8")
    command = [interpreter(version), "-W", "error", "session.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{version}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return json.loads(done.stdout.rpartition("REPORT")[2])


def cells() -> list[tuple[str, str, list[str]]]:
    """Return (the Python that it needs, cell, what holds afterwards) of each cell of `pythons.txt`."""
    found = []
    _, *parts = Path(__file__).with_name("pythons.txt").read_text(encoding="utf-8").split("\n# %% ")
    for part in parts:
        title, _, text = part.partition("\n")
        lines = text.splitlines()
        cell = "\n".join(line for line in lines if not line.startswith("#> "))
        needs = title.partition(" @ ")[2] or VERSIONS[0]
        found.append((needs, cell, [line[3:] for line in lines if line.startswith("#> ")]))
    return found


#: What holds wherever it is restored, though the cells' own checks may not.
ALWAYS = {
    "3.11": ["holder['rows'] == [1, 2] and un.v == [5] and type(un) is Untold and Untold.size == 3"],
    "3.12": ["old_beside(1) == 2 and al['data'] == [1] and type(stack) is Stack"],
    "3.13": ["old_again() == 5"],
}


@pytest.mark.parametrize("saver", VERSIONS)
def test_functions_and_classes_are_compiled_anew(saver: str) -> None:
    """What a notebook defines comes back under each other Python; what cannot is told by name, and costs itself."""
    table = [(needs, cell, checks) for needs, cell, checks in cells() if number(needs) <= number(saver)]
    saved = run(saver, SAVE, json.dumps([cell for _, cell, _ in table]))
    assert [skip["name"] for skip in saved["skipped"]] == ["token"]
    Path("made.py").unlink()  # the script of `%run`: it need not be there
    for loader in VERSIONS:
        if loader == saver:
            continue
        checks = [one for needs, _, checks in table if number(needs) <= number(loader) for one in checks]
        checks += [one for needs, checks in ALWAYS.items() if number(needs) <= number(saver) for one in checks]
        report, wrong = run(loader, RESTORE, json.dumps(checks))
        assert wrong == {}, f"{saver} -> {loader}"
        newer = saver != "3.11" and loader == "3.11"
        assert {skip["name"] for skip in report["failed"]} == {"untold"} | (
            {"Alias", "first", "nested"} if newer else set()
        )
        partly = {"Untold.go", "holder['fn']", "maps[0][0]"} | ({"Stack.push", "al['alias']"} if newer else set())
        assert {skip["path"] for skip in report["partly"]} == partly | ({"Def.me"} if saver == "3.13" else set())
        told = rf"saved by Python {saver}: \d\d functions and 2\d classes were compiled anew from their text"
        assert re.fullmatch(told, report["notes"][0])
        why = {skip["name"]: skip["reason"] for skip in report["failed"]}
        assert why["untold"] == f"it was made under Python {saver}, and its text is not known"
        if newer:
            needed = "3.12" if saver == "3.12" else "3.12 or 3.13"
            assert why["first"].startswith(f"it was made under Python {saver}, and its text needs Python {needed}: ")


@pytest.mark.parametrize("saver", VERSIONS)
def test_everyday_objects_travel(saver: str) -> None:
    """All that the tables of the core hold, defined in a script, comes back under each other Python."""
    for rows, before in ((OBJECTS, ""), (STANDARD, RAISED)):
        source = before + "\n".join(declare for _, declare, _ in rows)
        saved = run(saver, f"{source}\nimport nbsnap\nprint('REPORT' + nbsnap.snapshot().to_json())")
        assert saved["skipped"] == []
        checks = [check for _, _, held in rows for check in held]
        for loader in VERSIONS:
            if loader != saver:
                report, wrong = run(loader, SCRIPT % checks)
                assert wrong == {}, f"{saver} -> {loader}"
                assert report["failed"] == report["partly"] == []
