"""A snapshot that goes to a colleague or to another machine; and the recipes of the docs, as written."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs" / "elsewhere.md"


class Person:
    """Somebody with a home, a folder and a shell of their own."""

    def __init__(self, base: Path, name: str) -> None:
        self.folder = base / "home" / name
        (self.folder / "jupyter").mkdir(parents=True)
        places = {"HOME": "", "USERPROFILE": "", "XDG_DATA_HOME": "data", "JUPYTER_DATA_DIR": "jupyter"}
        self.env = {key: str(self.folder / part) for key, part in places.items()}
        self.work = self.folder / "work"
        self.work.mkdir()

    def nbsnap(self, *words: str, code: int = 0) -> str:
        """Run `nbsnap WORDS…` in the folder of the notebook."""
        done = subprocess.run(
            [sys.executable, "-m", "nbsnap", *words], cwd=self.work, env={**os.environ, **self.env},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def python(self, code: str) -> str:
        """Run plain Python for the notebook analysis.ipynb."""
        done = subprocess.run(
            [sys.executable, "-c", f"import nbsnap\n{code}"], cwd=self.work,
            env={**os.environ, **self.env, "NBSNAP_NOTEBOOK": "analysis.ipynb"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def kernel(self, pair: Any, notebook: str) -> Any:
        """Start a kernel of a notebook there, with nbsnap."""
        name = str(self.work / notebook)
        kernel = pair.start(load=False, folder=self.work, notebook=name, env=self.env)
        kernel.run("%load_ext nbsnap")
        return kernel


SESSION = """
import numpy as np
rows = (n for n in range(3))
table = np.arange(3_000_000.0)
cfg = {"table": table, "same": [1, 2]}
same = cfg["same"]
def total(): return float(table.sum())
"""


@pytest.mark.kernel
def test_for_a_colleague(kernel_pair: Any, tmp_path: Path) -> None:
    """One file: looked at, loaded in place, imported; what import says last works; nothing loads without --trust."""
    ada, ben = Person(tmp_path, "ada"), Person(tmp_path, "ben")
    kernel = ada.kernel(kernel_pair, "analysis.ipynb")
    kernel.run(SESSION)
    kernel.run("%snapshot before-train")
    kernel.kill()
    ada.nbsnap("export", "before-train", "before-train.nbsnap")
    file = ben.work / "before-train.nbsnap"
    (ada.work / "before-train.nbsnap").rename(file)
    (ada.work / ".nbsnap").rename(ada.folder / "gone")

    kernel = ben.kernel(kernel_pair, "mine.ipynb")
    kernel.run("own = 1\n%snapshot")
    out = kernel.run("%restore --from nofile.nbsnap", ok=False)
    assert f"there is no store at {ben.work / 'nofile.nbsnap'}: there is no such file\n" in out.text + "\n"
    out = kernel.run("%restore --from before-train.nbsnap", ok=False)
    assert "was not made by you" in out.text
    assert re.search(rf"%restore [0-9a-f]{{7}} --from {re.escape(str(file))} --trust loads it\n", out.text + "\n")
    assert "Not loaded: snapshot" in out.text
    assert kernel.run("'table' in globals()").result == "False"
    assert "not made by you" in kernel.run("%restore --from before-train.nbsnap --dry-run").text
    out = kernel.run("%restore --from before-train.nbsnap --trust")
    assert "Restored before-train" in out.text
    assert "To make it again: %restore --rerun rows --from before-train.nbsnap" in out.text
    assert kernel.value("cfg['table'] is table, cfg['same'] is same, total()") == (True, True, 4499998500000.0)
    kernel.run("table[0] = 5; same.append(3)")
    assert "Made again: rows" in kernel.run("%restore --rerun rows --from before-train.nbsnap").text
    assert kernel.value("list(rows), total(), cfg['same']") == ([0, 1, 2], 4499998500005.0, [1, 2, 3])
    kernel.run("%restore --undo")
    assert kernel.value("'table' in globals(), own") == (False, 1)
    assert kernel.run("%snapshots").text.startswith("1 snapshot of mine.ipynb")
    kernel.kill()

    said = ben.nbsnap("import", "before-train.nbsnap").splitlines()
    assert "not made by you, as far as can be told; what is in it: nbsnap show before-train" in said[-2]
    restore = said[-1].removeprefix("  Restore it with: ")
    assert restore == "%restore before-train --trust"
    kernel = ben.kernel(kernel_pair, "mine.ipynb")
    assert "was not made by you" in kernel.run("%restore before-train", ok=False).text
    out = kernel.run(restore)
    assert "it is a snapshot of analysis.ipynb, as mine.ipynb has none of that name" in out.text
    assert kernel.value("cfg['table'] is table, total()") == (True, 4499998500000.0)
    assert "Restored" in kernel.run("%restore").text, "the latest is still the own one"
    assert kernel.value("own") == 1


def test_for_another_machine(tmp_path: Path) -> None:
    """With the same key, what was synced restores without a word; work there comes back the same way."""
    one, two = Person(tmp_path, "one"), Person(tmp_path, "two")
    stick = str(tmp_path / "stick")
    one.python("x = [1]; y = {'x': x}; nbsnap.snapshot()")
    one.nbsnap("sync", ".nbsnap", stick)
    one.nbsnap("key", "export", str(tmp_path / "key"))
    two.nbsnap("key", "import", str(tmp_path / "key"))
    two.nbsnap("sync", stick, ".nbsnap")
    two.python("nbsnap.restore(); assert y['x'] is x; x.append(2); nbsnap.snapshot(name='later')")
    two.nbsnap("sync", ".nbsnap", stick)
    two.nbsnap("key", "export", str(tmp_path / "other"))
    one.nbsnap("key", "import", str(tmp_path / "other"))
    assert "Copied later" in one.nbsnap("sync", stick, ".nbsnap")
    one.python("nbsnap.restore(); assert y['x'] is x; assert x == [1, 2]")


def shape(text: str, places: dict[str, str]) -> str:
    """What was said, without what differs from one time to the next."""
    for place, name in places.items():
        text = text.replace(place, name)
    text = re.sub(r"\b[0-9a-f]{7}\b", "0000000", text)
    text = re.sub(r"\b[\d.,]+ (bytes|kB|MB|GB|ms|s)\b", "N", text)
    text = re.sub(r"\b\d\d:\d\d today\b", "T", text)
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())


@pytest.mark.kernel
def test_the_recipes(kernel_pair: Any, tmp_path: Path) -> None:
    """docs/elsewhere.md, "One file, and sync": each command works as it stands there, and says what is shown."""
    if not DOCS.exists():
        pytest.skip("the documentation is not part of this installation")
    section = DOCS.read_text(encoding="utf-8").partition("## One file, and sync\n")[2].partition("\n## ")[0]
    colleague, _, machine = section.partition("### For another machine of yours")
    machine = machine.partition("### What they do")[0]
    blocks = re.findall(r"```(console)?\n(.*?)```", colleague, re.S)
    assert [kind for kind, _ in blocks] == ["console", "console", "", "console"]
    ada, ben, other = (Person(tmp_path, name) for name in ("ada", "ben", "other"))
    ben.work.rmdir()
    ben.work = ben.folder
    stick = tmp_path / "stick"
    stick.mkdir()
    places = {
        str(ada.work): "/home/ada/work", str(ben.work): "/home/ben", str(stick / "work"): "/media/stick/work",
        str(other.work): "/home/other/work",
    }  # fmt: skip
    ada.python("big = bytes(100_000); cfg = {1: 2}; nbsnap.snapshot(name='before-train', exclude=['nbsnap'])")

    def follow(person: Person, block: str) -> None:
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            line, _, shown = part.partition("\n")
            words = shlex.split(line.replace("/media/stick/work", str(stick / "work")))
            assert words[0] == "nbsnap"
            said = person.nbsnap(*words[1:])
            if shown.strip():
                assert shape(said, places) == shape(shown, {}), line

    follow(ada, blocks[0][1])
    (ben.work / "before-train.nbsnap").write_bytes((ada.work / "before-train.nbsnap").read_bytes())
    follow(ben, blocks[1][1])
    kernel = ben.kernel(kernel_pair, "notebook.ipynb")
    assert "Restored before-train" in kernel.run(blocks[2][1].strip()).text
    follow(ben, blocks[3][1])
    assert "Restored before-train" in kernel.run("%restore before-train --trust").text
    kernel.run("assert big == bytes(100_000)")
    kernel.kill()

    ada.python("nbsnap.restore(); cfg = {1: 3}; nbsnap.snapshot(exclude=['nbsnap'])")
    ada.nbsnap("key", "export", str(tmp_path / "key"))
    other.nbsnap("key", "import", str(tmp_path / "key"))
    there, back = re.findall(r"```console\n(.*?)```", machine, re.S)
    follow(ada, there)
    follow(other, back)
    other.python("nbsnap.restore(); assert cfg == {1: 3}; assert big == bytes(100_000)")
