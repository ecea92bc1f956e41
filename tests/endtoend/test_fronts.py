"""What other front ends than JupyterLab do to a kernel, done to a real one: VS Code, Colab, Kaggle, Binder.

Their variables and files are as docs/fronts.md says; what only their pages can show is not tested here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from nbsnap import fleeting

# What VS Code runs in a kernel before the user's first cell, without storing it in the history.
VSCODE = """
import types as _VSCODE_types
import os
import hashlib as _VSCODE_hashlib
__VSCODE_wrapped_run_cell = False
def __VSCODE_compute_hash(code, number=0): return _VSCODE_hashlib.sha1(code.encode()).hexdigest()
__DW_SCOPE__ = {{}}
__vsc_ipynb_file__ = {path!r}
"""


def vscode(pair: Any, path: Path | str, **more: Any) -> Any:
    """A kernel as VS Code starts it: no JPY_SESSION_NAME, its own names in the namespace."""
    kernel = pair.start(load=False, **more)
    kernel.run("import os; del os.environ['JPY_SESSION_NAME'], os")
    kernel.collect(kernel.send(VSCODE.format(path=str(path)), store_history=False))
    return kernel


@pytest.mark.kernel
def test_vs_code(kernel_pair: Any, tmp_path: Path) -> None:
    """The notebook is the one that VS Code names, its folder holds the store; VS Code's own names are nobody's."""
    folder = tmp_path / "project"
    folder.mkdir()
    first = vscode(kernel_pair, folder / "analysis.ipynb")
    first.run("%load_ext nbsnap\nx = 1; fruits = ['fig']")
    report = first.run("%snapshot -v").text
    assert "_VSCODE" not in report
    assert "__DW" not in report
    assert (folder / ".nbsnap").is_dir()
    assert "1 snapshot of analysis.ipynb" in first.run("%snapshots").text
    first.kill()
    second = vscode(kernel_pair, folder / "analysis.ipynb")
    assert "were saved here" in second.run("%load_ext nbsnap").text  # though os and others are in the namespace
    second.run("%restore --exact")
    assert second.value("x, fruits, callable(__VSCODE_compute_hash), __DW_SCOPE__") == (1, ["fig"], True, {})
    other = vscode(kernel_pair, folder / "other.ipynb")
    assert other.run("%load_ext nbsnap").text == ""
    far = vscode(kernel_pair, r"c:\Users\ada\far.ipynb")  # the page runs elsewhere than the kernel
    far.run("%load_ext nbsnap\nx = 1\n%snapshot -q")
    assert r"of c:\Users\ada\far.ipynb in " in far.run("%snapshots").text


@pytest.mark.kernel
def test_colab_says_once_that_its_disk_goes(kernel_pair: Any) -> None:
    """The first snapshot says how to keep them on Drive, the second nothing more; nor does a dry run."""
    kernel = kernel_pair.start(env={"COLAB_RELEASE_TAG": "release-colab_20260101"})
    kernel.run("x = 1")
    assert "Colab" not in kernel.run("%snapshot --dry-run").text
    first = kernel.run("%snapshot")
    assert "Colab takes this disk away with the runtime" in first.text
    assert "&#x27;/content/drive/MyDrive/nbsnap&#x27;" in first.displays[0]["text/html"]
    assert "Colab" not in kernel.run("x = 2\n%snapshot").text


COLAB, BINDER = {"COLAB_BACKEND_VERSION": "next"}, {"BINDER_REPO_URL": "x"}


@pytest.mark.parametrize(
    ("place", "environment", "said"),
    [
        ("/content/.nbsnap", {}, ""),
        ("/content/.nbsnap", COLAB, "Colab takes"),
        ("/content/drive/MyDrive/nbsnap", COLAB, ""),
        ("/content/drivel/nbsnap", COLAB, "Colab takes"),
        ("s3://bucket/nbsnap", COLAB, ""),
        ("/kaggle/working/.nbsnap", {"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}, "only with Persistence"),
        ("/kaggle/working/.nbsnap", {"KAGGLE_KERNEL_RUN_TYPE": "Batch"}, "output of this version"),
        ("/kaggle/temp/.nbsnap", {"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}, "/kaggle/working/.nbsnap"),
        ("/home/jovyan/.nbsnap", BINDER, "Binder takes"),
    ],
)
def test_disks_that_go_away(place: str, environment: Mapping[str, str], said: str) -> None:
    """A line where a store does not outlive the session, and none where it does."""
    line = fleeting.note(place, environment)
    assert said in line
    assert bool(line) is bool(said)
