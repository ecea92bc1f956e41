"""Whose a store is, who may enter it, and that nothing leads out of it: real folders, links, another user's process."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from storage.making import mixed, restore, save

from nbsnap import owners
from nbsnap.errors import SnapshotNotFound, StoreError, StoreNotWritable
from nbsnap.folder import FolderBackend
from nbsnap.maintenance import check
from nbsnap.packs import decode_index
from nbsnap.store import Store

pytestmark = pytest.mark.skipif(os.name != "posix", reason="owners and modes")
as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be two users")

OTHER = 54321  # a user that is nobody here


@pytest.fixture
def umask() -> Iterator[Callable[[int], object]]:
    """Set the umask; it is put back."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def modes(place: Path) -> dict[str, set[int]]:
    """The modes of all folders, and of all files."""
    found: dict[str, set[int]] = {"folders": {stat.S_IMODE(place.stat().st_mode)}, "files": set()}
    for path in place.rglob("*"):
        found["folders" if path.is_dir() else "files"].add(stat.S_IMODE(path.lstat().st_mode))
    return found


@pytest.mark.parametrize("mask", [0, 0o777, 0o077, 0o200])
def test_folders_are_0700_and_files_0600_whatever_the_umask(own_folder: Path, umask: Callable, mask: int) -> None:
    """A store that is made, written and pruned under any umask is for its owner alone, and works."""
    place = own_folder / "store"
    umask(mask)
    with Store.open(place, create=True) as store:
        save(store, mixed())
        save(store, mixed(1))
        store.prune(last=1)
    umask(0o022)
    assert modes(place) == {"folders": {0o700}, "files": {0o600}}
    assert check(Store(place)).ok


def test_folders_that_others_may_enter_are_closed_before_anything_is_written(own_folder: Path) -> None:
    """A store of one's own that was opened to others, or made in an open folder, is closed by the next snapshot."""
    place = own_folder / "store"
    place.mkdir(mode=0o755)
    with Store.open(place, create=True) as store:
        save(store, mixed())
    for folder in (place, place / "packs", place / "tmp"):
        folder.chmod(0o777)
    with Store.open(place, create=True) as store:
        save(store, mixed(1))
    assert modes(place)["folders"] == {0o700}


@as_root
@pytest.mark.parametrize("folder", ["", "packs", "snapshots", "tmp"])
def test_a_store_of_another_users_is_not_written_to(own_folder: Path, folder: str) -> None:
    """Not even by root: it says whose it is. It can be looked at."""
    place = own_folder / "store"
    with Store.open(place, create=True) as store:
        save(store, mixed())
    os.chown(place / folder, OTHER, OTHER)
    with pytest.raises(StoreNotWritable, match=f"another user: uid {OTHER}"):
        Store.open(place, create=True)
    store = Store(place)
    assert f"uid {OTHER}" in store.stranger()
    assert len(store.list().snapshots) == 1
    for change in (lambda: store.prune(last=1), lambda: store.delete("latest"), lambda: save(store, mixed(1))):
        with pytest.raises(StoreError, match="another user"):
            change()
    assert check(Store(place)).ok
    assert not list(place.rglob(".owner*"))


@as_root
def test_a_notebooks_folder_of_another_users_is_told(own_folder: Path) -> None:
    """So is one deeper down, before anything of it is restored."""
    place = own_folder / "store"
    with Store.open(place, create=True) as store:
        save(store, mixed())
    os.chown(next((place / "snapshots").iterdir()), OTHER, OTHER)
    assert f"uid {OTHER}" in Store(place).stranger()


@as_root
def test_a_link_of_another_users_does_not_choose_the_place(own_folder: Path) -> None:
    """A store behind a link is one's own arrangement; behind another user's link, it is not."""
    (own_folder / "elsewhere").mkdir()
    link = own_folder / "store"
    link.symlink_to("elsewhere")
    with Store.open(link, create=True) as store:
        save(store, mixed())
    assert not Store(link).stranger()
    os.chown(link, OTHER, OTHER, follow_symlinks=False)
    assert "the link" in Store(link).stranger()
    with pytest.raises(StoreNotWritable, match="the link"):
        Store.open(link, create=True)


@as_root
def test_in_a_shared_directory(tmp_path: Path) -> None:
    """Where all may write (sticky, as /tmp): another process, of another user, can neither read nor spoil the store."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    for parent in shared.parents:
        if parent.stat().st_mode & 0o005 != 0o005:
            shared = Path(f"/tmp/nbsnap-test-{os.getpid()}")
            shared.mkdir()
            shared.chmod(0o1777)
            break
    try:
        place = shared / ".nbsnap"
        with Store.open(place, create=True) as store:
            save(store, mixed())
        said = other(
            "import os\n"
            "for call in (lambda: os.listdir(place), lambda: open(place + '/store.json').read(),\n"
            "        lambda: os.rename(place, place + 'x'), lambda: os.mkdir(place + '/packs/x'),\n"
            "        lambda: os.rmdir(place), lambda: os.chmod(place, 0o777),\n"
            "        lambda: os.symlink('/', place + '/tmp/x')):\n"
            "    try: call(); print('done')\n"
            "    except OSError as error: print(type(error).__name__)\n",
            str(place),
        )
        assert said.split() == ["PermissionError"] * 7
        theirs = shared / "theirs"
        other("import os\nos.umask(0)\nos.mkdir(place)\nos.mkdir(place + '/packs')\n", str(theirs))
        with pytest.raises(StoreNotWritable, match="another user"):
            Store.open(theirs, create=True)
        assert sorted(os.listdir(theirs)) == ["packs"]
    finally:
        if shared.parent != tmp_path:
            import shutil

            shutil.rmtree(shared)


@as_root
def test_another_users_store_beside_the_notebook_is_passed_by(tmp_path: Path) -> None:
    """Where somebody else has put a `.nbsnap`, snapshots are kept in the user's data folder, and a line says why."""
    place = tmp_path / "work" / ".nbsnap"
    place.mkdir()
    os.chown(place, OTHER, OTHER)
    program = "import nbsnap\nx = 1\nreport = nbsnap.snapshot()\nprint(report.store, report.notes)\nnbsnap.restore()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert "stores" in done.stdout
    assert f"belongs to another user: uid {OTHER}, so snapshots are kept in" in done.stdout
    assert not list(place.iterdir())


@as_root
def test_a_snapshot_in_another_users_store_is_loaded_on_the_users_word_alone(own_folder: Path) -> None:
    """Though it is signed: TrustError says whose the store is."""
    program = "import nbsnap, sys\nx = 1\nnbsnap.snapshot(notebook='n')"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    os.chown(own_folder / ".nbsnap", OTHER, OTHER)
    program = (
        "import nbsnap\n"
        "try: nbsnap.restore(store='.nbsnap', notebook='n')\n"
        "except nbsnap.TrustError as error: print(error.trust, error)\n"
        "assert nbsnap.restore(store='.nbsnap', notebook='n', trust=True).trust == 'given' and x == 1"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("foreign")
    assert f"belongs to another user: uid {OTHER}" in done.stdout


# --- links ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["packs", "snapshots", "tmp", "locks"])
def test_a_folder_that_is_a_link_is_not_followed(own_folder: Path, folder: str) -> None:
    """Neither for writing nor for cleaning up: what lies where it leads is as it was, however old it is."""
    place, outside = own_folder / "store", own_folder / "outside"
    with Store.open(place, create=True) as store:
        save(store, mixed())
    outside.mkdir()
    for name in ("precious", "host-123-0123456789abcdef"):
        (outside / name).write_text("mine")
        os.utime(outside / name, (0, 0))
    before = sorted(os.listdir(outside))
    target = place / folder
    if target.is_dir():
        target.rename(own_folder / "was")
    target.symlink_to(outside)
    for change in (
        lambda: Store.open(place, create=True),
        lambda: save(Store(place), mixed(1)),
        lambda: Store(place).prune(last=1),
        lambda: Store(place).list(),
        lambda: check(Store(place)),
    ):
        try:
            change()
        except StoreError as error:
            assert "link" in str(error) or "missing" in str(error) or "no snapshot" in str(error), error
    assert sorted(os.listdir(outside)) == before
    assert (outside / "precious").read_text() == "mine"


def test_files_that_are_links_are_not_read(own_folder: Path) -> None:
    """A pack, an index, a manifest or the store's own file that is a link elsewhere is an error, never its target."""
    place = own_folder / "store"
    with Store.open(place, create=True) as store:
        save(store, mixed())
    for file in [*place.rglob("*.pack"), *place.rglob("*.snap"), place / "store.json"]:
        away = file.rename(own_folder / "away")
        file.symlink_to(away)
        with pytest.raises((StoreError, SnapshotNotFound)):
            restore(Store(place))
        file.unlink()
        away.rename(file)
    assert check(Store(place)).ok


def test_what_was_put_into_the_folder_of_locks_does_not_stop_the_store(own_folder: Path) -> None:
    """Links and pipes there are no writer's signs of life: the store can be written and pruned, and they stay."""
    place = own_folder / "store"
    with Store.open(place, create=True) as store:
        save(store, mixed())
    for folder in ("tmp", "locks"):
        (place / folder).mkdir(exist_ok=True)
        (place / folder / "elsewhere-1-0123456789abcdef").symlink_to("/nowhere")
        os.mkfifo(place / folder / "elsewhere-2-0123456789abcdef")
        (place / folder / "precious").write_text("mine")
        os.utime(place / folder / "precious", (0, 0))
    with Store.open(place, create=True) as store:
        save(store, mixed(1))
        store.prune(last=1)
    assert (place / "tmp" / "precious").read_text() == "mine"
    assert (place / "tmp" / "elsewhere-1-0123456789abcdef").is_symlink()


def test_hard_links_are_never_written_through(own_folder: Path) -> None:
    """A file of the store that is a second name of another: new content takes its name, and the other stays."""
    place = own_folder / "store"
    with Store.open(place, create=True) as store:
        save(store, mixed())
    mine = own_folder / "mine"
    mine.write_text("precious")
    mine.chmod(0o640)
    for name in ("store.json", ".gitignore"):
        (place / name).unlink()
        os.link(mine, place / name)
    with pytest.raises(StoreError, match="damaged"):
        Store.open(place, create=True)
    (place / "store.json").unlink()
    (place / "store.json").write_text('{"format":1}\n')
    with Store.open(place, create=True) as store:
        save(store, mixed(1))
        store.prune(last=1)
    assert mine.read_text() == "precious"
    assert stat.S_IMODE(mine.stat().st_mode) == 0o640


def test_only_files_that_nobody_else_may_change_are_mapped(own_folder: Path) -> None:
    """A pack that others may write to, or of another user's, is read and verified instead."""
    place = own_folder / "store"
    with Store.open(place, create=True) as store:
        save(store, mixed())
    pack = next((place / "packs").glob("*.pack"))
    name = f"packs/{pack.name}"
    assert FolderBackend(place, may_map=lambda fd: True).to_map(name) is not None
    pack.chmod(0o666)
    assert FolderBackend(place, may_map=lambda fd: True).to_map(name) is None
    pack.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(pack, OTHER, OTHER)
        assert FolderBackend(place, may_map=lambda fd: True).to_map(name) is None
    assert decode_index(pack.with_suffix(".index").read_bytes(), pack.stem).count


def test_a_file_system_without_owners_is_not_taken_for_a_stranger(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a new file seems to be somebody else's, too, owners mean nothing."""
    assert owners.stranger(str(own_folder)) == ""
    monkeypatch.setattr(os, "geteuid", lambda: OTHER)
    assert (owners.stranger(str(own_folder)) == "") == os.access(own_folder, os.W_OK)
    assert not list(own_folder.iterdir())


AS_ANOTHER = f"import os, sys\nplace = sys.argv[1]\nos.setgroups([])\nos.setgid({OTHER})\nos.setuid({OTHER})\n"


def other(program: str, place: str) -> str:
    """Run a program as another user, in a process of its own; return what it says."""
    done = subprocess.run(
        [sys.executable, "-c", f"{AS_ANOTHER}{program}", place],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
