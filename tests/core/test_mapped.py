"""Big arrays that a restore maps from the store's files: saved in one process, restored and used in another."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from nbsnap.mapping import is_safe

pytest.importorskip("numpy")

MAKE = """
import numpy as np
rng = np.random.default_rng(0)
big = rng.random(2_500_000)                         # 20 MB
fixed = rng.random(200_000); fixed.flags.writeable = False
turned = np.asfortranarray(rng.random((500, 400)))
table = np.zeros(100_000, dtype=[('x', 'i4'), ('y', 'f8')]); table['y'] = rng.random(100_000)
half = big[::2]; back = big[::-1]; grid = big.reshape(5000, 500); shown = big[:1000]; shown.flags.writeable = False
empty = np.zeros(3_000_000)
notes = {'rate': 0.1}
"""

SAME = """
import numpy as np
def expected():
    names = {}
    exec(MAKE, names)
    return names
def same(ours):
    theirs = expected()
    arrays = ('big', 'fixed', 'turned', 'table', 'half', 'back', 'grid', 'shown', 'empty')
    return [name for name in arrays if not np.array_equal(ours[name], theirs[name])]
def mapped():
    return open('/proc/self/maps').read().count('.pack')
"""

RESTORE = f"MAKE = {MAKE!r}\n{SAME}\nimport nbsnap\nreport = nbsnap.restore()\nassert report.ok, report\n"


@pytest.fixture(autouse=True)
def a_safe_place(own_folder: Path) -> None:
    """These tests are about what is mapped, which depends on what the folder of tests lies on."""
    fd = os.open(own_folder, os.O_RDONLY) if os.name == "posix" else -1
    safe = is_safe(fd)
    if fd >= 0:
        os.close(fd)
    if not safe or not os.path.exists("/proc/self/maps"):
        pytest.skip("files of this place are not mapped")


def test_mapped_arrays_are_arrays(two_shells: Any) -> None:
    """They are equal, writable or not as they were, and views of one memory; what is written stays with the session."""
    two_shells.save(MAKE)
    two_shells.run(
        RESTORE
        + """
assert mapped()
assert same(globals()) == []
assert big.flags.writeable and turned.flags.f_contiguous and not fixed.flags.writeable and not shown.flags.writeable
big[7] = 5; turned[3, 4] = 6; table['x'][2] = 8; empty[-1] = 9; grid[0, 0] = 3; half[5] = 2
assert back[-8] == 5 and big[0] == shown[0] == 3 and big[10] == 2 and grid.base is not None
try: fixed[0] = 1
except ValueError: pass
else: raise AssertionError('written')
nbsnap.restore()
assert same(globals()) == []
"""
    )
    two_shells.run(RESTORE + "assert mapped() and same(globals()) == []")


def test_memory_is_not_needed_before_it_is_touched(two_shells: Any) -> None:
    """Restoring 200 MB takes less than 16 MB of memory; without mapping it takes all of it."""
    two_shells.save("import numpy as np\na, b = np.random.default_rng(0).random((2, 12_500_000)); c = a[::2]")
    measure = """
import numpy, nbsnap, nbsnap.restoring
def anonymous():
    return next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('RssAnon')) // 1024
before = anonymous()
assert nbsnap.restore({0}).ok
print('MB', anonymous() - before)
"""
    assert int(two_shells.run(measure.format("")).out.split()[-1]) < 16
    assert int(two_shells.run(measure.format("map=False")).out.split()[-1]) > 180


def test_the_store_may_be_removed_under_live_arrays(two_shells: Any) -> None:
    """Arrays that have not been touched yet are whole after the store is gone."""
    two_shells.save(MAKE)
    two_shells.run(RESTORE + "import shutil\nshutil.rmtree('.nbsnap')\nassert mapped() and same(globals()) == []")


def test_a_changed_array_is_mapped_from_two_packs(two_shells: Any) -> None:
    """What has changed comes from the second pack, a delta and compressed parts lie between, and all is equal."""
    two_shells.save(
        "import numpy as np, nbsnap\nrng = np.random.default_rng(0)\nbig = rng.random(2_500_000)\n"
        "big[500_000:1_000_000] = 0.25; big[1_200_000:1_300_000] = np.arange(100_000) // 100\n"
        "nbsnap.snapshot(name='first')\nbig[1_900_000:2_200_000] = rng.random(300_000); big[100] = -1"
    )
    two_shells.run(
        """
import numpy as np, nbsnap
drawn = np.random.default_rng(0).random(2_800_000)
right = drawn[:2_500_000].copy()
right[500_000:1_000_000] = 0.25; right[1_200_000:1_300_000] = np.arange(100_000) // 100
nbsnap.restore('first')
assert np.array_equal(big, right)
nbsnap.restore()
right[1_900_000:2_200_000] = drawn[2_500_000:]; right[100] = -1
assert np.array_equal(big, right)
assert len({line.split()[-1] for line in open('/proc/self/maps') if '.pack' in line}) == 2
"""
    )


def test_mapped_arrays_are_saved_again(two_shells: Any) -> None:
    """A snapshot of restored arrays writes nothing new, after a change a piece; a third process gets it all."""
    two_shells.save(MAKE)
    done = two_shells.run(
        RESTORE
        + """
import json
again = nbsnap.snapshot(exclude=['report', 'mapped', 'same', 'expected', 'MAKE'], name='again')
big[1000] = 4
changed = nbsnap.snapshot(exclude=['report', 'mapped', 'same', 'expected', 'MAKE', 'again', 'json'])
print(json.dumps([again.new_bytes, changed.new_bytes, [s.name for s in changed.skipped]]))
"""
    )
    again, changed, skipped = json.loads(done.out.splitlines()[-1])
    assert again < 20_000
    assert changed < 1_100_000
    assert skipped == []
    two_shells.run(
        RESTORE + "assert big[1000] == 4\nbig[1000] = expected()['big'][1000]\nassert same(globals()) == []\n"
        "assert all(np.shares_memory(view, big) for view in (half, back, grid, shown))"
    )


def test_fork_keeps_mapped_arrays_apart(two_shells: Any) -> None:
    """A forked child sees the arrays; what either writes is its own."""
    two_shells.save(MAKE)
    two_shells.run(
        RESTORE
        + """
import os, sys
big[0] = 1
child = os.fork()
if not child:
    good = big[0] == 1 and big[1] == expected()['big'][1]
    big[1] = 99
    os._exit(0 if good and not same({**globals(), 'big': expected()['big'], 'half': half * 1,
        'back': expected()['back'], 'grid': expected()['grid'], 'shown': expected()['shown'],
        'half': expected()['half']}) else 1)
assert os.waitpid(child, 0)[1] == 0
assert big[1] == expected()['big'][1]
"""
    )


def test_frames_over_mapped_memory(two_shells: Any) -> None:
    """Frames and columns come back over mapped memory, and pandas copies before it writes where it did."""
    pytest.importorskip("pandas", "3")
    make = (
        "import numpy as np, pandas as pd\nrng = np.random.default_rng(0)\n"
        "frame = pd.DataFrame(rng.random((1_000_000, 3)), columns=list('abc')); column = frame['a']\n"
        "frame['when'] = pd.Timestamp('2026-01-01') + pd.to_timedelta(rng.integers(0, 9**9, 1_000_000), unit='s')\n"
        "frame['word'] = pd.Series(rng.integers(0, 9**9, 1_000_000)).astype(str)\n"
    )
    two_shells.save(make)
    restored, wrong = two_shells.restore(
        {
            "mapped": "'.pack' in open('/proc/self/maps').read()",
            "equal": f"(exec({make!r}, names := {{}}), names['frame'].equals(frame))[1]",
            "shared": "np.shares_memory(frame['a'].to_numpy(), column.to_numpy())",
            "written": "frame.iloc.__setitem__((0, 0), 77) is None and frame.iloc[0, 0] == 77 and column[0] != 77",
        }
    )
    assert restored["failed"] == []
    assert wrong == {}


KEEPER = """
import pickle
class Keeper:
    def __init__(self, data): self.data = data
    def __reduce_ex__(self, protocol): return type(self), (pickle.PickleBuffer(self.data),)
"""


def test_memory_that_an_object_holds_as_it_is_is_saved_again(two_shells: Any) -> None:
    """An object that keeps the buffer itself, and a view of it, can be saved and restored again, and again."""
    two_shells.save(
        KEEPER + "import os\nraw = bytearray(os.urandom(17_000_000)); raw[5] = 5\n"
        "keeper = Keeper(raw); del raw\nsize = len(keeper.data)"
    )
    for generation in range(2):
        done = two_shells.run(
            "import nbsnap, json\nreport = nbsnap.restore()\nassert report.ok, report\n"
            "assert '.pack' in open('/proc/self/maps').read()\n"
            "assert bytes(memoryview(keeper.data)[5:6]) == b'\\x05' and len(memoryview(keeper.data)) == size\n"
            + ("keeper.view = memoryview(keeper.data)\n" if generation else "")
            + "report = nbsnap.snapshot(exclude=['report'])\nprint(json.dumps([s.reason for s in report.skipped]))"
        )
        assert json.loads(done.out.splitlines()[-1]) == []


def damage(place: Path) -> None:
    """Alter one byte in the middle of the only pack."""
    (pack,) = (place / ".nbsnap" / "packs").glob("*.pack")
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)


def test_damage_to_a_mapped_array_is_told(two_shells: Any) -> None:
    """A line on stderr names the variable and the file; a second restore refuses it, and leaves the rest."""
    two_shells.save("import numpy as np\nprices = np.random.default_rng(0).random(4_000_000); fine = [1, 2]")
    damage(two_shells.folder)
    done = two_shells.run(
        "import nbsnap, nbsnap.later\nreport = nbsnap.restore()\nassert report.ok\n"
        "assert nbsnap.later.wait(60)\nprices, fine = None, None\n"
        "report = nbsnap.restore()\nprint(report.to_json())\nassert prices is None and fine == [1, 2]"
    )
    (line,) = done.err.splitlines()
    assert line.startswith("nbsnap: prices: damaged in the store, so what was restored may be wrong: ")
    assert ".pack is damaged: piece " in line
    (failed,) = json.loads(done.out)["failed"]
    assert failed["name"] == "prices"
    assert failed["reason"].startswith("is damaged in the store: ")


@pytest.mark.parametrize("use", ["prices = prices * 2; nbsnap.later.wait(60)", "print(prices.sum())", "pass"])
def test_damage_is_told_however_short_the_use(two_shells: Any, use: str) -> None:
    """Also where the array is gone before it was verified, and where the process ends at once."""
    two_shells.save("import numpy as np\nprices = np.random.default_rng(0).random(4_000_000)")
    damage(two_shells.folder)
    done = two_shells.run(f"import nbsnap, nbsnap.later\nassert nbsnap.restore().ok\n{use}")
    (line,) = done.err.splitlines()
    assert line.startswith("nbsnap: prices: damaged in the store, so what was restored may be wrong: ")


@pytest.mark.parametrize(
    ("arguments", "outcome"),
    [
        ("verify='before'", "['prices']"),
        ("map=False", "['prices']"),
        ("strict=True", "StrictError"),
        ("only=['fine']", "[]"),
    ],
)
def test_damage_is_found_before_where_that_is_asked_for(two_shells: Any, arguments: str, outcome: str) -> None:
    """With verify="before", without mapping and under strict, a damaged array is not handed out."""
    two_shells.save("import numpy as np\nprices = np.random.default_rng(0).random(4_000_000); fine = [1, 2]")
    damage(two_shells.folder)
    done = two_shells.run(
        f"import nbsnap, nbsnap.later\ntry: print([skip.name for skip in nbsnap.restore({arguments}).failed])\n"
        "except nbsnap.StrictError as error: print(type(error).__name__)\n"
        "assert nbsnap.later.wait(60) and 'prices' not in globals()"
    )
    assert done.out.splitlines() == [outcome]
    assert done.err == ""


def test_an_interpreter_may_end_while_it_verifies(two_shells: Any) -> None:
    """A process that ends right after a restore, or is at work then, ends in good order."""
    two_shells.save("import numpy as np\na = np.random.default_rng(0).random(20_000_000)")
    for rest in ("", "sum(range(3_000_000))", "raise SystemExit(0)"):
        for _ in range(3):
            done = two_shells.run(f"import nbsnap\nassert nbsnap.restore().ok\n{rest}")
            assert done.err == ""


def test_a_store_on_other_terms_is_read(two_shells: Any) -> None:
    """A store object whose backend says that mapping is unsafe, and one in memory, give the same arrays, unmapped."""
    two_shells.save(MAKE)
    two_shells.run(
        f"MAKE = {MAKE!r}\n{SAME}"
        + """
import nbsnap
from nbsnap.folder import FolderBackend
store = nbsnap.Store(FolderBackend('.nbsnap', may_map=lambda fd: False))
assert nbsnap.restore(store=store).ok
assert not mapped() and same(globals()) == []
from nbsnap.backends import MemoryBackend
exec(MAKE)
memory = nbsnap.Store(MemoryBackend(), create=True)
assert nbsnap.snapshot(store=memory, exclude=['store', 'memory', 'mapped', 'same', 'expected']).ok
assert nbsnap.restore(store=memory).ok
assert not mapped() and same(globals()) == []
"""
    )


def test_no_map_reads(two_shells: Any) -> None:
    """`%restore --no-map` and the setting `map` turn mapping off; a plain %restore maps."""
    pytest.importorskip("IPython")
    two_shells.save("import numpy as np\na = np.random.default_rng(0).random(4_000_000); total = a.sum()")
    shutil.copytree(two_shells.folder / ".nbsnap", two_shells.folder / "kept")
    session = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(colors='NoColor')
shell.run_line_magic('load_ext', 'nbsnap')
shell.run_line_magic('config', "NbSnap.store = 'kept'")
shell.run_line_magic('config', "NbSnap.notebook = 'session.py'")
for cell in (%r):
    shell.run_cell(cell).raise_error()
    assert shell.user_ns['a'].sum() == shell.user_ns['total']
    print('MAPPED', open('/proc/self/maps').read().count('.pack'))
    shell.user_ns.pop('a')
"""
    told = two_shells.run(session % (["%restore --no-map", "%restore", "%config NbSnap.map = False\n%restore"],)).out
    counts = [int(line.split()[1]) for line in told.splitlines() if line.startswith("MAPPED")]
    assert [bool(count) for count in counts] == [False, True, False]


def test_a_word_that_means_nothing_verifies_nothing_in_silence() -> None:
    """What is not "later" or "before" is an error, and nothing is restored."""
    import nbsnap

    nbsnap.snapshot({"x": [1]}, store="store", notebook="n")
    back: dict[str, Any] = {}
    wrong: Any = "never"
    with pytest.raises(nbsnap.NbSnapError, match="'later' or 'before', not 'never'"):
        nbsnap.restore(namespace=back, store="store", notebook="n", verify=wrong)
    assert back == {}
