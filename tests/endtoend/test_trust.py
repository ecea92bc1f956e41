"""Who has made a snapshot: saved in one process and home, restored in another process with another user's home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbsnap
from nbsnap import manifest

#: A session whose snapshot leaves a mark when it is loaded, and an input cell that leaves one when it is run again.
MAKE = """
import pathlib
class Marks:
    def __init__(self): self.text = 'mine'
    def __reduce__(self): return (pathlib.Path('loaded').write_text, ('loaded',))
x = [1, 2]
mark = Marks()
"""


def home(folder: Path, name: str) -> dict[str, str]:
    """The environment of another user: all the places in which a key may lie."""
    place = folder.parent / f"home of {name}"
    (place / "jupyter").mkdir(parents=True, exist_ok=True)
    places = {"HOME": "", "USERPROFILE": "", "XDG_DATA_HOME": "data", "JUPYTER_DATA_DIR": "jupyter"}
    return {key: str(place / part) for key, part in places.items()}


@pytest.fixture
def as_user(own_folder: Path, shells_in: Callable[[Path], Any]) -> Callable[[str], Any]:
    """Plain Python processes of one folder, each with the home of the user that is named."""

    def shells(name: str) -> Any:
        found = shells_in(own_folder)
        found.env = home(own_folder, name)
        return found

    return shells


REFUSED = """
import nbsnap
try:
    {call}
except nbsnap.TrustError as error:
    import json, os
    print('REFUSED' + json.dumps([str(error), error.trust, error.exit_code, [v.name for v in error.snapshot.variables],
        list(error.refers), os.path.exists('loaded'), 'x' in globals()]))
"""


def refused(shells: Any, call: str = "nbsnap.restore()") -> list[Any]:
    done = shells.run(REFUSED.format(call=call))
    assert "REFUSED" in done.out, done.out + done.err
    found: list[Any] = json.loads(done.out.partition("REFUSED")[2])
    return found


def command(folder: Path, env: dict[str, str], *words: str, code: int = 0) -> str:
    """Run `nbsnap WORDS…` as a user."""
    done = subprocess.run(
        [sys.executable, "-m", "nbsnap", *words],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_own_snapshots_restore_in_other_processes(as_user: Any) -> None:
    """What this user has made comes back without a word, also when it was written in the background."""
    ada = as_user("ada")
    ada.save("x = [1, 2]")
    report, wrong = ada.restore({"x": "x == [1, 2]"})
    assert not wrong
    assert report["trust"] == "own"
    assert report["notes"] == []
    ada.run("x = 3\nimport nbsnap\nnbsnap.snapshot(background=True)\nassert len(nbsnap.wait()) == 1")
    report, wrong = ada.restore({"x": "x == 3"})
    assert not wrong
    assert report["trust"] == "own"


def test_another_users_snapshot_is_shown_and_not_loaded(as_user: Any, own_folder: Path) -> None:
    """TrustError says so, and tells what is inside; nothing has run, and nothing is bound."""
    as_user("ada").save(MAKE)
    (own_folder / "loaded").unlink(missing_ok=True)
    said, trust, code, names, refers, loaded, bound = refused(as_user("eve"))
    assert "was not made by you" in said
    assert "not known here" in said
    assert "trust=True" in said
    assert (trust, code, loaded, bound) == ("unknown", 9, False, False)
    assert {"x", "mark"} <= set(names)
    assert any("nbsnap.builders.standard: path" in line for line in refers)


def test_a_strange_snapshot_called_like_an_id_of_ones_own(as_user: Any, own_folder: Path) -> None:
    """Who can write into the store gives a snapshot the name of the id of yours: it is not the one that is verified."""
    ada, eve = as_user("ada"), as_user("eve")
    id = ada.run("x = [1]\nimport nbsnap\nprint(nbsnap.snapshot(notebook='n', store='st').id)").out.strip()
    eve.run(MAKE + f"import nbsnap\nnbsnap.snapshot(name={id!r}, notebook='n', store='ev')")
    (own_folder / "loaded").unlink(missing_ok=True)
    for pack in (own_folder / "ev" / "packs").iterdir():
        pack.rename(own_folder / "st" / "packs" / pack.name)
    (record,) = (own_folder / "ev" / "snapshots").glob("*/*.snap")
    (book,) = (own_folder / "st" / "snapshots").iterdir()
    record.rename(book / f"20200101T000000000000Z-{record.name.partition('-')[2]}")
    done = ada.run("import nbsnap\nprint(nbsnap.verify(notebook='n', store='st').id, len(nbsnap.Store('st').heads()))")
    assert done.out.split() == [id, "2"], done.err
    assert not (own_folder / "loaded").exists()


def test_trust_loads_it_and_counts_for_the_session(as_user: Any, own_folder: Path) -> None:
    """With `trust` it is loaded, and the same snapshot needs no second word in that process."""
    as_user("ada").save(MAKE)
    eve = as_user("eve")
    eve.run(
        "import nbsnap\n"
        "assert nbsnap.restore(trust=True).trust == 'given'\n"
        "import os; assert os.path.exists('loaded')\n"
        "assert nbsnap.restore(only=['x']).trust == 'session' and x == [1, 2]"
    )
    refused(eve)


@pytest.mark.parametrize(
    "call",
    [
        "nbsnap.restore(only=['x'])",
        "nbsnap.restore(exact=True, strict=True)",
        "nbsnap.restore(map=False, verify='before')",
        "nbsnap.restore(beside='all')",
        "nbsnap.restore(namespace={})",
        "nbsnap.verify()",
    ],
)
def test_every_way_of_loading_asks(as_user: Any, own_folder: Path, call: str) -> None:
    """No argument leads past it."""
    as_user("ada").save(MAKE)
    (own_folder / "loaded").unlink(missing_ok=True)
    assert refused(as_user("eve"), call)[1] == "unknown"
    assert not (own_folder / "loaded").exists()


def test_what_loads_nothing_does_not_ask(as_user: Any, own_folder: Path) -> None:
    """A dry run says it in a line; list, diff and check go on as ever, and nothing has run."""
    as_user("ada").save(MAKE)
    (own_folder / "loaded").unlink(missing_ok=True)
    eve = as_user("eve")
    eve.run(
        "x = 5\nimport nbsnap\n"
        "report = nbsnap.restore(dry_run=True)\n"
        "assert report.trust == 'unknown' and 'not made by you' in report.notes[0], report\n"
        "assert [v.name for v in report.restored] and x == 5\n"
        "assert {change.name for change in nbsnap.diff().changes} >= {'x'}\n"
    )
    for words in (["list"], ["show"], ["check"], ["prune"]):
        command(own_folder, eve.env, *words)
    assert not (own_folder / "loaded").exists()


def test_unsigned_snapshots_are_not_this_users(as_user: Any, own_folder: Path) -> None:
    """A snapshot of an older nbsnap has no signature: it goes on to be read, and is loaded on the user's word alone."""
    ada = as_user("ada")
    ada.save("x = [1, 2]")
    unsign(own_folder)
    said, trust, *_ = refused(ada)
    assert trust == "unsigned"
    assert "not signed" in said
    command(own_folder, ada.env, "check")
    command(own_folder, ada.env, "trust", "--all")
    report, wrong = ada.restore({"x": "x == [1, 2]"})
    assert not wrong
    assert report["trust"] == "own"


def test_a_changed_signature_does_not_fit(as_user: Any, own_folder: Path) -> None:
    """A forged signature that names this user's key is found out, and so is another snapshot's."""
    ada = as_user("ada")
    ada.save("x = [1, 2]")
    first = signatures(own_folder)[0]
    ada.save("x = [1, 2, 3]")
    for forged in (first[:-64] + "0" * 64, first, first.replace("sha256", "md5"), "x", first + "0", first[:-1]):
        resign(own_folder, forged)
        trust = refused(ada)[1]
        assert trust == ("wrong" if forged.startswith(first[:20]) and len(forged) == len(first) else "unknown"), forged


def test_signing_changes_no_id_and_keeps_other_signatures(as_user: Any, own_folder: Path) -> None:
    """`nbsnap trust` shows what is inside and signs; who had signed before is still known; twice is once."""
    as_user("ada").save("x = [1, 2]")
    ada, eve = home(own_folder, "ada"), home(own_folder, "eve")
    id = json.loads(command(own_folder, ada, "show", "--json"))["head"]["id"]
    said = command(own_folder, eve, "trust", "latest")
    assert "Trusted" in said
    assert "x" in said
    assert "signed with your key" in said
    report = json.loads(command(own_folder, eve, "trust", id[:8], "--json"))
    assert report["snapshots"][0]["was"] == "own"
    assert report["snapshots"][0]["head"]["id"] == id
    assert len(signatures(own_folder)[0].split(",")) == 2
    for user in ("ada", "eve"):
        assert as_user(user).restore({"x": "x == [1, 2]"})[0]["trust"] == "own"
    assert refused(as_user("bob"))[1] == "unknown"
    shown = json.loads(command(own_folder, eve, "show", "--json"))
    assert shown["trust"] == "own"
    assert shown["head"]["id"] == id
    command(own_folder, eve, "check")


def test_trust_says_what_it_needs(as_user: Any, own_folder: Path) -> None:
    """Neither a snapshot nor --all, both, or one that is not there: a line, and nothing is signed."""
    as_user("ada").save("x = 1")
    eve = home(own_folder, "eve")
    assert "--all" in command(own_folder, eve, "trust", code=1)
    command(own_folder, eve, "trust", "latest", "--all", code=1)
    command(own_folder, eve, "trust", "latest", "nope", code=3)
    assert refused(as_user("eve"))[1] == "unknown"


def test_a_key_moves_to_another_machine(as_user: Any, own_folder: Path) -> None:
    """Exported here, imported there: what was made here counts there as one's own; with --own it signs there, too."""
    ada, there = as_user("ada"), as_user("ada's other machine")
    ada.save("x = [1, 2]")
    assert "no key yet" in command(own_folder, there.env, "key", "show-id")
    id = json.loads(command(own_folder, ada.env, "key", "show-id", "--json"))["id"]
    command(own_folder, ada.env, "key", "export", "moved.key")
    assert (own_folder / "moved.key").stat().st_mode & 0o777 == 0o600 or os.name != "posix"
    assert "was not replaced" in command(own_folder, ada.env, "key", "export", "moved.key", code=1)
    there.save("y = 1", "nbsnap.snapshot(notebook='other')")
    assert json.loads(command(own_folder, there.env, "key", "import", "moved.key", "--json"))["new"]
    assert there.restore({"x": "x == [1, 2]"})[0]["trust"] == "imported"
    mine = json.loads(command(own_folder, there.env, "key", "show-id", "--json"))
    assert mine["id"] != id
    assert [key["id"] for key in mine["known"]] == [mine["id"], id]
    command(own_folder, there.env, "key", "import", "moved.key", "--own")
    assert json.loads(command(own_folder, there.env, "key", "show-id", "--json"))["id"] == id
    assert there.restore({"x": "x == [1, 2]"})[0]["trust"] == "own"
    assert there.restore({"y": "y == 1"}, "nbsnap.restore(notebook='other')")[0]["trust"] == "imported"
    there.save("z = 1")
    assert ada.restore({"z": "z == 1"})[0]["trust"] == "own"
    (own_folder / "moved.key").write_text("nonsense")
    assert "no key of nbsnap's" in command(own_folder, ada.env, "key", "import", "moved.key", code=1)


def test_the_key_is_private_and_lies_in_jupyters_folder(as_user: Any, own_folder: Path) -> None:
    """Folder 0700, file 0600, whatever the umask; in the platform's folder where there is no Jupyter; then it stays."""
    ada = as_user("ada")
    ada.run("import os; os.umask(0)\nx = 1\nimport nbsnap; nbsnap.snapshot()")
    key = Path(ada.env["JUPYTER_DATA_DIR"]) / "nbsnap" / "keys" / "own.key"
    if os.name == "posix":
        assert [path.stat().st_mode & 0o777 for path in (key, key.parent, key.parent.parent)] == [0o600, 0o700, 0o700]
    eve = as_user("eve")
    Path(eve.env["JUPYTER_DATA_DIR"]).rmdir()
    eve.save("x = 1")
    data = Path(eve.env["XDG_DATA_HOME"])
    assert list(data.rglob("own.key")) or sys.platform != "linux"
    Path(eve.env["JUPYTER_DATA_DIR"]).mkdir()
    assert eve.restore({"x": "x == 1"})[0]["trust"] == "own"
    eve.save("x = 2")
    assert not list(Path(eve.env["JUPYTER_DATA_DIR"]).rglob("own.key"))


@pytest.mark.skipif(os.name != "posix", reason="modes")
def test_a_key_that_others_can_read_is_not_used(as_user: Any, own_folder: Path) -> None:
    """Snapshots go on to be taken, unsigned, and each says why; in the same session they are loaded all the same."""
    ada = as_user("ada")
    ada.save("x = 1")
    key = Path(ada.env["JUPYTER_DATA_DIR"]) / "nbsnap" / "keys" / "own.key"
    key.chmod(0o644)
    assert "chmod 600" in refused(ada)[0]
    report = ada.save("x = 2\nimport nbsnap\nnbsnap.snapshot()\nassert nbsnap.restore().trust == 'session'")
    assert any("not signed" in note and "chmod 600" in note for note in report["notes"])
    assert "chmod 600" in command(own_folder, ada.env, "key", "show-id")
    key.chmod(0o600)
    key.parent.chmod(0o777)
    assert any("not a folder of yours alone" in note for note in ada.save("x = 2")["notes"])
    key.parent.chmod(0o700)
    target = key.rename(key.with_name("elsewhere"))
    key.symlink_to(target)
    assert any("not a file of yours" in note for note in ada.save("x = 2")["notes"])


def test_kernels_that_begin_together_make_one_key(own_folder: Path) -> None:
    """Sixteen processes that sign at the same moment, where there is no key yet, end up with one."""
    env = {**os.environ, **home(own_folder, "ada")}
    program = (
        "import sys, time; from nbsnap import keys\n"
        "time.sleep(max(0, float(sys.argv[1]) - time.time()))\n"
        "print(keys.own().id)"
    )
    import time

    moment = str(time.time() + 2.5)
    running = [
        subprocess.Popen([sys.executable, "-c", program, moment], env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(16)
    ]
    said = {process.communicate(timeout=60)[0].strip() for process in running}
    assert len(said) == 1
    assert all(process.returncode == 0 for process in running)
    folder = Path(env["JUPYTER_DATA_DIR"]) / "nbsnap" / "keys"
    assert [path.name for path in folder.iterdir()] == ["own.key"]


def test_the_signature_can_be_checked_without_nbsnap(as_user: Any, own_folder: Path) -> None:
    """It is HMAC-SHA-256 of one line, under the key that stands in the file: as docs/trust.md says."""
    import hashlib
    import hmac

    ada = as_user("ada")
    report = ada.save("x = 1")
    line = (Path(ada.env["JUPYTER_DATA_DIR"]) / "nbsnap" / "keys" / "own.key").read_text()
    secret = bytes.fromhex(line.split()[-1])
    code = hmac.new(secret, f"nbsnap snapshot {report['id']}".encode(), hashlib.sha256).hexdigest()
    assert signatures(own_folder)[0].split(":")[2] == code


@pytest.mark.kernel
def test_in_a_notebook(kernel_pair: Any, own_folder: Path) -> None:
    """`%restore` of another's shows what is inside and loads nothing, until --trust or `%snapshots trust`."""
    first = kernel_pair.start(load=False, env=home(own_folder, "ada"))
    first.run("%load_ext nbsnap")
    first.run("x = [1, 2]")
    first.run("rows = (open('ran', 'a').write('ran') and r for r in x)")
    first.run("%snapshot")
    first.kill()
    eve = kernel_pair.start(load=False, env=home(own_folder, "eve"))
    eve.run("%load_ext nbsnap")
    for line in ("%restore", "%restore --rerun rows", "%restore -q"):
        out = eve.run(line, ok=False)
        assert all(words in out.text for words in ("was not made by you", "--trust", "Not loaded")), out.text
        assert any("text/html" in shown and "rows" in shown["text/html"] for shown in out.displays)
        assert "Traceback" not in out.text
    assert eve.run("'x' in globals()").result == "False"
    assert "not made by you" in eve.run("%restore --dry-run").text
    assert "Restored" in eve.run("%restore --trust").text
    assert "Made again: rows" in eve.run("%restore --rerun rows").text
    eve.run("%restore --undo")
    eve.kill()
    again = kernel_pair.start(load=False, env=home(own_folder, "eve"))
    again.run("%load_ext nbsnap")
    assert "Made again: rows" in again.run("%restore --rerun rows --trust").text
    assert "Trusted" in again.run("%snapshots trust latest").text
    again.kill()
    last = kernel_pair.start(load=False, env=home(own_folder, "eve"))
    last.run("%load_ext nbsnap")
    assert "Restored" in last.run("%restore").text


@pytest.mark.kernel
def test_autorestore_asks_as_well(kernel_pair: Any, own_folder: Path) -> None:
    """With `autorestore = "always"` another's snapshot is not restored, and a line says why."""
    first = kernel_pair.start(load=False, env=home(own_folder, "ada"))
    first.run("%load_ext nbsnap")
    first.run("x = [1, 2]\n%snapshot")
    first.kill()
    eve = kernel_pair.start(load=False, env=home(own_folder, "eve"))
    eve.run("get_ipython().config.NbSnap.autorestore = 'always'")
    assert "not restored" in eve.run("%load_ext nbsnap").text
    assert eve.run("'x' in globals()").result == "False"
    eve.run("y = 1\n%snapshot")
    assert "Restored" in eve.run("%restore").text


# --- manifests, as an attacker or an older nbsnap would have written them -------------------------------------------


def manifests(folder: Path) -> list[Path]:
    return sorted((folder / ".nbsnap" / "snapshots").rglob("*.snap"))


def signatures(folder: Path) -> list[str]:
    return [manifest.decode(path.read_bytes()).signature for path in manifests(folder)]


def resign(folder: Path, signature: str) -> None:
    """Give the newest snapshot another signature."""
    path = manifests(folder)[-1]
    path.write_bytes(manifest.resigned(path.read_bytes(), lambda old, id: signature))


def unsign(folder: Path) -> None:
    resign(folder, "")


def test_the_error_is_exported() -> None:
    """It can be caught by its name, and is one of ours."""
    assert issubclass(nbsnap.TrustError, nbsnap.NbSnapError)
    assert nbsnap.TrustError.exit_code == 9
