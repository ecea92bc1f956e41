"""Disks that are full, slow, broken or for reading only, memory that is short, threads that go on writing.

The disks are real ones: mounted for the test, in a namespace of its own, where the system lets us. `storage/disk.py` is
one that is as bad as it is told.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DISK = Path(__file__).parent.parent / "storage" / "disk.py"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux's mounts and limits")


def run_where(mount: str, folder: Path, source: str, *, timeout: float = 200.0) -> list[Any]:
    """Run a program in a folder where something has been mounted; return what it prints, as JSON, line by line."""
    (folder / "session.py").write_text(source)
    program = f"{mount} && cd {folder} && exec {sys.executable} session.py"
    if mount == "DISK":
        (folder / "disk").mkdir(exist_ok=True)
        (folder / "faults.json").write_text("{}")
        program = f"exec {sys.executable} {DISK} disk faults.json {sys.executable} session.py"
    words = ["unshare", "-rm", "sh", "-c", program]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def may_mount(own_folder: Path) -> Path:
    """The test's folder, if it may mount something there."""
    try:
        run_where("mkdir -p disk && mount -t tmpfs none disk", own_folder, "")
    except (AssertionError, OSError):
        pytest.skip("nothing can be mounted here")
    return own_folder


@pytest.fixture
def bad_disk(may_mount: Path) -> Path:
    """The test's folder; in it, as the program finds it, is `disk`, which is as bad as `faults.json` says."""
    try:
        run_where("DISK", may_mount, "")
    except (AssertionError, OSError):
        pytest.skip("no FUSE here")
    return may_mount


#: What the programs below have in common.
BEGIN = """
import json, os, random, signal, sys, threading, time
import numpy as np
import nbsnap
from nbsnap import Store, background
from nbsnap.maintenance import check
PLACE = "disk/store"
rng = np.random.default_rng(0)
def say(*what): print(json.dumps(what), flush=True)
def faults(**told): open("faults.json", "w").write(json.dumps(told))
def save(names, **how):
    try:
        report = nbsnap.snapshot(names, store=PLACE, notebook="n", **how)
        if report.background: (report,) = nbsnap.wait()
        return "saved"
    except nbsnap.NbSnapError as error:
        return f"{type(error).__name__}: {error}"
def sound(**kept):
    back = {}
    nbsnap.restore("good", back, store=PLACE, notebook="n", only=list(kept))
    return back == kept and check(Store.open(PLACE)).ok and os.listdir(PLACE + "/tmp") == []
"""


# --- disks ------------------------------------------------------------------------------------------------------------


@LINUX
def test_a_disk_that_is_nearly_full(may_mount: Path) -> None:
    """Whatever room there is, a snapshot is wholly there, or a line says that the disk is full; older ones stay."""
    told = run_where(
        "mkdir -p disk && mount -t tmpfs -o size=48m none disk",
        may_mount,
        BEGIN
        + "assert save({'kept': [1, 2]}, name='good') == 'saved'\nrand = random.Random(1)\n"
        + "for turn in range(36):\n"
        + "    room = os.statvfs('disk').f_bavail * 4096\n"
        + "    spare = rand.choice([0, 4096, 12_000, 40_000, 300_000, 900_000, 3_000_000])\n"
        + "    open('disk/filler', 'wb').write(bytes(max(0, room - spare)))\n"
        + "    names = {'a': rng.random(rand.choice([10, 60_000])), 'turn': turn}\n"
        + "    came = save(names, background=turn % 3 == 2)\n    os.remove('disk/filler')\n"
        + "    say(came, sound(kept=[1, 2]))\nsay(save({'a': rng.random(60_000)}), sound(kept=[1, 2]))",
    )
    assert all(sound for _, sound in told)
    came = [line for line, _ in told]
    assert came[-1] == "saved"
    assert {line.partition(":")[0] for line in came} == {"saved", "StoreError", "NbSnapError"}
    for line in came:
        assert line == "saved" or ("disk full: " in line and "the earlier ones are as they were" in line), line
        assert "\n" not in line


@LINUX
def test_a_store_on_a_disk_for_reading_only(may_mount: Path) -> None:
    """It restores, maps and checks as ever; a snapshot there is refused, and the default store is put elsewhere."""
    first = "names = {'a': rng.random(3_000_000), 'b': [1]}\nsay(save(names, name='good'), float(names['a'].sum()))"
    ((saved, total),) = run_where("true", may_mount, BEGIN + first)
    assert saved == "saved"
    told = run_where(
        "mount --bind . . && cd . && mount -o remount,ro,bind .",
        may_mount,
        BEGIN
        + "names = {}\nreport = nbsnap.restore('good', names, store=PLACE, notebook='n')\n"
        + "say(report.ok, float(names['a'].sum()), len(check(Store.open(PLACE)).problems))\n"
        + "names['a'][0] = 1; names['b'].append(2)\nsay(save(names), save(names, background=True))\n"
        + "report = nbsnap.snapshot({'c': 3})\nsay(report.notes, report.store)\n"
        + "back = {}; nbsnap.restore(namespace=back); say(back)",
    )
    assert told[0] == [True, total, 0]
    for line in told[1]:
        assert line.startswith("StoreNotWritable: ")
        assert line.endswith("cannot be written: Read-only file system; NBSNAP_STORE names another place")
    assert told[2][0] == [f"{may_mount}/.nbsnap cannot be written, so snapshots are kept in {told[2][1]}"]
    assert told[3] == [{"c": 3}]


@LINUX
@pytest.mark.slow
def test_a_slow_disk(bad_disk: Path) -> None:
    """It takes as long as it takes; Ctrl-C does not wait for it, nor does the prompt, and nobody is taken for hung."""
    told = run_where(
        "DISK",
        bad_disk,
        BEGIN
        + "names = {'a': rng.random(2_000_000), 'b': [1]}\nassert save(names, name='good') == 'saved'\n"
        + "faults(write=0.3, fsync=1.0)\nlate = []\n"
        + "for wait in (0.2, 0.8, 2.0, 3.0, 5.0):\n    names['a'] += 1\n    sent = []\n"
        + "    def press():\n        time.sleep(wait); sent.append(time.time()); os.kill(os.getpid(), signal.SIGINT)\n"
        + "    thread = threading.Thread(target=press); thread.start()\n"
        + "    try: save(names); thread.join()\n    except KeyboardInterrupt: late.append(time.time() - sent[0])\n"
        + "say(*late)\nfaults(); time.sleep(1); say(sound(b=[1]))\n"
        + "faults(write=0.1, fsync=4.0)\nbackground.PATIENCE, background._LOOK = 1.0, 0.2\nbegan = time.time()\n"
        + "nbsnap.snapshot(names, store=PLACE, notebook='n', background=True); waited = time.time() - began\n"
        + "(report,) = nbsnap.wait(); faults(); say(waited, time.time() - began, len(report.id), sound(b=[1]))",
    )
    late, sound, (waited, took, id, still) = told
    assert len(late) == 5
    assert sorted(late)[2] < 1.0  # 0.2 s, and the write under way: this disk does one thing at a time
    assert max(late) < 2.5
    assert sound == [True]
    assert waited < 1.0 < 4.0 < took
    assert (id, still) == (64, True)


@LINUX
def test_a_broken_disk_and_one_that_becomes_full(bad_disk: Path) -> None:
    """At whatever write or flush it fails, in the foreground or not: a line, nothing lost, and later all is well."""
    told = run_where(
        "DISK",
        bad_disk,
        BEGIN
        + "names = {'a': rng.random(1_500_000), 'b': [1]}\nassert save(names, name='good') == 'saved'\n"
        + "rooms = [{'room': 12_500_000 + more} for more in (0, 3_000_000, 8_000_000, 11_400_000)]\n"
        + "for bad in ({'broken': True}, *rooms):\n    for behind in (False, True):\n"
        + "        names['a'] += 1; faults(**bad); came = save(names, background=behind)\n"
        + "        faults(); time.sleep(0.2); say(came, sound(b=[1]))\n"
        + "say(save(names), sound(b=[1]))",
    )
    assert all(sound for _, sound in told)
    for line, _ in told[:2]:
        assert "cannot be written: Input/output error" in line
    for line, _ in told[2:-1]:
        assert "disk full: " in line
    assert told[-1][0] == "saved"


# --- memory -----------------------------------------------------------------------------------------------------------

SHORT = """
import gc, re, resource, sys
names = {"a": rng.random(4_000_000), "d": [{"i": i} for i in range(50_000)], "z": np.zeros(2_000_000)}
assert save({"b": [1]}, name="good") == "saved"
gc.collect()
size = int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read())[1]) << 10
resource.setrlimit(resource.RLIMIT_AS, (size + (int(SPARE) << 20), resource.RLIM_INFINITY))
came = save(names, background=BEHIND)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
say(came, sound(b=[1]), save(names))
"""


@LINUX
@pytest.mark.parametrize("behind", [False, True], ids=["foreground", "background"])
@pytest.mark.parametrize("spare", [0, 2, 5, 9, 14, 24, 60])
def test_memory_that_is_short(two_shells: Any, spare: int, behind: bool) -> None:
    """With so many MB of address space left it is saved, or a line says that there is not enough; nothing hangs."""
    (two_shells.folder / "disk").mkdir()
    source = SHORT.replace("SPARE", str(spare)).replace("BEHIND", str(behind))
    came, sound, later = json.loads(two_shells.run(BEGIN + source, timeout=100).out)
    assert came == "saved" or "there is not enough memory" in came
    assert (sound, later) == (True, "saved")
    assert came == "saved" or spare < 60


FORKLESS = """
import ctypes, errno, struct
clone, fork, machine = {"x86_64": (56, 57, 0xC000003E), "aarch64": (220, 0xFFFF, 0xC00000B7)}[os.uname().machine]
rules = [  # no process without the memory of this one; clone3, of which a filter sees nothing, is not there
    (0x20, 0, 0, 0), (0x15, 0, 1, 435), (0x06, 0, 0, 0x50000 | errno.ENOSYS), (0x15, 3, 0, fork), (0x15, 0, 3, clone),
    (0x20, 0, 0, 16), (0x45, 1, 0, 0x100), (0x06, 0, 0, 0x50000 | errno.ENOMEM), (0x06, 0, 0, 0x7FFF0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
filter = struct.pack("HxxxxxxP", len(rules), ctypes.addressof(program))
assert libc.prctl(22, 2, ctypes.create_string_buffer(filter), 0, 0) == 0
try: os.fork()
except OSError as error: assert error.errno == errno.ENOMEM
else: os._exit(3)
threading.Thread(target=print).start()
report = nbsnap.snapshot({"a": rng.random(1_000_000)}, store=PLACE, background=True)
say(report.background, len(report.id), report.notes, os.listdir("/proc/self/fd") == os.listdir("/proc/self/fd"))
"""


@LINUX
def test_a_fork_that_the_system_refuses(two_shells: Any) -> None:
    """Out of memory, it says: the snapshot is written before the call returns, and a note says why."""
    (two_shells.folder / "disk").mkdir()
    *_, line = two_shells.run(BEGIN + FORKLESS).out.splitlines()
    is_behind, id, notes, _ = json.loads(line)
    assert (is_behind, id) == (False, 64)
    assert notes == ["there is no room for another process: it was written before you could go on"]


# --- threads ----------------------------------------------------------------------------------------------------------

RESTLESS = """
import collections, pandas as pd
sys.setswitchinterval(1e-5)
class Thing: pass
def make():
    thing = Thing(); thing.held = {k: [k] for k in range(2000)}
    return {
        "names": {k: str(k) for k in range(5000)}, "rows": [[k] for k in range(5000)],
        "words": {f"w{k}" for k in range(5000)},
        "queue": collections.deque(range(5000)), "order": collections.OrderedDict((k, [k]) for k in range(2000)),
        "many": collections.defaultdict(list, {k: [k] for k in range(2000)}), "thing": thing,
        "frame": pd.DataFrame({"a": range(1000)}), "mixed": pd.DataFrame({"a": range(100), "b": ["x"] * 100}),
    }
def change(live, k):
    live["names"][f"k{k}"] = str(k); live["names"].pop(f"k{k - 50}", None)
    live["rows"].append([k]); live["rows"].pop(0)
    live["words"].add(f"x{k}"); live["words"].discard(f"x{k - 50}")
    live["queue"].append(k); live["queue"].popleft()
    live["order"][f"k{k}"] = [k]; live["order"].pop(f"k{k - 50}", None)
    live["many"][f"k{k}"].append(k); live["many"].pop(f"k{k - 50}", None)
    live["thing"].held[f"k{k}"] = [k]; live["thing"].held.pop(f"k{k - 50}", None)
    setattr(live["thing"], f"a{k % 97}", k)
    live["frame"][f"c{k % 5}"] = k; live["mixed"][f"c{k}"] = k; live["mixed"].pop(f"c{k - 3}") if k > 3 else None
live, go_on, k = make(), True, 0
def work():
    k = 0
    while go_on:
        k += 1; change(live, k)
thread = threading.Thread(target=work); thread.start()
for turn in range(15):
    report = nbsnap.snapshot(live, store=PLACE, notebook="n")
    back = {}; restored = nbsnap.restore("latest", back, store=PLACE, notebook="n")
    whole = [len(back.get("queue", ())) in (5000, 5001), len(back.get("rows", ())) in (5000, 5001)]
    managers = [back[name]._mgr for name in ("frame", "mixed")]
    frames = [len(m.axes[0]) == sum(len(block.mgr_locs) for block in m.blocks) for m in managers]
    lost = [(skip.name, skip.reason) for skip in (*report.skipped, *restored.failed)]
    say(lost, sorted(back) == sorted(live), whole, frames)
go_on = False; thread.join()
"""


def test_what_another_thread_changes_all_the_time(two_shells: Any) -> None:
    """Containers, objects and frames are saved as they were at some moment of it, and come back; nothing is lost."""
    (two_shells.folder / "disk").mkdir()
    lines = two_shells.run(BEGIN + RESTLESS, timeout=200).out.splitlines()
    assert len(lines) == 15
    for line in map(json.loads, lines):
        assert line == [[], True, [True, True], [True, True]]


# --- a small control group --------------------------------------------------------------------------------------------

#: Limits a group of processes to so many MB in all, page cache included, and runs the session in it.
CONFINED = """
set -e
mkdir -p group
mount -t cgroup -o memory none group 2>/dev/null || mount -t cgroup2 none group
here=group/nbsnap-$$
mkdir $here
if [ -e $here/memory.max ]; then limit=memory.max; else limit=memory.limit_in_bytes; fi
echo {limit}M > $here/$limit
code=0
sh -c "echo \\$\\$ > $here/cgroup.procs && exec {python} session.py" || code=$?
rmdir $here
exit $code
"""

CROWDED = """
import gc, json, sys
import numpy as np
import nbsnap
from nbsnap.maintenance import check

rng = np.random.default_rng(1)
big = rng.random(20_000_000)  # 160 MB of the 320
rows = [{"at": at, "text": f"row {at}"} for at in range(100_000)]
told = []
def same(): return (float(big.sum()), big[5], len(rows), rows[-1]["text"])
for call in ({}, {"background": True}, {}, {"background": True}):
    big[len(told) * 1_000_000] = -1.0
    rows.append({"at": len(rows), "text": f"row {len(rows)}"})
    report = nbsnap.snapshot(only=["big", "rows"], **call)
    for ended in nbsnap.wait() if call and report.background else [report]:
        told.append([ended.ok, bool(ended.id)])
before = same()
for kept in ({}, {"map": False}):
    del big, rows
    gc.collect()
    assert nbsnap.restore(**kept).ok
    told.append(same() == before)
with nbsnap.Store.open(".nbsnap") as store:
    told.append(check(store).ok)
print(json.dumps(told))
"""


@LINUX
def test_a_small_control_group(own_folder: Path) -> None:
    """Session, store and page cache have 320 MB, as in a container: all is saved and restored, nobody is killed."""
    words = ["unshare", "-m", "sh", "-c", CONFINED.format(limit=320, python=sys.executable)]

    def confined(source: str) -> subprocess.CompletedProcess[str]:
        (own_folder / "session.py").write_text(source)
        return subprocess.run(words, cwd=own_folder, capture_output=True, text=True, check=False, timeout=200)

    try:
        may = confined("").returncode == 0
    except OSError:
        may = False
    if not may:
        pytest.skip("no control group can be made here")
    assert confined("b'x' * (400 << 20)").returncode == 137  # the limit holds
    done = confined(CROWDED)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout) == [[True, True]] * 4 + [True] * 3
