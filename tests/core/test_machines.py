"""Another machine: paths of another system, types of the platform, byte order.

There is one machine here, so the other one is made of its parts: what a stream of Windows calls is called by a class of
this session, and what a machine says of itself (its kind of path, its order of bytes, its long doubles) is replaced in
the process that restores. Nothing else is: saving, the store and loading are the real ones, in two processes.
"""

from __future__ import annotations

import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="plays Windows on another system")

FROM_WINDOWS = """
from nbsnap.builders import standard
class Windows:
    def __init__(self, *parts): self.parts = parts
    def __reduce__(self): return standard.path, ("WindowsPath", self.parts)
"""

ON_WINDOWS = "import nbsnap.builders.standard as s\ns.PATH = 'WindowsPath'\nimport nbsnap\n"


def test_paths(two_shells):
    """Paths come back as what they were, pure ones too, in containers, as keys, one object where they were one."""
    two_shells.save(
        "from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath\n"
        "a = Path('/data/x.csv'); b = Path('x/../y'); c = Path(); d = [a, a]; e = {a: 1, b: 2}\n"
        "f = PureWindowsPath('c:/x/y'); g = PurePosixPath('//a/b'); h = PurePath('x'); k = Path"
    )
    _, wrong = two_shells.restore(
        {
            "absolute": "a == Path('/data/x.csv') and type(a) is type(Path())",
            "relative": "str(b) == 'x/../y' and c == Path() and c.parts == ()",
            "one object": "d[0] is d[1] and e[a] == 1 and e[b] == 2",
            "pure": "type(f) is PureWindowsPath and f.parts == ('c:\\\\', 'x', 'y') and str(g) == '//a/b'",
            "class": "k is Path and type(h) is PurePosixPath",
        }
    )
    assert wrong == {}


def test_paths_of_windows_come_back_elsewhere(two_shells):
    """A relative one is a path of this system; one with a drive or a root is a pure one of Windows, which is said."""
    two_shells.save(
        FROM_WINDOWS + "a = Windows('data', 'x.csv')\nb = Windows('C:\\\\', 'x')\nc = Windows('\\\\', 'x')\n"
    )
    report, wrong = two_shells.restore(
        {
            "relative": "__import__('pathlib').Path('data/x.csv') == a",
            "drive": "type(b).__name__ == 'PureWindowsPath' and str(b) == 'C:\\\\x'",
            "root": "type(c).__name__ == 'PureWindowsPath'",
        }
    )
    assert wrong == {}
    assert "b and c: a path of another system came back as a PureWindowsPath, which opens nothing" in report["notes"]


def test_paths_of_posix_come_back_on_windows(two_shells):
    """The same the other way; a name that Windows would read as something else stays what it was."""
    two_shells.save(
        "from pathlib import Path\na = Path('data/x.csv'); b = Path('/x'); c = Path('c:x'); d = Path('a\\\\b')"
    )
    done = two_shells.run(
        ON_WINDOWS
        + "r = nbsnap.restore(exclude='Path')\nprint(type(a).__name__, *(type(x).__name__ for x in (b, c, d)))\n"
        "print(a, b, c, d)\nprint([n for n in r.notes if 'another system' in n])"
    )
    assert done.out.splitlines() == [
        "PosixPath PurePosixPath PurePosixPath PurePosixPath",  # the first is what Path() is in this process
        "data/x.csv /x c:x a\\b",
        "['b, c and d: a path of another system came back as a PurePosixPath, which opens nothing']",
    ]


NUMBERS = """
import numpy as np
a = np.array([1, 2], ">f8"); b = np.arange(20_000, dtype=">i4"); c = np.array([(1, 2.0)], [("x", ">i2"), ("y", "<f4")])
d = np.dtype(np.int_); e = np.dtype("l"); f = np.intc(3); g = np.arange(3, dtype=np.longlong); h = np.dtype(">U3")
"""


def test_byte_orders_and_types_of_the_platform_come_back(two_shells):
    """Big-endian arrays, short, long and structured; types that have other widths elsewhere keep their width."""
    two_shells.save(NUMBERS)
    _, wrong = two_shells.restore(
        {
            "short": "a.dtype.str == '>f8' and a.tolist() == [1, 2]",
            "long": "b.dtype.str == '>i4' and b[-1] == 19_999",
            "structured": "c.dtype['x'].str == '>i2' and c['y'][0] == 2",
            "names": "d.itemsize == np.dtype(int).itemsize and e.itemsize == 8 and f == 3 and g.dtype.itemsize == 8",
            "texts": "h.str == '>U3'",
        }
    )
    assert wrong == {}


LONG = """
import numpy as np
a = np.array([1, 3], np.longdouble) / 3; b = np.longdouble(1) / 3; c = np.arange(5000, dtype=np.clongdouble)
d = np.zeros(2, [("x", np.longdouble), ("y", int)]); e = a.astype(float); f = np.array([1], ">g"); g = np.dtype("g")
"""
TEXTS = "(lambda x: [x[n].tobytes() for n in 'abcd'])(globals())"


def test_long_doubles_come_back_on_such_a_machine(two_shells):
    """Arrays, scalars, complex, structured and swapped ones, to the last bit."""
    saved = two_shells.save(LONG)
    assert saved["skipped"] == []
    _, wrong = two_shells.restore(
        {
            "array": "a.dtype is np.dtype('g') and (a == np.array([1, 3], np.longdouble) / 3).all()",
            "scalar": "type(b) is np.longdouble and b == np.longdouble(1) / 3 and g is np.dtype('g')",
            "complex": "c.dtype == np.clongdouble and c[4999] == 4999",
            "structured": "d.dtype['x'] == np.longdouble",
            "swapped": "f[0] == 1",  # NumPy itself forgets that it was
        }
    )
    assert wrong == {}


def test_long_doubles_of_another_machine_are_not_read(two_shells):
    """It is told beforehand which variables hold them; these fail with a reason, all others come back."""
    two_shells.save(LONG)
    done = two_shells.run(
        "import nbsnap.machine\nnbsnap.machine.long_double = lambda: '128 bits in 16 bytes'\n"
        "import nbsnap\nr = nbsnap.restore()\nprint(*sorted(skip.name for skip in r.failed))\n"
        "print({skip.reason for skip in r.failed})\nprint(e.tolist())"
    )
    lines = done.out.splitlines()
    assert lines[0] == "a b c d f g"
    assert "holds long doubles of " in lines[1]
    assert lines[2] == "[0.3333333333333333, 1.0]"
    assert "long doubles have 128 bits in 16 bytes here, they had " in done.err
    assert "(a, b, c, d and 2 more)" in done.err


def test_a_machine_of_another_byte_order(two_shells):
    """NumPy's arrays say for themselves which order they have; memory of other libraries is refused, with a reason."""
    two_shells.save(
        "import array, numpy as np\na = np.arange(3.0)\nb = array.array('d', [1.0])\nc = [1, 'x']\nd = {1, 2}"
    )
    done = two_shells.run(
        "import sys\nsys.byteorder = 'big'\nimport nbsnap\nr = nbsnap.restore(beside='none')\n"
        "print([(skip.name, skip.reason) for skip in r.failed if skip.name != 'nbsnap'])\nprint(a.tolist(), c, d)"
    )
    assert done.out.splitlines() == [
        "[('b', 'holds memory of a machine that is little-endian, which this one is not')]",
        "[0.0, 1.0, 2.0] [1, 'x'] {1, 2}",
    ]
