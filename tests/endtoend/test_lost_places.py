"""Folders that vanish, mounts that are lost, open files that run out: a line, a namespace as it was, and no litter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from endtoend.test_bad_places import BEGIN, LINUX, bad_disk, may_mount, run_where

__all__ = ["bad_disk", "may_mount"]  # fixtures

FEW = """
import resource
names = {"a": rng.random(400_000), "b": [1]}
assert save(names, name="good") == "saved"
most = resource.getrlimit(resource.RLIMIT_NOFILE)
for spare in range(14):
    names["a"] += 1
    lowest = os.open(".", 0); os.close(lowest)  # so many are open
    held = [os.open(".", 0) for _ in range(5)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + len(held) + spare, most[1]))
    came = [save(names, background=False), save(dict(names), background=True)]
    back = {"b": 7}
    try: came.append("restored" if nbsnap.restore("good", back, store=PLACE, notebook="n").ok else "in part")
    except nbsnap.NbSnapError as error: came.append(f"{type(error).__name__}: {error}")
    untouched = back == {"b": 7}
    resource.setrlimit(resource.RLIMIT_NOFILE, most)
    for fd in held: os.close(fd)
    say(came, untouched, sound(b=[1]))
"""


@LINUX
def test_open_files_run_out(two_shells: Any) -> None:
    """With so few files that may be opened it is saved and restored, or a line says that there are too many open."""
    (two_shells.folder / "disk").mkdir()
    lines = [json.loads(line) for line in two_shells.run(BEGIN + FEW).out.splitlines()]
    for came, untouched, sound in lines:
        assert sound
        for line in came:
            assert line in ("saved", "restored", "in part") or "Too many open files" in line, line
            assert "\n" not in line
        assert untouched or came[-1] in ("restored", "in part")
    assert any("Too many" in line for came, *_ in lines for line in came)
    assert lines[-1][0] == ["saved", "saved", "restored"]


VANISHED = """
import shutil
from nbsnap.errors import DamageError
from nbsnap.repairing import opened, repair
names = {"a": rng.random(3_000_000), "b": [1]}
assert save(names, name="good") == "saved"
total = float(names["a"].sum())
back = {}
nbsnap.restore("good", back, store=PLACE, notebook="n")  # mapped
shutil.rmtree(PLACE)
try: nbsnap.restore("good", {}, store=PLACE, notebook="n"); came = "?"
except nbsnap.NbSnapError as error: came = f"{type(error).__name__}: {error}"
say(came, float(back["a"].sum()) == total)
say(save(back, name="good"), sound(b=[1]))
for turn in range(6):
    back["a"] += 1
    stop = threading.Timer(0.002 * turn ** 2, shutil.rmtree, (PLACE,), {"ignore_errors": True})
    stop.start()
    came = save(back, background=turn % 2 == 1)
    stop.join()
    try: Store.open(PLACE, create=True)
    except DamageError: assert repair(opened(PLACE)) and came != "saved"
    say(came, save(back, name="good"), sound(b=[1]))
"""


#: What may be said of a store that is being removed.
GONE = (
    "cannot be written: ",
    "cannot be read: ",
    "was removed while",
    "is missing",
    "in no pack",
    "not a store: choose",
    "there is no store at",  # written in the background, and gone before it was read
)


@LINUX
def test_a_folder_that_vanishes(two_shells: Any) -> None:
    """What was restored stays valid; what is gone is said; the next snapshot makes the store anew."""
    (two_shells.folder / "disk").mkdir()
    first, again, *others = map(json.loads, two_shells.run(BEGIN + VANISHED).out.splitlines())
    assert first[0].startswith(("StoreNotFound: there is no store at ", "SnapshotNotFound: "))
    assert first[1]
    assert again == ["saved", True]
    assert len(others) == 6
    for came, later, sound in others:
        assert came == "saved" or any(words in came for words in GONE), came
        assert "\n" not in came
        assert (later, sound) == ("saved", True)


LOST = """
names = {"a": rng.random(200_000), "b": [1]}
assert save(names, name="good") == "saved"
for turn in range(3):
    faults(lost=True); time.sleep(1.1)
    names["a"] += 1
    back = {"b": 7}
    try: nbsnap.restore("good", back, store=PLACE, notebook="n"); came = "restored"
    except nbsnap.NbSnapError as error: came = str(error)
    came = [came, save(names), save(names, background=True)]
    try: Store.open(PLACE).list(); came.append("listed")
    except nbsnap.NbSnapError as error: came.append(str(error))
    faults(); time.sleep(1.1)
    say(came, back == {"b": 7}, sound(b=[1]))
say(save(names), sound(b=[1]))
"""


@LINUX
def test_a_mount_that_is_lost(bad_disk: Path) -> None:
    """Nobody answers for the disk: each command says so in a line; when it is back, all is as it was."""
    *turns, last = run_where("DISK", bad_disk, BEGIN + LOST)
    assert len(turns) == 3
    for came, untouched, sound in turns:
        for line in came:
            assert "not connected; is the disk still connected?" in line, line
            assert "\n" not in line
        assert (untouched, sound) == (True, True)
    assert last == ["saved", True]
