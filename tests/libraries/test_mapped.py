"""Big buffers of other libraries than NumPy over memory that a restore has mapped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from nbsnap.mapping import is_safe

pytestmark = pytest.mark.heavy

MAKE = """
import numpy as np, pandas as pd, polars as pl, pyarrow as pa, scipy.sparse, torch
rng = np.random.default_rng(0)
shared = torch.from_numpy(rng.random(1_000_000)); every = shared[::2]; numbers = shared.numpy()
layer = torch.nn.Linear(1000, 1000); layer(torch.ones(1000)).sum().backward()
weight = layer.weight.detach().clone(); gradient = layer.weight.grad.clone()
arrow = pa.table({'a': rng.random(1_000_000), 'b': [f'x{i % 1000}' for i in range(1_000_000)]})
plain = pa.array(rng.random(500_000))
frame = pl.DataFrame({'a': rng.random(1_000_000), 'b': [f'y{i}' for i in range(1_000_000)]})
words = pd.DataFrame({'a': rng.random(500_000), 's': pd.array([f'z{i}' for i in range(500_000)], 'string[pyarrow]')})
sparse = scipy.sparse.random(2000, 2000, 0.2, format='csr', random_state=1)
"""

HOLDS = f"""
MAKE = {MAKE!r}
import nbsnap
report = nbsnap.restore()
assert report.ok, report
maps = [line for line in open('/proc/self/maps') if '.pack' in line]
assert maps
names = {{}}
exec(MAKE.replace('layer(', '0 and layer(').replace('layer.weight', 'layer.bias').replace('.grad', ''), names)
assert torch.equal(shared, names['shared']) and torch.equal(every, names['every'])
assert torch.equal(layer.weight, weight) and torch.equal(layer.weight.grad, gradient)
assert arrow.equals(names['arrow']) and plain.equals(names['plain']) and frame.equals(names['frame'])
assert words.equals(names['words']) and (sparse != names['sparse']).nnz == 0
shared[0] = 7
assert numbers[0] == 7 and every[0] == 7
layer.weight.data.add_(1); sparse.data *= 2; words['a'] += 1
shared[0] = names['shared'][0]; layer.weight.data.copy_(weight); sparse.data /= 2; words['a'] = names['words']['a']
"""

AGAIN = """
del maps, names, report
report = nbsnap.snapshot(exclude=['MAKE'])
assert report.ok and report.new_bytes < 2_000_000, report
"""


def test_big_buffers_of_libraries_are_mapped(two_shells: Any, own_folder: Path) -> None:
    """Tensors, tables, columns and matrices are equal, share what they shared, can be written and saved again."""
    fd = os.open(own_folder, os.O_RDONLY)
    safe = is_safe(fd)
    os.close(fd)
    if not safe:
        pytest.skip("files of this place are not mapped")
    two_shells.save(MAKE)
    two_shells.run(HOLDS + AGAIN)
    two_shells.run(HOLDS)
