"""Every byte that is unpickled is verified first, whatever `verify` and `map` say; what is raw memory may be later.

A byte of each piece is changed, or a pickle that leaves a mark is written over its beginning, and the session is
restored in a fresh process. The manifest, and so its signature, is as it was: it names what was there before.
"""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nbsnap.packs import RAW, decode_index

pytest.importorskip("numpy")

#: Variables of every kind of content: a small stream, one of several pieces, a text and bytes as buffers, an array of
#: objects (a pickle in a buffer), a database, and 20 MB of numbers, so that what can be is mapped.
MAKE = """
import numpy as np, random, sqlite3
noise = random.Random(0)
big = np.random.default_rng(0).random(2_500_000)
words = np.array([noise.randbytes(12).hex() for _ in range(50_000)], object)
text = noise.randbytes(400_000).hex()
blob = noise.randbytes(400_000)
class Node:
    def __init__(self, at): self.at = at; self.name = noise.randbytes(16).hex()
nodes = [Node(at) for at in range(25_000)]
base = sqlite3.connect(':memory:')
base.execute('create table t (x)')
base.executemany('insert into t values (?)', [(noise.randbytes(9).hex(),) for _ in range(30_000)])
base.commit()
few = {'rate': 0.1}
"""

RESTORE = """
import json, sys, nbsnap
from nbsnap import later
report = nbsnap.restore(**json.loads(sys.argv[1]))
later.wait()
print('FAILED' + json.dumps({skip.name: skip.reason for skip in report.failed}))
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of such a session."""
    folder = tmp_path_factory.mktemp("saved")
    script = folder / "session.py"
    script.write_text(f"{MAKE}\nimport nbsnap\nassert nbsnap.snapshot().ok\n")
    subprocess.run([sys.executable, str(script)], cwd=folder, check=True, timeout=120)
    return folder / ".nbsnap"


def pieces(store: Path) -> list[tuple[Path, Any]]:
    """The pieces of a store, each with its pack."""
    found = []
    for index in sorted((store / "packs").glob("*.index")):
        decoded = decode_index(index.read_bytes(), index.stem)
        found += [(index.with_suffix(".pack"), decoded.piece(number)) for number in range(decoded.count)]
    return found


@pytest.mark.parametrize("verify", ["later", "before"])
@pytest.mark.parametrize("map", [True, False])
def test_a_changed_byte_is_found_before_it_is_unpickled(saved: Path, two_shells: Any, verify: str, map: bool) -> None:
    """Each variable but the plain array fails by name; so does the array, unless it was mapped: then a line tells."""
    shutil.copytree(saved, two_shells.folder / ".nbsnap")
    store = two_shells.folder / ".nbsnap"
    for pack, piece in pieces(store):
        data = bytearray(pack.read_bytes())
        data[piece.offset + piece.stored // 2] ^= 1
        pack.write_bytes(data)
    done = two_shells.run(RESTORE, json.dumps({"verify": verify, "map": map}))
    failed = json.loads(done.out.partition("FAILED")[2])
    wanted = {"words", "text", "blob", "nodes", "base", "few", "Node"}
    assert wanted <= set(failed), failed
    assert all("damaged" in failed[name] or "could not be loaded" in failed[name] for name in wanted), failed
    assert "big" in failed or (verify, map) == ("later", True)
    assert "big" in failed or "big: damaged in the store" in done.err


def test_a_pickle_within_a_buffer_is_verified_although_it_is_mapped(saved: Path, two_shells: Any) -> None:
    """An array of objects is a pickle in a buffer, long enough to be mapped: one changed byte, and it is not loaded."""
    shutil.copytree(saved, two_shells.folder / ".nbsnap")
    store = two_shells.folder / ".nbsnap"
    probe = (
        "import nbsnap, json, os\nfrom nbsnap.store import Store\n"
        "with Store('.nbsnap') as store:\n"
        "    record = store.find()\n"
        "    group = next(group for group in record.groups if 'words' in group.variables)\n"
        "    print('PIECES' + json.dumps(group.buffers[0].pieces))\n"
    )
    ids = json.loads(two_shells.run(probe).out.partition("PIECES")[2])
    assert len(ids) > 1
    for pack, piece in pieces(store):
        if piece.id.hex() == ids[1]:
            with pack.open("r+b") as file:
                file.seek(piece.offset + 1000)
                file.write(b"\x00" if file.read(1) != b"\x00" else b"\x01")
    done = two_shells.run(RESTORE, "{}")
    failed = json.loads(done.out.partition("FAILED")[2])
    assert list(failed) == ["words"]
    assert "damaged" in failed["words"]


class Mark:
    """Leaves a mark when it is unpickled."""

    def __reduce__(self) -> Any:
        return Path("ran").write_text, ("ran",)


@pytest.mark.parametrize("verify", ["later", "before"])
@pytest.mark.parametrize("least", [100, 1 << 16])
def test_a_pickle_in_the_place_of_another_does_not_run(saved: Path, two_shells: Any, verify: str, least: int) -> None:
    """A pickle of an attacker's at the beginning of every piece, or of the large ones alone: none of them is run."""
    shutil.copytree(saved, two_shells.folder / ".nbsnap")
    payload = pickle.dumps(Mark())
    written = 0
    for pack, piece in pieces(two_shells.folder / ".nbsnap"):
        if piece.codec == RAW and piece.stored >= max(least, len(payload)):
            written += 1
            with pack.open("r+b") as file:
                file.seek(piece.offset)
                file.write(payload)
    assert written > 15
    done = two_shells.run(RESTORE, json.dumps({"verify": verify}))
    assert {"words", "blob"} <= set(json.loads(done.out.partition("FAILED")[2]))
    assert not (two_shells.folder / "ran").exists()
    pickle.loads(payload)
    assert Path("ran").exists()  # it would have left one
