"""Which distribution a module belongs to, and where it came from, by the files that installers write."""

from __future__ import annotations

import sys
import types

import pytest

from nbsnap import environment, installed
from nbsnap.dangers import DANGERS, degree, release


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Return what puts the files of a distribution into a folder of packages."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(installed, "_known", {})
    monkeypatch.setattr(installed, "_unowned", set())

    def put(name: str, version: str, **files: str) -> None:
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nVersion: 99\n")
        for file, text in files.items():
            (info / file.replace("__", ".")).write_text(text)

    return put


@pytest.mark.parametrize(
    ("told", "how", "origin"),
    [
        (None, "", ""),
        ('{"url": "file:///home/me/p", "dir_info": {"editable": true}}', "editable", "file:///home/me/p"),
        ('{"url": "file:///home/me/p", "dir_info": {}}', "local", "file:///home/me/p"),
        ('{"url": "file:///home/me/p.whl", "archive_info": {}}', "local", "file:///home/me/p.whl"),
        ('{"url": "https://u:p@e.org/p.zip?token=1", "archive_info": {}}', "archive", "https://e.org/p.zip"),
        (
            '{"url": "ssh://git@e.org/p", "vcs_info": {"vcs": "git", "commit_id": "0a"}, "subdirectory": "py"}',
            "vcs",
            "git+ssh://e.org/p@0a#subdirectory=py",
        ),
        ("[]", "", ""),
        ('{"url": 5}', "", ""),
    ],
)
def test_where_it_came_from(site, told, how, origin):
    """direct_url.json tells it; passwords and queries are left out."""
    site("gizmo", "1.0", **({} if told is None else {"direct_url__json": told}))
    found = installed.named("gizmo")
    assert (found.name, found.version, found.how, found.origin) == ("gizmo", "1.0", how, origin)


def test_a_broken_record_is_none(site):
    """A distribution whose files make no sense is not there, and nothing fails."""
    site("gizmo", "1.0", direct_url__json="{")
    assert installed.named("gizmo") is None
    assert installed.version("") == ""
    assert installed.named("no such thing") is None


def test_conda(site, tmp_path, monkeypatch):
    """What conda has installed has the name of its channel, without its address."""
    records = tmp_path / "conda-meta"
    records.mkdir()
    (records / "gizmo-1.0-h1.json").write_text(
        '{"build": "h1", "channel": "https://me:tk@e.org/t/tk-1/forge/linux-64"}'
    )
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    site("gizmo", "1.0", INSTALLER="conda\n")
    site("wheel_of", "2.0", INSTALLER="conda\n")
    assert (installed.named("gizmo").how, installed.named("gizmo").origin) == ("conda", "forge")
    assert (installed.named("wheel_of").how, installed.named("wheel_of").origin) == ("conda", "")


def test_modules_of_other_names(site, tmp_path, monkeypatch):
    """A module that goes by another name is found by its distribution's list of files, if it is needed."""
    site("gizmo-tools", "1.0", top_level__txt="gizmolib\n")
    (tmp_path / "gizmolib.py").touch()
    monkeypatch.setattr(installed, "folders", lambda: (f"{tmp_path}/",))
    installed._by_files.cache_clear()
    __import__("gizmolib")
    monkeypatch.delitem(sys.modules, "gizmolib")
    assert installed.of_modules(["gizmolib"], ["gizmolib"]) == (), "it is not imported"
    __import__("gizmolib")
    assert installed.of_modules(["gizmolib"]) == (), "it is not needed"
    (found,) = installed.of_modules(["gizmolib"], ["gizmolib"])
    assert (found.name, found.modules) == ("gizmo-tools", ("gizmolib",))
    installed._by_files.cache_clear()
    monkeypatch.delitem(sys.modules, "gizmolib")


def test_packages(site, monkeypatch):
    """Of what is imported: the version that its installer has written, or else the one that the module says itself."""
    for name in ("gizmo_installed", "gizmo_beside", "gizmo_silent"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["gizmo_installed"].__version__ = "0.9"
    sys.modules["gizmo_beside"].__version__ = "0.5"
    site("gizmo_installed", "1.0")
    found = [(name, version) for name, version in environment.packages() if name.startswith("gizmo")]
    assert found == [("gizmo_beside", "0.5"), ("gizmo_installed", "1.0")]


def test_what_was_not_there_may_come(site):
    """A package that is installed while the session goes on is found."""
    assert installed.version("gizmo") == ""
    site("gizmo", "1.0")
    assert installed.version("gizmo") == "1.0"


@pytest.mark.parametrize(
    ("name", "saved", "here", "expected"),
    [
        ("numpy", "2.0.1", "1.26.4", "danger"),
        ("NumPy", "1.26.4", "2.0.1", "differs"),
        ("numpy", "2.1", "2.3", "slightly"),
        ("scikit-learn", "1.5.0", "1.6.0", "danger"),
        ("scikit-learn", "1.5.0", "1.5.2", "slightly"),
        ("polars", "1.9", "1.10", "slightly"),
        ("polars", "1.10", "1.9", "danger"),
        ("other", "1.0", "1.0", ""),
        ("other", "0.4.9", "0.5.0", "differs"),
        ("other", "0.9", "1.0", "differs"),
        ("other", "nightly", "1.0", "differs"),
        ("pytz", "2024.1", "2025.2", "slightly"),
    ],
)
def test_how_much_versions_differ(name, saved, here, expected):
    """The table, and what goes for all that is not in it."""
    assert degree(name, saved, here)[0] == expected


def test_numbers_of_versions():
    """The numbers that a version begins with, whatever follows."""
    assert release("2.4.6") == (2, 4, 6)
    assert release("1!2.0rc1+cu121") == (2, 0)
    assert release("v3") == (3,)
    assert release("") == ()
    assert release("9" * 50) == (999999999,)


def test_the_table_is_of_real_names():
    """Its names are as they are compared: in lower case."""
    assert all(name == name.lower() for name in DANGERS)
    assert {danger.when for danger in DANGERS.values()} <= {"older major", "other major", "older minor", "other minor"}
