"""Run a notebook in a real kernel, kill it with SIGKILL in the risky cell, restore in a new one, and go on.

    python examples/run.py examples/quickstart.ipynb

The notebook is run twice, each time in a fresh temporary folder. In the first run, the cell tagged `risky` is sent to
the kernel, and the kernel's process is killed while it works. A second kernel starts, loads nbsnap, restores, and
runs the risky cell and all that follow. In the second run nothing happens to the kernel. The outputs of the cells
from the risky one on, pictures included, must be the same in both; the exit code is 1 when they are not.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
from kernels import Kernel, Output

WIDTH = 100
RISKY_SECONDS = 0.05  # how long the risky cell has been running when the kernel is killed


@dataclass(frozen=True)
class Notebook:
    """The code cells of a notebook, cut in two before the risky one."""

    path: Path
    before: tuple[str, ...]
    after: tuple[str, ...]  # the risky cell first


def read(path: Path) -> Notebook:
    """Read a notebook and find its cell tagged `risky`."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    tagged = [index for index, cell in enumerate(cells) if "risky" in cell.metadata.get("tags", ())]
    if len(tagged) != 1:
        raise SystemExit(f"{path}: exactly one code cell must be tagged 'risky', not {len(tagged)}")
    sources = tuple(cell.source for cell in cells)
    return Notebook(path, sources[: tagged[0]], sources[tagged[0] :])


def show(count: int, source: str, output: Output) -> None:
    """Print a cell in one line, and what it showed below it."""
    lines = [line for line in source.splitlines() if line.strip()]
    first = lines[0] if len(lines[0]) < WIDTH - 20 else lines[0][: WIDTH - 21] + "…"
    more = f"   … {len(lines) - 1} more lines" if len(lines) > 2 else ""
    label = f"In [{count}]"
    print(f"  {label:<8}{first}{more}")
    if len(lines) == 2:
        print(f"          {lines[1]}")
    for line in output.text.rstrip().splitlines():
        print(f"            {line}")
    if output.error:
        print(f"            {output.error}")


def run_cells(kernel: Kernel, sources: Sequence[str], *, quiet: bool = False) -> list[Output]:
    """Run cells one after the other; an error ends the whole program, with the traceback."""
    outputs = []
    for source in sources:
        output = kernel.run(source, ok=False)
        if not quiet or output.error:
            show(output.count, source, output)
        if output.error:
            print(output.traceback)
            raise SystemExit(1)
        outputs.append(output)
    return outputs


def seen(output: Output) -> tuple[str, str, list[bytes]]:
    """What must be equal in both runs: text in the order it appeared, errors, the pictures' bytes."""
    return output.text, output.error or "", output.images


@contextmanager
def fresh_place(notebook: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A temporary folder to run in, and the environment that keeps the user's own folders out of it."""
    with tempfile.TemporaryDirectory(prefix="nbsnap-example-") as name:
        home = Path(name) / "home"
        work = Path(name) / "work"
        work.mkdir()
        environment = {
            "IPYTHONDIR": str(home / "ipython"),
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", str(home / "matplotlib")),
            "NBSNAP_STORE": str(work / ".nbsnap"),
        }
        yield work, environment


def interrupted(notebook: Notebook) -> list[Output]:
    """Run up to the risky cell, SIGKILL the kernel in it, restore in a new kernel, run the rest there."""
    with fresh_place(notebook.path) as (work, environment):
        path = str(work / notebook.path.name)
        with Kernel(work, notebook=path, env=environment) as kernel:
            print(f"\nA kernel runs {notebook.path} (process {kernel.pid})\n")
            run_cells(kernel, notebook.before)
            kernel.wait_started(kernel.send(notebook.after[0]))
            time.sleep(RISKY_SECONDS)
            kernel.kill()
            first_line = notebook.after[0].splitlines()[0]
            print(f"  In [*]  {first_line}")
            print(f"            SIGKILL: process {kernel.pid} is gone, and every variable with it")
        with Kernel(work, notebook=path, env=environment) as kernel:
            print(f"\nA new kernel (process {kernel.pid}), as empty as any\n")
            run_cells(kernel, ["%load_ext nbsnap", "%restore"])
            return run_cells(kernel, notebook.after)


def uninterrupted(notebook: Notebook) -> list[Output]:
    """Run the same notebook from the first cell to the last in one kernel."""
    with (
        fresh_place(notebook.path) as (work, environment),
        Kernel(work, notebook=str(work / notebook.path.name), env=environment) as kernel,
    ):
        print(f"\nThe same notebook in a kernel that nobody kills (process {kernel.pid}), for comparison …", flush=True)
        run_cells(kernel, notebook.before, quiet=True)
        return run_cells(kernel, notebook.after, quiet=True)


def compare(notebook: Notebook, ours: list[Output], theirs: list[Output]) -> int:
    """Print how the outputs of the two runs compare; return how many cells differ."""
    different = 0
    for source, one, other in zip(notebook.after, ours, theirs, strict=True):
        if seen(one) == seen(other):
            continue
        different += 1
        print(f"\n  DIFFERENT  {source.splitlines()[0]}")
        print(f"    after the restore   {one.text.rstrip()!r}, {len(one.images)} pictures")
        print(f"    uninterrupted       {other.text.rstrip()!r}, {len(other.images)} pictures")
        if one.text == other.text and len(one.images) == len(other.images):
            print("    the pictures differ in their pixels")
    same = len(ours) - different
    pictures = sum(len(output.images) for output in theirs)
    print(
        f"\n{same} of {len(ours)} cells gave the same output as in the kernel that lived, {pictures} pictures included."
    )
    return different


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the notebooks named on the command line; 0 when all came through."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK")
    different = 0
    for path in parser.parse_args(arguments).notebooks:
        notebook = read(path)
        different += compare(notebook, interrupted(notebook), uninterrupted(notebook))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
