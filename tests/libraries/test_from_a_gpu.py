"""A snapshot that was taken on a machine with a GPU, restored on one that has none.

The store `stores/cuda` was made by `stores/make_cuda.py` on an NVIDIA H100, under Python 3.12, PyTorch 2.11, CuPy 14.2
and NumPy 2.5. It is what such a machine writes, byte by byte.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import nbsnap
from nbsnap.maintenance import check

STORE = Path(__file__).parent / "stores" / "cuda"


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A copy of the store: what reads it may write there."""
    shutil.copytree(STORE, tmp_path / "store")
    return str(tmp_path / "store")


def test_the_store_is_sound(store: str) -> None:
    """It can be listed, checked and shown without any library; the devices are told."""
    with nbsnap.Store.open(store) as opened:
        assert check(opened).problems == ()
        (head,) = opened.heads()
        assert (head.variables, head.skipped, head.python) == (16, 0, "3.12.3")
        told = {variable.name: variable.summary for variable in opened.load(head.id).variables}
    assert told["plain"] == "10,000 torch.float32 on cuda:0"


@pytest.mark.heavy
def test_everything_comes_back_on_the_cpu_and_the_report_says_so(two_shells: Any, store: str) -> None:
    """Tensors, a module in training, generators: usable, sharing what they shared; each has its line."""
    report, wrong = two_shells.restore(
        {
            "nothing is on a GPU": "not any(t.is_cuda for t in (plain, tip, half, sparse, leaf, *net.parameters()))",
            "numbers": "plain[-1] == 9999 and pinned[-1] == 9999 and half.dtype == torch.bfloat16 and half[100] == 100",
            "one storage": "tip.fill_(5) is tip and plain[:3].tolist() == [5, 5, 2]",
            "sparse": "sparse.is_sparse and torch.equal(sparse.to_dense(), torch.eye(3))",
            "gradient": "leaf.is_leaf and leaf.grad.tolist() == [2, 4]",
            "parameters": "optimizer.param_groups[0]['params'][0] is net.weight",
            "training": "net(torch.ones(1, 8)).sum().backward() is None and optimizer.step() is None"
            " and optimizer.state[net.weight]['step'] == 2",
            "scaler": "scaler.get_scale() == 65536",
            "generators": "own.device.type == default.device.type == 'cpu' and torch.rand(1, generator=own) < 1",
            "from its seed": "own.initial_seed() == 5",
            "new tensors": "torch.ones(1).device.type == 'cpu'",
            "missing": "'torch.cuda.Stream' in repr(side) and 'torch.cuda.Event' in repr(mark)",
            "CuPy's": "type(array).__module__ == 'numpy' and array[-1] == 9999 and grid.shape == (100, 100)",
            "one memory": "array.fill(3) is None and grid[5, 5] == 3",
        },
        f"nbsnap.restore(store={store!r}, notebook='cuda', trust=True, beside='all')",
    )
    assert wrong == {}
    assert report["failed"] == report["not_saved"] == []
    assert [without_parentheses(note) for note in report["notes"]] == [
        "plain, tip, half, sparse and 3 more: came back on the CPU: there is no CUDA here",
        "own and default: a generator of random numbers starts anew on the CPU, with other numbers:"
        " there is no CUDA here",
        "side: a CUDA stream is missing, a placeholder stands there: there is no CUDA here",
        "mark: a CUDA event is missing, a placeholder stands there: there is no CUDA here",
        "array and grid: came back as a NumPy array: CuPy is not installed here",
        "options: torch does not make new tensors on cuda, as it did: that is not here",
        "random: CUDA's generators were in use on 1 GPU, and there is no CUDA here",
    ]


def without_parentheses(note: str) -> str:
    """Return a note without its hint that PyTorch was installed without CUDA, which depends on where tests run."""
    return note.partition(" (")[0]


@pytest.mark.heavy
def test_what_was_restored_can_be_saved_here(two_shells: Any, store: str) -> None:
    """The session goes on where there is no GPU: its next snapshot holds tensors of the CPU."""
    report = two_shells.save(
        "", f"(nbsnap.restore(store={store!r}, notebook='cuda', trust=True), nbsnap.snapshot())[1]"
    )
    assert report["skipped"] == []
    report, wrong = two_shells.restore({"numbers": "plain[-1] == 9999 and tip.fill_(5) is tip and plain[0] == 5"})
    assert wrong == {}
    assert report["notes"] == []
