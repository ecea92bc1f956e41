"""What lives on a GPU: saved in one process, restored in another, on a machine that has one.

These tests run where somebody runs them (`-m cuda`, see CONTRIBUTING.md): nobody else has a GPU. What a machine without
one makes of a snapshot from a machine with one is in `test_from_a_gpu.py`, and runs everywhere.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.cuda

TORCH = "import torch\ncuda = torch.device('cuda')\n"


@pytest.fixture(autouse=True)
def modest(monkeypatch: pytest.MonkeyPatch) -> None:
    """JAX takes three quarters of the GPU if it is let; warnings of libraries are not these tests' affair."""
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def holds(shells: Any, source: str, checks: dict[str, str], **more: Any) -> dict[str, Any]:
    """Save what `source` makes, of which all must be saved; restore it; all checks must hold. Returns the report."""
    saved = shells.save(source, **more)
    assert saved["skipped"] == []
    report, wrong = shells.restore(checks)
    assert wrong == {}
    assert report["failed"] == []
    return {**report, "variables": saved["variables"]}


def test_tensors_of_every_kind_come_back_on_the_gpu(two_shells: Any) -> None:
    """Types, layouts, shapes, gradients: as they were, and where they were."""
    report = holds(
        two_shells,
        TORCH
        + """
kinds = [torch.arange(6, device=cuda).to(kind) for kind in (torch.float64, torch.float32, torch.float16, torch.bfloat16,
    torch.int64, torch.int8, torch.uint8, torch.complex64, torch.float8_e4m3fn)] + [torch.tensor([True], device=cuda)]
scalar = torch.tensor(3.5, device=cuda); empty = torch.empty(0, 4, device=cuda); big = torch.arange(30_000_001., device=cuda)
half = torch.arange(1_000_000, device=cuda).to(torch.bfloat16)
turned = torch.arange(600_000., device=cuda).reshape(600, 1000).t(); wide = torch.ones(3, device=cuda).expand(4, 3)
last = torch.rand(2, 3, 40, 40, device=cuda).to(memory_format=torch.channels_last); last_on_host = last.cpu()
sparse = torch.eye(300, device=cuda).to_sparse(); csr = torch.eye(300, device=cuda).to_sparse_csr()
conjugate = torch.tensor([1 + 2j], device=cuda).conj()
leaf = torch.tensor([1., 2.], device=cuda, requires_grad=True); (leaf ** 2).sum().backward(); gradient = leaf.grad
outcome = leaf * 2
pinned = torch.arange(100_000.).pin_memory(); small_pinned = torch.ones(3).pin_memory()
""",
        {
            "there": "all(t.device == torch.device('cuda:0') for t in [*kinds, scalar, empty, big, half, turned, wide, last, sparse, csr, leaf, gradient])",
            "kinds": "[t.dtype for t in kinds[:3]] == [torch.float64, torch.float32, torch.float16] and all(t.float().tolist() == list(range(6)) for t in kinds[:7])",
            "more": "kinds[7].tolist() == [0j, 1, 2, 3, 4, 5] and kinds[8].float().tolist() == [0, 1, 2, 3, 4, 5] and kinds[9].item() is True",
            "shapes": "scalar.item() == 3.5 and empty.shape == (0, 4) and wide.stride() == (0, 1) and turned.stride() == (1, 1000)",
            "big": "torch.equal(big, torch.arange(30_000_001., device='cuda')) and torch.equal(half.float(), torch.arange(1_000_000, device='cuda').to(torch.bfloat16).float())",
            "turned": "torch.equal(turned, torch.arange(600_000., device='cuda').reshape(600, 1000).t())",
            "last": "last.is_contiguous(memory_format=torch.channels_last) and torch.equal(last.cpu(), last_on_host)",
            "sparse": "sparse.is_sparse and csr.layout == torch.sparse_csr and torch.equal(sparse.to_dense(), torch.eye(300, device='cuda')) and torch.equal(csr.to_dense(), sparse.to_dense())",
            "conjugate": "conjugate.is_conj() and conjugate.item() == 1 - 2j",
            "gradients": "leaf.requires_grad and leaf.is_leaf and leaf.grad is gradient and gradient.tolist() == [2., 4.]",
            "outcome": "outcome.tolist() == [2., 4.] and not outcome.requires_grad",
            "pinned": "pinned.is_pinned() and small_pinned.is_pinned() and pinned[-1] == 99_999 and pinned.device.type == 'cpu'",
            "alive": "big.add_(1)[1].item() == 2 and big.resize_(10).shape == (10,)",
            "no other sync is needed": "torch.cuda.synchronize() is None",
        },
    )
    assert report["notes"] == []
    (big,) = [variable for variable in report["variables"] if variable["name"] == "big"]
    assert big["summary"] == "30,000,001 float32 on cuda:0"


def test_tensors_over_one_storage_share_it_again(two_shells: Any) -> None:
    """Views, tied weights and what a state dict gives write into one memory, of which there is one copy."""
    holds(
        two_shells,
        TORCH
        + """
base = torch.arange(24_000_000., device=cuda).reshape(4, 6_000_000); row = base[1]; held = {'part': base[2:, 3:]}; as_int = base.view(torch.int32)
small = torch.zeros(4, device=cuda); tip = small[:2]
class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__(); self.embed = torch.nn.Embedding(1000, 64); self.out = torch.nn.Linear(64, 1000, bias=False); self.out.weight = self.embed.weight
tied = Tied().cuda(); weights = tied.state_dict(); lstm = torch.nn.LSTM(64, 64, 2).cuda()
given = torch.randn(5, 3, 64, device=cuda); torch.backends.cudnn.deterministic = True
came = lstm(given)[0].detach()
""",
        {
            "views": "row.fill_(7) is row and bool((base[1] == 7).all()) and held['part'].fill_(5) is not None and bool((base[2:, 3:] == 5).all())",
            "one memory": "row.untyped_storage().data_ptr() == base.data_ptr() == as_int.data_ptr() and tip.data_ptr() == small.data_ptr()",
            "tied": "tied.out.weight is tied.embed.weight and weights['out.weight'].data_ptr() == weights['embed.weight'].data_ptr() == tied.out.weight.data_ptr()",
            "rnn": "torch.equal(lstm(given)[0], came)",
            "memory": "torch.cuda.memory_allocated() < 200_000_000",
        },
    )


TRAIN = """
import torch
from torch import nn
torch.manual_seed(0); torch.backends.cudnn.deterministic = True; torch.use_deterministic_algorithms(True)
model = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Dropout(.3), nn.LayerNorm(512), nn.Linear(512, 8)).cuda()
optimizer = torch.optim.AdamW(model.parameters(), lr=.01); fused = torch.optim.Adam(nn.Linear(9, 9).cuda().parameters(), fused=True)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20); scaler = torch.amp.GradScaler('cuda')
inputs = torch.randn(256, 64, device='cuda'); targets = torch.randint(0, 8, (256,), device='cuda'); own = torch.Generator('cuda').manual_seed(7)
def step():
    optimizer.zero_grad()
    noise = torch.randn(256, 64, device='cuda', generator=own)
    with torch.autocast('cuda', dtype=torch.float16):
        loss = nn.functional.cross_entropy(model(inputs + .01 * noise), targets)
    scaler.scale(loss).backward(); scaler.step(optimizer); scaler.update(); schedule.step()
    return loss.item(), scaler.get_scale()
before = [step() for _ in range(4)]
"""


def test_training_goes_on_as_if_nothing_had_happened(two_shells: Any) -> None:
    """Model, optimizer, schedule, scaler, a generator and CUDA's own: the next steps are the same, bit by bit."""
    went_on = two_shells.run(TRAIN + "import nbsnap; nbsnap.snapshot()\nprint([step() for _ in range(4)])").out
    came = two_shells.run(
        "import nbsnap\nassert nbsnap.restore().ok\n"
        "assert optimizer.param_groups[0]['params'][0] is model[0].weight and model[0].weight.is_cuda\n"
        "print([step() for _ in range(4)])"
    ).out
    assert came == went_on


def test_generators_go_on(two_shells: Any) -> None:
    """CUDA's own generator and others: the next numbers are those that would have come."""
    holds(
        two_shells,
        TORCH
        + """
torch.cuda.manual_seed(3); torch.rand(5, device=cuda); own = torch.Generator(cuda).manual_seed(9); torch.rand(5, device=cuda, generator=own)
state, mine, default = torch.cuda.get_rng_state(), own.get_state(), torch.cuda.default_generators[0]
coming = torch.rand(4, device=cuda).tolist(), torch.rand(4, device=cuda, generator=own).tolist()
torch.cuda.set_rng_state(state); own.set_state(mine)
""",
        {
            "default": "default is torch.cuda.default_generators[0]",
            "own": "own.device.type == 'cuda' and torch.rand(4, device='cuda', generator=own).tolist() == coming[1]",
            "cuda's": "torch.rand(4, device='cuda').tolist() == coming[0]",
        },
    )


def test_cudas_generator_goes_on_where_nothing_else_begins_it(two_shells: Any) -> None:
    """Its state is set when CUDA begins, and a restore does not begin it for that alone."""
    two_shells.save(
        TORCH + "torch.cuda.manual_seed(3); torch.rand(5, device=cuda); state = torch.cuda.get_rng_state()\n"
        "coming = torch.rand(4, device=cuda).tolist(); torch.cuda.set_rng_state(state)"
    )
    report, wrong = two_shells.restore(
        {"asleep": "not torch.cuda.is_initialized()", "goes on": "torch.rand(4, device='cuda').tolist() == coming"}
    )
    assert wrong == {}
    assert any("random" in line for line in report["beside"])


def test_nobody_wakes_cuda_only_to_look(two_shells: Any) -> None:
    """A session that has PyTorch and no CUDA in use is saved and restored without a look at the GPU."""
    quiet = "assert not torch.cuda.is_initialized()\nimport os\n" + (
        "assert not [p for p in map(os.readlink, (f'/proc/self/fd/{n}' for n in os.listdir('/proc/self/fd') "
        "if os.path.exists(f'/proc/self/fd/{n}'))) if 'nvidia' in p]\n"
    )
    two_shells.run(
        "import torch, nbsnap\nt = torch.ones(100_000); net = torch.nn.Linear(3, 3); g = torch.Generator()\n"
        "assert nbsnap.snapshot().ok and nbsnap.snapshot(background=True).ok and nbsnap.wait()\n" + quiet
    )
    two_shells.run("import nbsnap\nassert nbsnap.restore().ok\n" + quiet + "assert t.sum() == 100_000")


def test_queues_of_work_come_back_fresh_and_recorded_work_does_not(two_shells: Any) -> None:
    """Streams and events are new ones, which is noted; a graph and a pool are refused with a reason."""
    report = two_shells.save(
        TORCH
        + """
side = torch.cuda.Stream(priority=-1); usual = torch.cuda.default_stream(); mark = torch.cuda.Event(enable_timing=True); mark.record()
x = torch.zeros(8, device=cuda); graph = torch.cuda.CUDAGraph()
with torch.cuda.stream(side): y = x + 1
torch.cuda.synchronize()
with torch.cuda.graph(graph): y = x + 1
held = {'graph': graph, 'x': x}; pool = torch.cuda.MemPool()
"""
    )
    reasons = {skip["name"]: skip["reason"] for skip in report["skipped"]}
    assert "record it again" in reasons["graph"]
    assert "belongs to this process" in reasons["pool"]
    assert "record it again" in reasons["held"]
    notes = {variable["name"]: variable["notes"] for variable in report["variables"]}
    assert notes["side"] == notes["usual"] == ["a CUDA stream comes back fresh"]
    assert notes["mark"] == ["a CUDA event comes back fresh, with no time recorded"]
    _, wrong = two_shells.restore(
        {
            "side": "side.priority == -1 and side != torch.cuda.default_stream() and side.query()",
            "usual": "usual == torch.cuda.default_stream()",
            "mark": "mark.query() and mark.record() is None and mark.synchronize() is None",
            "held": "held['x'] is x and 'placeholder' in repr(held['graph'])",
        }
    )
    assert wrong == {}


MEASURE = """
import nbsnap
from benchmarks.memory import forget_peak, peak_since
def measured(call):
    before = forget_peak(); report = call(); return report, peak_since(before)
"""


def test_a_snapshot_takes_no_memory_and_only_what_is_new(two_shells: Any) -> None:
    """2 GB of a GPU pass through two buffers; unchanged they cost a manifest, one element costs a block more."""
    root = str(Path(__file__).parents[2])
    done = two_shells.run(
        f"import sys; sys.path.insert(0, {root!r})\n" + MEASURE + "import torch\n"
        "a = torch.rand(250_000_000, device='cuda'); b = torch.rand(250_000_000, device='cuda'); torch.cuda.synchronize()\n"
        "warm = torch.rand(1_000_000, device='cuda'); nbsnap.snapshot(only=['warm'])\n"
        "first, peak = measured(lambda: nbsnap.snapshot(only=['a', 'b']))\n"
        "again, again_peak = measured(lambda: nbsnap.snapshot(only=['a', 'b']))\n"
        "a[77] = 2; one = nbsnap.snapshot(only=['a', 'b'])\n"
        "print(first.new_bytes, again.new_bytes, one.new_bytes, peak, again_peak)"
    )
    first, again, one, peak, again_peak = map(int, done.out.split())
    assert 1_700_000_000 < first < 2_010_000_000
    assert again < 10_000
    assert one < 20_000
    assert max(peak, again_peak) < 200 << 20, (peak, again_peak)


def test_in_the_background(two_shells: Any) -> None:
    """The state at the call is written though the session goes on at once; and CUDA works before, during and after."""
    done = two_shells.run(
        TORCH
        + """
import nbsnap
a = torch.arange(40_000_000., device=cuda); p = torch.arange(20_000_000.).pin_memory(); view = p.numpy(); model = torch.nn.Linear(64, 64).cuda()
for turn in range(8):
    a[0] = turn; p[0] = turn
    report = nbsnap.snapshot(name=f'n{turn}', background=True)
    assert report.background, report.notes
    a.zero_(); p.zero_(); (a @ a).item(); loss = model(torch.ones(8, 64, device=cuda)).sum(); loss.backward()
    (came,) = nbsnap.wait()
    assert came.id
    a.copy_(torch.arange(40_000_000., device=cuda)); p.copy_(torch.arange(20_000_000.))
torch.cuda.synchronize()
"""
    )
    assert done.err == ""
    for turn in (0, 7):
        _, wrong = two_shells.restore(
            {
                "gpu": f"a[0] == {turn} and torch.equal(a[1:], torch.arange(40_000_000., device='cuda')[1:])",
                "pinned": f"p.is_pinned() and p[0] == {turn} and torch.equal(p[1:], torch.arange(20_000_000.)[1:]) and view[0] == {turn}",
            },
            f"nbsnap.restore('n{turn}')",
        )
        assert wrong == {}


def test_too_little_memory_on_the_gpu_costs_a_variable(two_shells: Any) -> None:
    """What does not fit is told in a line, with what would help; the rest is there, and so is the room it left."""
    two_shells.save(
        TORCH
        + "big = [torch.ones(500_000_000, device=cuda)]; big.append(big); fine = torch.ones(3_000_000, device=cuda); text = 'a'"
    )
    report, wrong = two_shells.restore(
        {
            "the rest": "fine.is_cuda and fine.sum() == 3_000_000 and text == 'a'",
            "nothing is left of it": "'big' not in globals() and torch.cuda.memory_allocated() < 50_000_000",
            "room": "torch.ones(100_000_000, device='cuda').sum() == 100_000_000",
        },
        "(__import__('torch').cuda.set_per_process_memory_fraction(0.012), nbsnap.restore())[1]",
    )
    assert wrong == {}
    (failed,) = report["failed"]
    assert failed["name"] == "big"
    assert failed["reason"].startswith("needs 2.0 GB of memory on cuda:0, where ")
    assert failed["hint"] == "free memory on cuda:0"


INTERRUPT = """
import nbsnap, os, signal, threading, time, torch
def interrupted(after, call):
    timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT)); timer.start()
    try:
        call(); return 'done'
    except KeyboardInterrupt:
        return time.perf_counter() - started - after
    finally:
        timer.cancel()
"""


def test_ctrl_c_while_memory_is_copied(two_shells: Any) -> None:
    """A snapshot and a restore of 4 GB stop within a fraction of a second; the store is whole, and CUDA works."""
    done = two_shells.run(
        INTERRUPT
        + """
import nbsnap.later
a = torch.rand(1_000_000_000, device='cuda'); torch.cuda.synchronize(); total = a.sum().item(); nbsnap.snapshot(only=['total'])
times = []
for after in (0.05, 0.2, 0.5):
    started = time.perf_counter()
    times.append(interrupted(after, lambda: nbsnap.snapshot(name='x')))
    assert len(nbsnap.Store.open('.nbsnap').heads()) == 1 or times[-1] == 'done'
nbsnap.snapshot(name='whole'); del a
for after in (0.05, 0.12):
    started = time.perf_counter()
    times.append(interrupted(after, lambda: nbsnap.restore('whole')))
    assert times[-1] == 'done' or 'a' not in globals()
assert nbsnap.restore('whole').ok and a.sum().item() == total
print(times)
"""
    )
    times = eval(done.out)
    assert [t for t in times if t != "done"], "no signal came in time"
    assert all(t == "done" or t < 0.3 for t in times), times


def test_a_gpu_that_has_failed_costs_its_tensors(two_shells: Any) -> None:
    """After a kernel has failed nothing on the GPU can be read: these tensors are skipped, and all else is saved."""
    report = two_shells.save(
        TORCH
        + "a = torch.ones(1_000_000, device=cuda); b = torch.ones(3, device=cuda); text = 'safe'; torch.cuda.synchronize()\n"
        "try: torch.zeros(2, device=cuda)[torch.tensor([5], device=cuda)].cpu()\nexcept RuntimeError: pass"
    )
    skipped = {skip["name"]: skip["reason"] for skip in report["skipped"]}
    assert set(skipped) == {"a", "b"}
    assert all(
        "cuda:0 does not answer any more" in reason and "restart the kernel" in reason for reason in skipped.values()
    )
    _, wrong = two_shells.restore({"text": "text == 'safe'"})
    assert wrong == {}


def test_nothing_is_believed_of_memory_that_a_gpu_may_write(two_shells: Any) -> None:
    """Once CUDA is in use no page is marked, and a pinned tensor that the GPU writes is saved as it is."""
    done = two_shells.run(
        TORCH
        + """
import nbsnap, time
from nbsnap import pagemap, pages
assert torch.ones(1, device=cuda).item() == 1 and pagemap.pinning()
p = torch.zeros(8_000_000).pin_memory(); source = torch.zeros(8_000_000, device=cuda)
for _ in range(5):
    nbsnap.snapshot(); time.sleep(0.3)
time.sleep(1)
nbsnap.snapshot()
kernel = pages._kernel()
assert not any(any(quiet.marked) for quiet in kernel.quiet.values())
source[5] = 1; p.copy_(source, non_blocking=True); torch.cuda.synchronize()
nbsnap.snapshot()
"""
    )
    assert done.err == ""
    _, wrong = two_shells.restore({"as it was": "p[5] == 1"})
    assert wrong == {}


def test_without_a_gpu_all_comes_back_on_the_cpu(two_shells: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same machine with its GPU hidden: a line says where the tensors are, and why."""
    two_shells.save(
        TORCH
        + "a = torch.arange(100_000., device=cuda); tip = a[:2]; net = torch.nn.Linear(3, 3).cuda(); side = torch.cuda.Stream()"
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    report, wrong = two_shells.restore(
        {
            "tensors": "a.device.type == 'cpu' and a[-1] == 99_999 and tip.fill_(4) is tip and a[1] == 4",
            "module": "net(torch.ones(3)).shape == (3,)",
            "stream": "'placeholder' in repr(side)",
        }
    )
    assert wrong == {}
    assert "a, tip and net: came back on the CPU: there is no CUDA here" in report["notes"]
    assert "side: a CUDA stream is missing, a placeholder stands there: there is no CUDA here" in report["notes"]
    assert "random: CUDA's generators were in use on 1 GPU, and there is no CUDA here" in report["notes"]


def test_fewer_gpus_than_there_were(two_shells: Any) -> None:
    """What lived on a GPU that is not here comes back on the first one, and it is said."""
    two_shells.run(
        "import torch\nfrom nbsnap.builders import torch as builders\nfrom nbsnap.remarks import heard\n"
        "with heard() as lines: storage = builders.storage(bytearray(b'\\x01' * 3_000_000), 'cuda:99')\n"
        "assert str(storage.device) == 'cuda:0' and storage[2_999_999] == 1\n"
        "assert list(lines) == ['came back on cuda:0: there is no cuda:99 here']"
    )


def test_tensors_are_made_where_they_were(two_shells: Any) -> None:
    """The default device is an option that comes back; arrays of CPU tensors come back under it, too."""
    holds(
        two_shells,
        TORCH + "t = torch.ones(50_000); array = t.numpy(); torch.set_default_device('cuda'); g = torch.ones(2)",
        {"default": "torch.ones(1).is_cuda and g.is_cuda and array.sum() == 50_000 and not t.is_cuda"},
    )


@pytest.mark.parametrize("engine", ["dill", "cloudpickle"])
def test_with_every_engine(two_shells: Any, engine: str) -> None:
    """Whichever pickler goes first, tensors share their storage, and come back on the GPU."""
    holds(
        two_shells,
        TORCH + "a = torch.arange(3_000_000., device=cuda); tip = a[:2]; b = torch.ones(3, device=cuda)",
        {"a": "a.is_cuda and a[-1] == 2_999_999 and tip.fill_(4) is tip and a[1] == 4 and b.is_cuda"},
        call=f"nbsnap.snapshot(engine={engine!r})",
    )


def test_damage_to_what_a_gpu_has_is_told(two_shells: Any) -> None:
    """What was mapped and copied to a GPU is verified afterwards, like what stays mapped."""
    two_shells.save(TORCH + "prices = torch.rand(10_000_000, device=cuda); fine = [1]")
    (pack,) = (two_shells.folder / ".nbsnap" / "packs").glob("*.pack")
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    done = two_shells.run("import nbsnap, nbsnap.later\nassert nbsnap.restore().ok\nassert nbsnap.later.wait(60)")
    assert "nbsnap: prices: damaged in the store" in done.err


def test_cupy(two_shells: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays of CuPy come back on the GPU, over one memory where they were; without a GPU as NumPy's, which is said."""
    pytest.importorskip("cupy")
    make = """
import cupy
a = cupy.arange(20_000_000, dtype='f8'); half = a[::2]; grid = a.reshape(4000, 5000); back = a[::-1]; small = cupy.ones(3); empty = cupy.zeros((0, 3))
flat = cupy.asfortranarray(grid[:10, :10]); held = {'a': a}
"""
    checks = {
        "type": "type(a) is cupy.ndarray and a.device.id == 0 and grid.shape == (4000, 5000)",
        "numbers": "float(a.sum()) == 199999990000000.0 and float(half[-1]) == 19_999_998 and float(back[0]) == 19_999_999",
        "one memory": "half.__setitem__(1, -5) is None and float(a[2]) == -5 and float(grid[0, 2]) == -5 and held['a'] is a",
        "small": "small.tolist() == [1, 1, 1] and empty.shape == (0, 3) and flat.flags.f_contiguous and float(flat[1, 0]) == 5000",
    }
    holds(two_shells, make, checks)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    report, wrong = two_shells.restore(
        {
            "numpy": "type(a).__module__ == 'numpy' and a[-1] == 19_999_999 and half.base is not None and small.tolist() == [1, 1, 1]"
        }
    )
    assert wrong == {}
    assert report["failed"] == []
    assert any(note.endswith("came back as a NumPy array: there is no CUDA here") for note in report["notes"])


def test_handles_of_cupy_and_numba_are_refused(two_shells: Any) -> None:
    """What pickle would save as an address is refused with a reason; kernels and generators that can be saved go on."""
    pytest.importorskip("cupy")
    report = two_shells.save(
        """
import cupy
rng = cupy.random.default_rng(3); rng.random(5); double = cupy.ElementwiseKernel('T x', 'T y', 'y = x * 2', 'double_it')
raw = cupy.RawKernel('extern "C" __global__ void f(float* x) { x[0] = 7; }', 'f'); x = cupy.zeros(1, 'f4'); raw((1,), (1,), (x,))
pointer = x.data
old = cupy.random.RandomState(3); side = cupy.cuda.Stream(); mark = cupy.cuda.Event(); pool = cupy.cuda.MemoryPool(); held = [old]
import numba.cuda, numpy as np
there = numba.cuda.to_device(np.arange(5))
twin = cupy.random.default_rng(3); twin.random(5); coming = twin.random(3).tolist(); del twin
"""
    )
    reasons = {skip["name"]: skip["reason"] for skip in report["skipped"]}
    assert set(reasons) == {"old", "side", "mark", "pool", "held", "there"}
    assert "cannot be read: make it again" in reasons["old"]
    assert "means something in this process only" in reasons["pool"]
    assert "copy_to_host() can be saved" in reasons["there"]
    _, wrong = two_shells.restore(
        {
            "generator": "rng.random(3).tolist() == coming",
            "kernels": "x.fill(0) is None and raw((1,), (1,), (x,)) is None and x.tolist() == [7] and double(x).tolist() == [14]",
            "pointer": "pointer.mem is x.data.mem and pointer.ptr == x.data.ptr",
            "held": "'placeholder' in repr(held[0])",
        }
    )
    assert wrong == {}


def test_cupy_in_the_background(two_shells: Any) -> None:
    """The memory is copied before the fork, and unchanged memory is written once."""
    pytest.importorskip("cupy")
    two_shells.run(
        "import cupy, nbsnap\na = cupy.random.rand(5_000_000); total = float(a.sum())\n"
        "assert nbsnap.snapshot(background=True).background\na *= 0; (one,) = nbsnap.wait()\n"
        "assert nbsnap.restore().ok and float(a.sum()) == total\n"
        "assert nbsnap.snapshot().new_bytes < 1 << 20"
    )
    _, wrong = two_shells.restore({"numbers": "float(a.sum()) == total"})
    assert wrong == {}


def test_jax(two_shells: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays of JAX come back on the GPU, out of band and without a copy that stays; without a GPU on the CPU."""
    pytest.importorskip("jax")
    report = holds(
        two_shells,
        """
import jax, jax.numpy as jnp
a = jnp.arange(5_000_000.); half = jnp.ones(100_000, jnp.bfloat16); there = jax.device_put(a, jax.devices()[0]); key = jax.random.key(3); weak = jnp.asarray(2.0) * 1
params = {'w': jnp.ones((300, 300)), 'b': [a]}; on_cpu = jax.device_put(jnp.ones(10), jax.devices('cpu')[0])
""",
        {
            "there": "a.devices() == {jax.devices('gpu')[0]} == there.devices() and on_cpu.devices() == {jax.devices('cpu')[0]}",
            "numbers": "float(a[-1]) == 4_999_999 and half.dtype == jnp.bfloat16 and float(half.astype('float32').sum()) == 100_000 and params['b'][0] is a",
            "more": "weak.weak_type and there.committed and not a.committed and jax.random.normal(key).shape == ()",
        },
    )
    assert report["notes"] == []
    sizes = {variable["name"]: variable["size"] for variable in report["variables"]}
    assert sizes["a"] > 5_000_000
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    report, wrong = two_shells.restore({"numbers": "float(a[-1]) == 4_999_999 and float(params['w'].sum()) == 90_000"})
    assert wrong == {}
    assert any("came back on the CPU: JAX has no gpu here" in note for note in report["notes"])


@pytest.mark.kernel
@pytest.mark.skipif(sys.platform != "linux", reason="nothing is written in the background elsewhere")
def test_rounds_in_a_live_kernel(kernel_pair: Any) -> None:
    """A kernel that trains goes on training through snapshots in the background, is killed, and goes on from there."""
    kernel = kernel_pair.start()
    kernel.run(TRAIN + "import nbsnap")
    kernel.run(
        "for turn in range(20):\n"
        "    assert nbsnap.snapshot(background=True).background\n"
        "    last = step()\n"
        "came = nbsnap.wait()\nnbsnap.snapshot()\ncoming = step()",
        timeout=240,
    )
    coming = kernel.value("coming")
    second = kernel_pair.restart()
    second.run("%restore")
    assert second.value("step()") == coming
