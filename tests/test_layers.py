"""The direction of the imports: objects in one half, bytes in the other, and all of it points down.

The table is the architecture. A module imports only from rows below its own; the two halves do not know each other
and meet in `saving` and `restoring`. An import counts wherever it stands: in a function, or under `if TYPE_CHECKING`.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import nbsnap

PACKAGE = Path(nbsnap.__file__).parent

# From the top down: CORE | STORAGE. A row without a bar is common to both halves.
LAYERS = """
    __init__ __main__
    magics
    cli attempt automatic explaining fresh rerunning since
    history saving restoring carrying recreating
    taking going
    opening refilling reports undoing verifying vouching
    elsewhere                    |
    environment living local portrait preview | repairing transfer
                                 | maintenance
    looking                      |
    capture rebuild remake       | store
                                 | pruning
    losses taken teams batches origins remade | writer later naming places archiver
    pickling                     | reader line archive earlier
                                 | zipform
    missed                       |
    reducers definitions holes withheld anew | pieces folder appending bucket
    surface                      |
    memory paths flat plain incode | packs backends claims uploads
                                 | mapping ahead cache objects
    unchanged                    |
    builders sharing refused structs beside | seen pages remote
    ordering namespace provenance placeholder cells abroad weight
    describe trusting installed codes
    startup profile host fleeting meter autosave lost firstline dangers
    render_history render_repair render_copy page bar
    render sheets differences
    glance layout tree sources streams calls
    wording manifest background answers keep masking signing
    keyline credentials
    quiet outfile pagemap theme remarks records thumbnail sieve keys tables
    deltas
    model digest progress arguments owners called carryline machine moved standards identity versions
    errors parts runs texts
"""

# Within a row, or upwards within a half: each with the reason why it stands.
EXCEPTIONS = {
    ("writer", "store"): "for an annotation: a writer belongs to its store, and the store makes it",
    ("earlier", "store"): "for an annotation: the store of a writer is what it asks",
    ("pruning", "store"): "for an annotation: a store prunes itself",
}

ONLY_MAGICS = {"IPython", "traitlets"}
PICKLERS = {"pickle", "_pickle", "cPickle", "shelve", "dill", "cloudpickle", "joblib", "marshal"}
HEAVY = {"numpy", "pandas", "scipy", "matplotlib", "sklearn", "torch", "polars", "pyarrow"}


def rows() -> dict[str, tuple[int, str]]:
    """Each module's row, counted from the bottom, and its half: "core", "storage" or "both"."""
    table = {}
    for row, line in enumerate(reversed(LAYERS.strip().splitlines())):
        halves = line.split("|")
        names = zip(("core", "storage"), halves, strict=True) if len(halves) == 2 else [("both", line)]
        for half, modules in names:
            table.update(dict.fromkeys(modules.split(), (row, half)))
    return table


ROWS = rows()


def imports(path: Path) -> tuple[set[str], set[str]]:
    """The modules of the package that a file or a folder of files imports, and the top-level names of all others."""
    if path.is_dir():
        found = [imports(file) for file in sorted(path.glob("*.py"))]
        return set().union(*(own for own, _ in found)) - {path.name}, set().union(*(foreign for _, foreign in found))
    inside = "" if path.parent == PACKAGE else f"{path.parent.name}."
    own: set[str] = set()
    foreign: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = (f"nbsnap.{inside}" if node.level else "") + (node.module or "")
            found = [base.rstrip(".")]
            if base.rstrip(".") == "nbsnap":  # `from nbsnap import store`, `from . import store`
                found = [f"nbsnap.{alias.name}" if alias.name in ROWS else "nbsnap" for alias in node.names]
        else:
            continue
        for name in found:
            top, _, rest = name.partition(".")
            if top == "nbsnap":
                own.add(rest.partition(".")[0] or "__init__")
            else:
                foreign.add(top)
    return own, foreign


MODULES = {path.stem: imports(path) for path in sorted([*PACKAGE.glob("*.py"), *PACKAGE.glob("[a-z]*/")])}


def below(module: str) -> set[str]:
    """The module and all of the package that it imports, directly or through others."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found and name != "__init__":  # __init__ imports on first use, by name
            found.add(name)
            waiting.extend(MODULES[name][0])
    return found


def test_every_module_has_its_place_in_the_table() -> None:
    """A new module is first given a row."""
    assert set(MODULES) <= set(ROWS), "not in LAYERS"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_down(module: str) -> None:
    """A module imports only from the rows below its own, and never from the other half."""
    row, half = ROWS[module]
    for other in sorted(MODULES[module][0] - {"__init__"}):
        if (module, other) in EXCEPTIONS:
            continue
        its_row, its_half = ROWS[other]
        assert its_row < row, f"{module} imports {other}, which is not below it"
        assert "both" in (half, its_half) or half == its_half, f"{module} ({half}) imports {other} ({its_half})"


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"magics"}))
def test_only_magics_knows_ipython(module: str) -> None:
    """All but one folder work, and can be tested, without IPython."""
    assert not MODULES[module][1] & ONLY_MAGICS


@pytest.mark.parametrize("module", sorted(MODULES))
def test_optional_libraries_are_never_imported_for_it(module: str) -> None:
    """Reducers know optional libraries by name; only a builder of that library's objects imports it."""
    assert not (MODULES[module][1] & HEAVY) or module == "builders"


@pytest.mark.parametrize("path", sorted((PACKAGE / "builders").glob("*.py")), ids=lambda path: path.stem)
def test_builders_import_only_the_library_that_they_are_for(path: Path) -> None:
    """A stream that calls `nbsnap.builders.torch` holds objects of torch, and of no other library."""
    assert imports(path)[1] & HEAVY <= {path.stem}


@pytest.mark.parametrize("front", ["cli", "store", "maintenance", "manifest", "render", "page", "host"])
def test_what_the_command_line_stands_on_cannot_unpickle(front: str) -> None:
    """The command line and all that it imports hold no pickler: they are safe on a store that nobody vouches for."""
    for module in below(front):
        assert not MODULES[module][1] & (PICKLERS | ONLY_MAGICS), f"{front} reaches {module}"


def test_reports_are_made_from_records_alone() -> None:
    """`render` reads the records, and says it by means of `layout`, `glance` and `wording`, which read nothing."""
    assert MODULES["render"][0] <= {"model", "errors", "layout", "wording", "glance"}
    assert MODULES["render_history"][0] <= {"model", "records", "layout", "wording"}
    assert not (MODULES["layout"][0] | MODULES["wording"][0]) - {"wording", "theme"}


def test_the_bottom_stands_on_nothing() -> None:
    """`errors` and `model` import nothing of the package but each other, downwards."""
    assert MODULES["errors"][0] == set()
    assert MODULES["model"][0] <= {"errors"}


def loaded_by(program: str) -> set[str]:
    """The modules that a fresh interpreter holds after a program."""
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys, json; print('\\n' + json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_nbsnap_loads_next_to_nothing() -> None:
    """`import nbsnap` alone loads neither a pickler nor IPython nor any module of its own but itself."""
    loaded = loaded_by("import nbsnap")
    assert not loaded & (PICKLERS - {"marshal"} | ONLY_MAGICS | HEAVY)
    assert {name for name in loaded if name.startswith("nbsnap")} == {"nbsnap"}


def test_the_command_line_starts_without_ipython_numpy_and_picklers(tmp_path: Path) -> None:
    """Running `nbsnap list` and `nbsnap check` for real loads none of them, not even through a dependency."""
    words = "(['list', '--help'], ['list', '--store', 'none'], ['check', '--store', 'none'])"
    program = f"import nbsnap.cli\nfor words in {words}:\n"
    loaded = loaded_by(program + "    try: nbsnap.cli.main(words)\n    except SystemExit: pass")
    assert "nbsnap.cli" in loaded
    assert not loaded & (PICKLERS - {"marshal"} | ONLY_MAGICS | HEAVY)


@pytest.mark.skipif(sys.platform == "win32", reason="paths")
def test_the_extension_loads_no_heavy_library() -> None:
    """`%load_ext nbsnap` in IPython imports no numpy, no pandas and no dill."""
    loaded = loaded_by(
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\nshell.run_line_magic('load_ext', 'nbsnap')"
    )
    assert "nbsnap.magics.shell" in loaded
    assert not loaded & {f"nbsnap.magics.{name}" for name in ("saving", "restoring", "history", "completing")}
    assert not loaded & {"nbsnap.saving", "nbsnap.restoring", "nbsnap.store", "nbsnap.render"}
    assert not loaded & (HEAVY | {"dill"})
