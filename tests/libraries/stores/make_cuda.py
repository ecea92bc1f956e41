"""Makes the store `cuda` beside this file: a snapshot of what lives on a GPU, for machines that have none.

    python tests/libraries/stores/make_cuda.py FOLDER        on a machine with a GPU, PyTorch and CuPy

The folder goes into the repository as `cuda`. Nothing in it is of the session's own making (no functions, no classes),
so any version of Python can load it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import cupy
import torch

import nbsnap


def objects() -> dict[str, Any]:
    """Return what `test_from_a_gpu.py` looks at."""
    torch.manual_seed(0)
    torch.cuda.manual_seed(0)
    cuda = torch.device("cuda")
    plain = torch.arange(10_000.0, device=cuda)
    leaf = torch.tensor([1.0, 2.0], device=cuda, requires_grad=True)
    (leaf**2).sum().backward()
    net = torch.nn.Linear(8, 8).to(cuda)
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.ones(1, 8, device=cuda)).sum().backward()
    optimizer.step()
    array = cupy.arange(10_000, dtype="f8")
    torch.set_default_device("cuda")
    return {
        "torch": torch,
        "plain": plain,
        "tip": plain[:2],
        "half": torch.arange(1000, device=cuda).to(torch.bfloat16),
        "sparse": torch.eye(3, device=cuda).to_sparse(),
        "leaf": leaf,
        "net": net,
        "optimizer": optimizer,
        "scaler": torch.amp.GradScaler("cuda"),
        "own": torch.Generator(cuda).manual_seed(5),
        "default": torch.cuda.default_generators[0],
        "side": torch.cuda.Stream(),
        "mark": torch.cuda.Event(),
        "pinned": torch.arange(10_000.0, device="cpu").pin_memory(),
        "array": array,
        "grid": array.reshape(100, 100),
    }


def main(folder: Path) -> None:
    """Take the snapshot."""
    os.chdir("/tmp")
    report = nbsnap.snapshot(objects(), store=folder, notebook="cuda", beside=["random", "options"])
    assert report.ok, report
    (folder / ".gitignore").unlink()
    print(report.variables)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
