"""`nbsnap enable` and `disable`: one line in the profile, the rest of the file byte for byte."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import nbsnap
from nbsnap import profile
from nbsnap.errors import NbSnapError

PACKAGE_HOME = str(Path(nbsnap.__file__).resolve().parent.parent)

CONTENTS = {
    "empty": b"",
    "comment": b"# mine\n",
    "no line end": b"c = get_config()\nc.InteractiveShell.colors = 'NoColor'",
    "crlf": b"c = get_config()\r\nc.InteractiveShell.autocall = 0\r\n",
    "crlf, no line end": b"c = get_config()\r\nx = 1",
    "latin-1": b"# -*- coding: latin-1 -*-\nname = '\xe9t\xe9'\n",
    "utf-8 with a mark": b"\xef\xbb\xbfname = '\xc3\xa9'\n",
    "own list": b"c = get_config()\nc.InteractiveShellApp.extensions = ['autoreload']\n",
    "a block at the end": b"if True:\n    x = 1",
    "looks like ours": b"# " + profile.LINE + b"\n",
}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration file of the default profile in an IPython folder of the test's own."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    file = tmp_path / "ipython" / "profile_default" / "ipython_config.py"
    file.parent.mkdir(parents=True)
    return file


@pytest.mark.parametrize("before", CONTENTS.values(), ids=CONTENTS)
def test_there_and_back(config: Path, before: bytes) -> None:
    """enable adds one line, twice changes nothing more, disable leaves the file as it was to the byte."""
    config.write_bytes(before)
    change = profile.enable()
    assert (change.changed, change.enabled, change.file) == (True, True, str(config))
    enabled = config.read_bytes()
    assert enabled.startswith(before)
    assert enabled.count(profile.LINE) == before.count(profile.LINE) + 1
    assert (b"\r\n" in enabled) == (b"\r\n" in before) or before.count(b"\n") == 0
    assert not profile.enable().changed
    assert config.read_bytes() == enabled
    assert profile.disable().changed
    assert config.read_bytes() == before
    assert not profile.disable().changed


def test_a_file_that_was_not_there_is_gone_again(config: Path) -> None:
    """enable makes the file and the folder where they are missing; disable removes the file that it made."""
    config.parent.rmdir()
    assert profile.disable().what == "as it was"
    assert not config.parent.exists()
    assert profile.enable().what == "made"
    assert profile.disable().what == "removed"
    assert not config.exists()


def test_what_the_user_wrote_in_between_stays(config: Path) -> None:
    """Lines before and after ours, written later, are left alone."""
    profile.enable()
    config.write_bytes(b"x = 1\n" + config.read_bytes() + b"y = 2\n")
    profile.disable()
    assert config.read_bytes() == b"x = 1\n" + profile.MADE + b"y = 2\n"


def test_mode_and_links_are_kept(config: Path, tmp_path: Path) -> None:
    """A link into a folder of dotfiles stays a link, the file keeps its mode, and no other file is left behind."""
    real = tmp_path / "dotfiles.py"
    real.write_bytes(b"x = 1\n")
    real.chmod(0o640)
    config.symlink_to(real)
    profile.enable()
    assert config.is_symlink()
    assert profile.LINE in real.read_bytes()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert os.listdir(config.parent) == [config.name]
    profile.disable()
    assert real.read_bytes() == b"x = 1\n"


def test_a_file_that_python_cannot_read_is_left_alone(config: Path) -> None:
    """IPython would not read such a file, so a line in it would be a promise not kept."""
    config.write_bytes(b"c = (\n")
    with pytest.raises(NbSnapError, match="not valid Python"):
        profile.enable()
    assert config.read_bytes() == b"c = (\n"


def test_a_json_file_that_wins(config: Path) -> None:
    """Where ipython_config.json settles the extensions, enable says what to add there, and changes nothing."""
    other = config.with_suffix(".json")
    other.write_text(json.dumps({"InteractiveShellApp": {"extensions": ["autoreload"]}}))
    with pytest.raises(NbSnapError, match=r"ipython_config\.json"):
        profile.enable()
    assert not config.exists()
    other.write_text(json.dumps({"InteractiveShell": {"autocall": 0}}))
    assert profile.enable().changed


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(config: Path) -> None:
    """One line that names the file."""
    config.parent.chmod(0o500)
    with pytest.raises(NbSnapError, match=r"ipython_config\.py: Permission denied"):
        profile.enable()
    config.parent.chmod(0o700)


def test_other_profiles(config: Path) -> None:
    """A profile of another name has to be there; a name close to it is told."""
    (config.parent.parent / "profile_work").mkdir()
    assert "profile_work" in profile.enable("work").file
    with pytest.raises(NbSnapError, match="did you mean work"):
        profile.enable("wrok")
    assert not config.exists()


@pytest.mark.parametrize("told", ["set", "home", "xdg", "both"])
def test_the_folder_is_the_one_that_ipython_uses(told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """IPYTHONDIR, ~/.ipython and an old ~/.config/ipython, in IPython's own order."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("IPYTHONDIR")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    if told == "set":
        monkeypatch.setenv("IPYTHONDIR", "~/elsewhere")
    if told in ("xdg", "both"):
        (tmp_path / ".config" / "ipython").mkdir(parents=True)
    if told == "both":
        (tmp_path / ".ipython").mkdir()
    mine = profile.config_file("default").parent.parent
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "from IPython.paths import get_ipython_dir as d; print(d())"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert str(mine) == done.stdout.strip()


# ---- real starts -----------------------------------------------------------------------------------------------------


def test_a_real_ipython_loads_it(config: Path, cli, own_folder: Path) -> None:
    """After `nbsnap enable` IPython has the magics, beside the user's own extensions; after disable it has not."""

    def loaded() -> str:
        ask = "i = get_ipython(); print(*i.extension_manager.loaded, i.find_line_magic('snapshot') is not None)"
        done = subprocess.run(
            [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", ask],
            cwd=own_folder,
            env={**os.environ, "PYTHONPATH": PACKAGE_HOME},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return (done.stdout + done.stderr).strip()

    config.write_bytes(b"c.InteractiveShellApp.extensions = ['autoreload']\nc.StoreMagics.autorestore = False\n")
    assert loaded().endswith("False")
    said = cli("enable").out
    assert str(config) in said
    after = loaded()
    assert "autoreload" in after, "the user's own list stays"
    assert "nbsnap" in after
    assert after.endswith("True")
    assert "nothing to change" in cli("enable").out
    assert cli("enable", "--json").json == {
        "file": str(config), "profile": "default", "enabled": True, "changed": False, "what": "as it was",
    }  # fmt: skip
    assert "no longer loads" in cli("disable").out
    assert loaded().endswith("False")


@pytest.mark.kernel
def test_a_real_kernel_loads_it_and_shows_the_hint(config: Path, cli, own_folder: Path) -> None:
    """A kernel of that profile has the magics; the hint comes with its first cell, once, and nothing else."""
    manager_module = pytest.importorskip("jupyter_client.manager")
    cli("enable")
    env = {**os.environ, "PYTHONPATH": PACKAGE_HOME, "JPY_SESSION_NAME": str(own_folder / "work.ipynb")}

    def session(*cells: str) -> list[str]:
        manager, client = manager_module.start_new_kernel(env=env, cwd=str(own_folder), startup_timeout=60)
        try:
            said = []
            for cell in cells:
                parts: list[str] = []

                def hear(message, parts=parts):
                    content = message["content"]
                    parts.append(content.get("text") or content.get("data", {}).get("text/plain", ""))

                reply = client.execute_interactive(cell, output_hook=hear, timeout=60)
                assert reply["content"]["status"] == "ok", (cell, parts)
                said.append("".join(parts))
            return said
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)

    first = session("x = 41", "%snapshot")
    assert first[0] == "", "no snapshot yet: no hint"
    assert "Snapshot" in first[1]
    second = session("1 + 1", "2 + 2")
    assert second[0].startswith("nbsnap: 1 variable")
    assert second[0].endswith("2"), "and then the cell's own result"
    assert second[1] == "4"
    third = session("%restore", "x + 1")
    assert third[0].startswith("Restored"), "whoever restores at once needs no hint"
    assert third[1] == "42"
