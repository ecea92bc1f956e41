"""torch, transformers and jax: tensors and what shares their memory, modules, training in the middle."""

from __future__ import annotations

from .table import Library, Row

TORCH = Library(
    "torch",
    ("torch",),
    (
        Row(
            "tensors of every type, layout and shape",
            """
import torch, numpy as np
kinds = [k for k in vars(torch).values() if isinstance(k, torch.dtype)]
plain = [torch.arange(6).to(k) for k in dict.fromkeys(kinds) if not k.is_complex and 'q' not in str(k) and str(k).split('.')[1].rstrip('0123456789') in ('float', 'int', 'uint', 'bool', 'bfloat') and k.itemsize and str(k) in ('torch.float64', 'torch.float32', 'torch.float16', 'torch.bfloat16', 'torch.int64', 'torch.int32', 'torch.int16', 'torch.int8', 'torch.uint8', 'torch.bool')]
odd = [torch.arange(6, dtype=torch.int64).to(k) for k in (torch.uint16, torch.uint32, torch.uint64)]; eighths = torch.arange(4.).to(torch.float8_e4m3fn), torch.arange(4.).to(torch.float8_e5m2); waves = torch.tensor([1 + 2j]), torch.tensor([1 + 2j], dtype=torch.complex128)
scalar = torch.tensor(3.5); empty = torch.empty(0, 4); big = torch.arange(100_000.); sparse = torch.eye(3).to_sparse(); csr = torch.eye(3).to_sparse_csr(); quantized = torch.quantize_per_tensor(torch.tensor([1., 2.]), .1, 0, torch.qint8); meta = torch.empty(3, device='meta'); expanded = torch.ones(3).expand(4, 3); last = torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last)
conjugate = torch.tensor([1 + 2j]).conj(); negative = torch.tensor([1 + 2j]).conj().imag; shape = plain[0].shape; kind = torch.bfloat16; device = torch.device('cpu'); layout = torch.strided; ragged = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
""",
            (
                "[t.dtype for t in plain] == [k for k in dict.fromkeys(kinds) if k in [t.dtype for t in plain]] and len(plain) == 10 and all(t.tolist() == [0, 1, 2, 3, 4, 5] or t.dtype == torch.bool for t in plain)",
                "[t.dtype for t in odd] == [torch.uint16, torch.uint32, torch.uint64] and odd[2].tolist() == list(range(6)) and [t.float().tolist() for t in eighths] == [[0, 1, 2, 3]] * 2 and [t.dtype for t in eighths] == [torch.float8_e4m3fn, torch.float8_e5m2]",
                "waves[1].item() == 1 + 2j and scalar.shape == () and scalar.item() == 3.5 and empty.shape == (0, 4) and big.sum() == 4999950000",
                "sparse.is_sparse and sparse.to_dense().equal(torch.eye(3)) and csr.layout == torch.sparse_csr and csr.to_dense().equal(torch.eye(3)) and quantized.dequantize().tolist() == [1., 2.] and meta.is_meta and expanded.stride() == (0, 1) and last.is_contiguous(memory_format=torch.channels_last)",
                "conjugate.is_conj() and conjugate.item() == 1 - 2j and negative.is_neg() and negative.tolist() == [-2.] and shape == torch.Size([6]) and kind is torch.bfloat16 and device.type == 'cpu' and layout is torch.strided",
                "big[0] = 7; big[0] == 7 and big.add_(1)[1] == 2 and big.resize_(10).shape == (10,)",
                "ragged.is_nested and ragged.unbind()[1].shape == (3,)",
            ),
            ("last.tolist()",),
        ),
        Row(
            "views of one storage, across variables and containers",
            """
base = torch.arange(24.).reshape(4, 6); row = base[1]; column = base[:, 2]; flipped = base.t(); held = {'part': base[2:, 3:]}; storage = base.untyped_storage(); as_int = base.view(torch.int32)
wide = torch.zeros(300, 300); corner = wide[:2, :2]; twin = wide.detach(); same = wide
tail = torch.zeros(1_000_000)[-5:]
""",
            (
                "base[1, 2] = 99; row[2] == 99 and column[1] == 99 and flipped[2, 1] == 99 and base.view(torch.int32)[1, 2] == as_int[1, 2]",
                "held['part'].fill_(5); base[2:, 3:].eq(5).all()",
                "storage.data_ptr() == base.data_ptr() and storage.nbytes() == 96",
                "corner.fill_(3); wide[1, 1] == 3 and twin[0, 0] == 3 and same is wide and twin is not wide",
                "tail.shape == (5,) and tail.eq(0).all()",
            ),
        ),
        Row(
            "tensors and arrays over the same memory",
            """
array = np.arange(6.); from_array = torch.from_numpy(array); tensor = torch.zeros(4); to_array = tensor.numpy(); large = torch.ones(50_000); large_array = large.numpy()[10:]
""",
            (
                "array[0] = 42; from_array[0] == 42",
                "tensor[1] = 7; to_array[1] == 7",
                "large[10] = 9; large_array[0] == 9",
            ),
        ),
        Row(
            "gradients, leaves, parameters, buffers",
            """
leaf = torch.tensor([1., 2.], requires_grad=True); (leaf ** 2).sum().backward(); gradient = leaf.grad; frozen = torch.nn.Parameter(torch.ones(2), requires_grad=False); weight = torch.nn.Parameter(torch.ones(40_000)); weight.note = 'kept'; buffer = torch.nn.Buffer(torch.zeros(2))
""",
            (
                "leaf.requires_grad and leaf.is_leaf and leaf.grad.tolist() == [2., 4.] and leaf.grad is gradient",
                "(leaf.sum() * 3).backward(); leaf.grad.tolist() == [5., 7.] and gradient.tolist() == [5., 7.]",
                "type(frozen) is torch.nn.Parameter and not frozen.requires_grad and weight.requires_grad and weight.note == 'kept' and isinstance(buffer, torch.nn.Buffer)",
            ),
        ),
        Row(
            "what came out of a calculation",
            "outcome = leaf * 2; loss = outcome.sum(); losses = [loss, loss.item()]",
            ("outcome.tolist() == [2., 4.] and loss.item() == 6 and losses[0] is loss and losses[1] == 6",),
            remark="the numbers, cut off from the calculation that they came from",
        ),
        Row(
            "hooks on tensors and modules",
            """
seen = []
hooked = torch.ones(2, requires_grad=True); hooked.register_hook(lambda g: g * 10)
watched = torch.nn.Linear(2, 1); handle = watched.register_forward_hook(lambda m, i, o: seen.append(len(i)))
""",
            (
                "hooked.sum().backward(); hooked.grad.tolist() == [10., 10.]",
                "watched(torch.ones(1, 2)) is not None and seen[-1] == 1",
                "count = len(seen); handle.remove(); watched(torch.ones(1, 2)); len(seen) == count",
            ),
        ),
        Row(
            "modules, of the session too, with tied weights, in containers",
            """
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__(); self.embed = nn.Embedding(10, 4); self.out = nn.Linear(4, 10, bias=False); self.out.weight = self.embed.weight; self.norm = nn.BatchNorm1d(4); self.register_buffer('steps', torch.zeros(1), persistent=False); self.layers = nn.ModuleList([nn.Linear(4, 4), nn.LSTM(4, 4)])
    def forward(self, x): self.steps += 1; return self.out(self.norm(torch.relu(self.layers[0](self.embed(x)))) * gain)
gain = 1.; torch.manual_seed(0); net = Net(); net(torch.tensor([1, 2])); weights = net.state_dict(); shared_weight = net.out.weight; sequence = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(.5)).eval(); criterion = nn.CrossEntropyLoss(weight=torch.ones(10)); attention = nn.TransformerEncoderLayer(4, 2, batch_first=True); normed = nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)); on_meta = nn.Linear(3, 3, device='meta')
""",
            (
                "net.out.weight is net.embed.weight and shared_weight is net.out.weight and isinstance(net, Net) and net.training and not sequence.training",
                "net.out.weight.data[0, 0] = 5; weights['embed.weight'][0, 0] == 5 and weights['out.weight'][0, 0] == 5",
                "net.steps.item() == 1 and [n for n, _ in net.named_parameters()][0] == 'embed.weight' and weights._metadata is not None",
                "on_meta.weight.is_meta and isinstance(normed, nn.Linear)",
            ),
            (
                "net(torch.tensor([1, 2])).tolist()",
                "globals().update(gain=2.); net.eval()(torch.tensor([1, 2])).tolist()",
                "sequence(torch.ones(1, 1, 4, 4)).tolist(), attention.eval()(torch.ones(1, 2, 4)).tolist(), normed(torch.ones(1, 3)).tolist(), criterion(torch.ones(1, 10), torch.tensor([1])).item()",
            ),
        ),
        Row(
            "training in the middle: model, optimizer, scheduler, loader, generator",
            """
from torch.utils.data import DataLoader, TensorDataset, Dataset, random_split
torch.manual_seed(1); model = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Dropout(.2), nn.Linear(64, 1)); optimizers = [torch.optim.AdamW(model.parameters(), lr=.01, amsgrad=True)]; schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizers[0], 20); rate = .5; plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizers[0]); warm = torch.optim.lr_scheduler.LambdaLR(torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=.1), lambda n: n * rate)
class Squares(Dataset):
    def __len__(self): return 6
    def __getitem__(self, n): return torch.tensor([float(n)]), n * n
generator = torch.Generator().manual_seed(5); torch.rand(3, generator=generator); inputs = torch.rand(64, 8); data = TensorDataset(inputs, inputs.sum(1, keepdim=True)); loader = DataLoader(data, batch_size=16, shuffle=True, generator=generator); squares = DataLoader(Squares(), batch_size=2, collate_fn=lambda items: [n for _, n in items]); first, second = random_split(data, [40, 24], generator=torch.Generator().manual_seed(1)); average = torch.optim.swa_utils.AveragedModel(model); scaler = torch.amp.GradScaler(enabled=False)
def step(dropout=0):
    model.train(); torch.manual_seed(dropout); x, t = next(iter(loader)); optimizers[0].zero_grad(); loss = ((model(x) - t) ** 2).mean(); loss.backward(); optimizers[0].step(); schedule.step(); return loss.item(), schedule.get_last_lr()
before = [step(n) for n in range(5)]; mid = [p.grad for p in model.parameters()]
others = {o.__name__: o(nn.Linear(2, 1).parameters(), lr=.1) for o in (torch.optim.SGD, torch.optim.Adam, torch.optim.RMSprop, torch.optim.Adagrad, torch.optim.LBFGS)}
""",
            (
                "optimizers[0].param_groups[0]['params'][0] is model[0].weight and schedule.optimizer is optimizers[0] and loader.dataset is data and loader.generator is generator and mid[0] is model[0].weight.grad",
                "data.tensors[0] is inputs and first.dataset is data and average.module is not model and len(others) == 5",
                "next(iter(squares)) == [0, 1] and warm.lr_lambdas[0](2) == 1.",
            ),
            (
                "[p.grad.tolist() for p in model.parameters()]",
                "[step(n) for n in range(4)], [p.tolist() for p in model.parameters()]",
                "torch.rand(2, generator=generator).tolist(), first.indices, average.eval()(inputs[:2]).tolist()",
            ),
        ),
        Row(
            "distributions, functions and transforms of torch, compiled modules",
            """
normal = torch.distributions.Normal(torch.zeros(2), torch.ones(2)); mixture = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(torch.ones(2)), torch.distributions.Normal(torch.zeros(2), torch.ones(2))); relu = nn.functional.relu; op = torch.add; packed = nn.utils.rnn.pack_sequence([torch.ones(2), torch.ones(1)]); result = torch.max(torch.tensor([1, 3, 2]), 0); compiled = torch.compile(nn.Linear(2, 2), backend='eager')
no_grad = torch.no_grad(); vmapped = torch.func.vmap(lambda v: v * 2); gradded = torch.func.grad(lambda v: (v ** 2).sum())
""",
            (
                "relu is nn.functional.relu and op is torch.add and result.indices.item() == 1 and packed.data.shape == (3,) and compiled(torch.ones(1, 2)).shape == (1, 2)",
                "vmapped(torch.ones(2)).tolist() == [2., 2.] and gradded(torch.ones(2)).tolist() == [2., 2.]",
            ),
            ("normal.log_prob(torch.zeros(2)).tolist(), mixture.log_prob(torch.tensor(.5)).item()",),
        ),
        Row(
            "scripted functions, a walk through a loader in the middle",
            """
@torch.jit.script
def scripted(x):
    return x * 2
half = iter(loader)
""",
            skipped={"scripted": "torch.jit.save", "half": "running code"},
        ),
    ),
)

TRANSFORMERS = Library(
    "transformers",
    ("transformers", "torch"),
    (
        Row(
            "a model made from a configuration, its optimizer, generation, a tokenizer",
            """
import torch
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel, GenerationConfig, PreTrainedTokenizerFast, TrainingArguments
torch.manual_seed(0); config = BertConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16); encoder = BertModel(config).eval(); writer = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2, n_positions=32)).eval(); generation = GenerationConfig(max_new_tokens=4, do_sample=False, pad_token_id=0)
from tokenizers import Tokenizer, models, pre_tokenizers
raw = Tokenizer(models.WordLevel({'[UNK]': 0, 'a': 1, 'b': 2, '[PAD]': 3}, unk_token='[UNK]')); raw.pre_tokenizer = pre_tokenizers.Whitespace(); tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, unk_token='[UNK]', pad_token='[PAD]'); batch = tokenizer(['a b', 'b'], padding=True, return_tensors='pt'); output = encoder(input_ids=torch.tensor([[1, 2]])); optimizer = torch.optim.AdamW(writer.parameters(), lr=.01)
def train():
    writer.train(); torch.manual_seed(1); ids = torch.tensor([[1, 2, 3, 4]]); loss = writer(ids, labels=ids).loss; loss.backward(); optimizer.step(); optimizer.zero_grad(); return loss.item()
train()
""",
            (
                "encoder.config is config and writer.lm_head.weight is writer.transformer.wte.weight and optimizer.param_groups[0]['params'][0] is writer.transformer.wte.weight",
                "tokenizer.decode([1, 2]) == 'a b' and batch['input_ids'].tolist() == [[1, 2], [2, 3]] and batch.attention_mask.sum() == 3 and raw.encode('b a').ids == [2, 1]",
            ),
            (
                "output.last_hidden_state.tolist(), encoder(input_ids=torch.tensor([[1, 2]])).pooler_output.tolist()",
                "writer.eval().generate(torch.tensor([[1, 2]]), generation_config=generation, attention_mask=torch.ones(1, 2)).tolist()",
                "[train() for _ in range(3)]",
            ),
            remark="results that carry a gradient come back as numbers, cut off from their calculation",
        ),
    ),
)

JAX = Library(
    "jax",
    ("jax",),
    (
        Row(
            "arrays of every type, weakly typed numbers, keys",
            """
import jax, jax.numpy as jnp, numpy as np
plain = jnp.arange(6.); big = jnp.arange(100_000.); halves = jnp.ones(50_000, jnp.bfloat16); eighths = jnp.arange(4.).astype(jnp.float8_e4m3fn); whole = jnp.arange(5, dtype=jnp.int8); waves = jnp.array([1 + 2j]); truth = jnp.array([True, False]); empty = jnp.zeros((0, 4)); scalar = jnp.float32(3.5); weak = jnp.asarray(2.) * 1; there = jax.device_put(big, jax.devices()[0]); key = jax.random.key(5); old_key = jax.random.PRNGKey(6); host = np.asarray(big); tree = {'w': [big, (plain, None)], 'again': big}; kind = jnp.bfloat16; device = jax.devices()[0]
""",
            (
                "plain.tolist() == [0, 1, 2, 3, 4, 5] and isinstance(big, jax.Array) and float(big[-1]) == 99_999 and whole.dtype == jnp.int8 and waves[0] == 1 + 2j and truth.tolist() == [True, False] and empty.shape == (0, 4) and float(scalar) == 3.5",
                "halves.dtype == jnp.bfloat16 and float(halves.astype('float32').sum()) == 50_000 and eighths.dtype == jnp.float8_e4m3fn and eighths.astype('float32').tolist() == [0, 1, 2, 3]",
                "weak.weak_type and (jnp.int8(1) * weak).dtype == jnp.float32 and there.committed and not big.committed and tree['w'][0] is big is tree['again'] and tree['w'][1][0] is plain",
                "host[-1] == 99_999 and big.at[0].set(7)[0] == 7 and big[0] == 0 and kind is jnp.bfloat16",
            ),
            ("jax.random.normal(key, 3).tolist(), jax.random.uniform(jax.random.split(old_key)[0]).item()",),
        ),
        Row(
            "functions of the session, compiled and differentiated",
            """
scale = 3.
def loss(w, x): return ((x @ w['w'] * scale) ** 2).mean()
step = jax.jit(lambda w, x: jax.tree.map(lambda p, g: p - .1 * g, w, jax.grad(loss)(w, x))); many = jax.vmap(lambda x: x * 2); weights = {'w': jnp.ones((4, 2))}; weights = step(weights, jnp.ones((3, 4)))
""",
            ("many(jnp.ones(3)).tolist() == [2, 2, 2]",),
            ("step(weights, jnp.ones((3, 4)))['w'].tolist(), loss(weights, jnp.ones((1, 4))).item()",),
        ),
    ),
)

TOGETHER = Library(
    "several at once",
    ("matplotlib", "numpy", "pandas", "polars", "scikit-learn", "torch"),
    (
        Row(
            "objects of several libraries in one container, over one memory, in closures",
            """
import numpy as np, pandas as pd, polars as pl, torch, matplotlib.pyplot as plt
from sklearn.linear_model import LinearRegression
from dataclasses import dataclass, field
values = np.arange(12.).reshape(6, 2); frame = pd.DataFrame(values, columns=['a', 'b'], copy=False); tensor = torch.from_numpy(values); table = pl.DataFrame({'a': [1, 2]}); fig, ax = plt.subplots(); ax.plot(frame.a, frame.b)
model = LinearRegression().fit(values, values[:, 0]); many = [np.ones(3), frame, tensor[1], {'table': table, 'model': model}, (fig, ax)]
@dataclass
class Experiment:
    name: str; data: object = None; results: dict = field(default_factory=dict)
runs = {n: Experiment(f'run {n}', frame, {'weights': tensor, 'axes': ax}) for n in range(3)}
def predictor(model=model): return lambda rows: model.predict(rows)
predict = predictor()
""",
            (
                "values[0, 0] = 77; tensor[0, 0] == 77 and frame.iloc[0, 0] == 77",
                "many[1] is frame and many[3]['model'] is model and many[4][0] is fig and many[4][0].axes[0] is ax and runs[1].data is frame and runs[2].results['weights'] is tensor and runs[0].results['axes'] is ax",
                "tensor[1, 0] = 5; many[2][0] == 5 and values[1, 0] == 5",
                "type(runs[0]) is Experiment and many[3]['table'] is table",
            ),
            ("predict(np.ones((1, 2))).tolist()",),
        ),
    ),
)

LIBRARIES = (TORCH, TRANSFORMERS, JAX, TOGETHER)
