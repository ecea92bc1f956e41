"""`%snapshots check --repair`, as a user of a damaged store meets it."""

from __future__ import annotations

from collections.abc import Callable

HARM = """
import pathlib
packs = sorted(pathlib.Path(".nbsnap/packs").glob("*.pack"), key=lambda path: path.stat().st_size)
data = bytearray(packs[-1].read_bytes())
data[5000] ^= 1
packs[-1].write_bytes(data)
pathlib.Path(".nbsnap/store.json").unlink()
"""


def test_a_damaged_store_is_met_and_repaired(shell: Callable[..., list[str]]) -> None:
    """`store.json` is written again, the piece that is altered is told, the rest comes back, the next save heals."""
    cells = (
        "%load_ext nbsnap",
        "import random\nbig = random.Random(1).randbytes(300_000)\nlittle = [1]",
        "%snapshot good",
        HARM,
        "%snapshots check",
        "%snapshots check --repair",
        "%snapshots check",
        "keep = big; del little; big = 0",
        "%restore good",
        "little, big",
        "big = keep; del keep",
        "%snapshot -q",
        "%snapshots check",
        "%restore good -q\nlen(big), little",
    )
    said = shell(*cells)
    assert "nbsnap check --repair` writes it again" in said[4]
    assert "1 pack copied without what is damaged · 1 piece lost" in said[5]
    assert "lost" in said[5]
    assert "big" in said[5]
    assert "hurts good" in said[6]
    assert "check --repair keeps" not in said[6], "there is nothing more to repair"
    assert "failed" in said[8]
    assert "([1], 0)" in said[9]
    assert "all is well" in said[12]
    assert "(300000, [1])" in said[13]
