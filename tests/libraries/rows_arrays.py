"""Arrays and what computes on them: numpy, scipy, xarray, dask, numba, astropy, h5py, sympy."""

from __future__ import annotations

from .table import Library, Row

NUMPY = Library(
    "numpy",
    ("numpy",),
    (
        Row(
            "arrays of numbers, strings, dates and nothing; scalars",
            """
import numpy as np
numbers = np.arange(12.).reshape(3, 4); big = np.arange(100_000); swapped = np.arange(5, dtype='>i4')
texts = np.array(['a', 'bcd']); days = np.array(['2024-01-01', 'NaT'], dtype='M8[D]'); spans = days - days[0]
empty = np.empty((0, 3)); half = np.array([1.5], dtype='f2'); zero = np.array(7); scalar = np.float32(1.5)
kind = np.dtype([('x', 'f8'), ('y', 'i4')]); bools = np.array([True, False]); waves = np.array([1 + 2j])
""",
            (
                "numbers.tolist() == [[0., 1., 2., 3.], [4., 5., 6., 7.], [8., 9., 10., 11.]]",
                "big.sum() == 4999950000 and big.dtype == np.int64",
                "swapped.dtype.str == '>i4' and swapped.tolist() == [0, 1, 2, 3, 4]",
                "texts.dtype == '<U3' and days.dtype == 'M8[D]' and np.isnat(days[1]) and spans.dtype == 'm8[D]'",
                "empty.shape == (0, 3) and half.dtype == np.float16 and zero.shape == () and zero == 7",
                "type(scalar) is np.float32 and scalar == 1.5 and kind.names == ('x', 'y') and bools.dtype == bool",
                "waves[0] == 1 + 2j",
            ),
        ),
        Row(
            "string arrays of any length (StringDType)",
            """
from numpy.dtypes import StringDType
words = np.array(['short', 'x' * 1000, ''], dtype=StringDType())
""",
            ("words.dtype == StringDType() and words.tolist() == ['short', 'x' * 1000, '']",),
        ),
        Row(
            "views, also overlapping, transposed and broadcast",
            """
owner = np.arange(20.).reshape(4, 5); row = owner[1]; turned = owner.T; back = row[::-1]
wide = np.broadcast_to(np.arange(3), (1000, 3)); window = np.lib.stride_tricks.sliding_window_view(np.arange(9), 3)
""",
            (
                "owner[1, 0] = 99; row[0] == 99 and turned[0, 1] == 99 and back[-1] == 99",
                "np.shares_memory(owner, turned) and wide.strides[0] == 0 and wide.tolist()[999] == [0, 1, 2]",
                "window.strides == (8, 8) and window[2].tolist() == [2, 3, 4]",
            ),
        ),
        Row(
            "Fortran order and the read-only flag",
            """
columns = np.asfortranarray(np.arange(6).reshape(2, 3)); frozen = np.arange(3); frozen.flags.writeable = False
large = np.asfortranarray(np.ones((200, 300))); fixed = np.ones(50_000); fixed.flags.writeable = False
""",
            (
                "columns.flags.f_contiguous and not columns.flags.c_contiguous and columns.tolist() == [[0, 1, 2], [3, 4, 5]]",
                "not frozen.flags.writeable and frozen.tolist() == [0, 1, 2]",
                "large.flags.f_contiguous and not fixed.flags.writeable and fixed.sum() == 50_000",
            ),
        ),
        Row(
            "structured arrays, records, np.void",
            """
table = np.array([(1, 2.5, 'a'), (2, 3.5, 'b')], dtype=[('n', 'i4'), ('x', 'f8'), ('s', 'U2')])
record = table[0].copy(); column = table['x']; raw = np.void(b'abc'); aligned = np.zeros(2, np.dtype('i1,f8', align=True))
records = np.rec.array([(1, 'a'), (2, 'b')], names='n,s')
""",
            (
                "table.dtype.names == ('n', 'x', 's') and table['s'].tolist() == ['a', 'b']",
                "record['x'] == 2.5 and record.dtype == table.dtype and type(record) is np.void and raw.tobytes() == b'abc'",
                "column[1] = 7; table['x'][1] == 7",
                "aligned.dtype.isalignedstruct and aligned.dtype.itemsize == 16",
                "type(records) is np.recarray and records.n.tolist() == [1, 2] and records[1].s == 'b'",
            ),
        ),
        Row(
            "arrays of Python objects",
            """
part = ['shared']; cells = np.array([1, None, 'x'], dtype=object); some = cells[1:]; objects = np.array([part, {'k': 1}, None, 'text'], dtype=object)
ring = np.empty(1, dtype=object); ring[0] = ring
""",
            (
                "objects[0] is part and objects[1] == {'k': 1} and objects[2] is None",
                "ring[0] is ring",
                "cells[1] = 5; some[0] == 5",
            ),
        ),
        Row(
            "masked arrays and matrices",
            """
masked = np.ma.masked_invalid([1., np.nan, 3.]); masked.fill_value = -1; hard = np.ma.array([1, 2], mask=[0, 1], hard_mask=True)
matrix = np.matrix([[1, 2], [3, 4]]); nothing = np.ma.masked; line = matrix[0]; view = matrix.view(np.ndarray)
""",
            (
                "masked.mask.tolist() == [False, True, False] and masked.fill_value == -1 and masked.sum() == 4",
                "hard.filled(0).tolist() == [1, 0] and nothing is np.ma.masked",
                "hard.hardmask",
                "type(matrix) is np.matrix and (matrix * matrix).tolist() == [[7, 10], [15, 22]]",
                "matrix[0, 1] = 9; line[0, 1] == 9 and view[0, 1] == 9",
            ),
        ),
        Row(
            "a subclass of ndarray defined in the session",
            """
class Units(np.ndarray):
    def __new__(cls, values, unit=None):
        made = np.asarray(values).view(cls); made.unit = unit; return made
    def __array_finalize__(self, other):
        self.unit = getattr(other, 'unit', None)
    def __reduce__(self):
        make, args, state = super().__reduce__(); return make, args, (state, self.unit)
    def __setstate__(self, state):
        super().__setstate__(state[0]); self.unit = state[1]
lengths = Units([1., 2.], 'm')
""",
            (
                "type(lengths) is Units and lengths.unit == 'm' and (lengths * 2).unit == 'm' and lengths.tolist() == [1, 2]",
            ),
        ),
        Row(
            "random generators in mid-stream, the old RandomState, bit generators",
            """
rng = np.random.default_rng(7); rng.normal(size=3); again = {'same': rng}
old = np.random.RandomState(3); old.normal(); philox = np.random.Generator(np.random.Philox(5)); philox.random(5)
seeds = np.random.SeedSequence(11); bits = rng.bit_generator; child = seeds.spawn(1)[0]
""",
            ("again['same'] is rng and rng.bit_generator is bits",),
            (
                "rng.normal(size=3).tolist()",
                "old.normal(size=3).tolist()",
                "philox.random(3).tolist()",
                "bits.random_raw(2).tolist()",
                "seeds.generate_state(3).tolist(), seeds.spawn(1)[0].generate_state(1).tolist(), child.spawn_key",
            ),
        ),
        Row(
            "a memory map of a file",
            "np.arange(6.).tofile('mapped.bin'); mapped = np.memmap('mapped.bin', dtype='f8', mode='r+', shape=(2, 3))",
            ("mapped.tolist() == [[0., 1., 2.], [3., 4., 5.]]", "mapped[0, 0] = 5; mapped[0, 0] == 5"),
            remark="an array in memory, without its file",
        ),
        Row(
            "polynomials, ufuncs made of functions",
            """
poly = np.polynomial.Polynomial([1, 2, 3], domain=[-2, 2]); old_poly = np.poly1d([1, 2])
def clipped(x): return max(x, 0)
vector = np.vectorize(clipped); upper = np.frompyfunc(clipped, 1, 1); plus = np.add; plus_at = np.add.reduce
""",
            (
                "poly(2) == np.polynomial.Polynomial([1, 2, 3], domain=[-2, 2])(2) and old_poly(3) == 5",
                "vector(np.array([-1, 2])).tolist() == [0, 2] and plus is np.add and plus_at([1, 2]) == 3",
                "upper(np.array([-1, 2])).tolist() == [0, 2]",
            ),
        ),
        Row(
            "open archives and iterators",
            "np.savez('archive.npz', a=np.ones(2)); archive = np.load('archive.npz')\nwalk = np.nditer(np.arange(3))",
            skipped={"archive": "open file", "walk": "cannot be pickled"},
        ),
    ),
)

SCIPY = Library(
    "scipy",
    ("scipy",),
    (
        Row(
            "sparse matrices and arrays of every format",
            """
import numpy as np
import scipy.sparse as sp
dense = np.diag([1., 2., 3.]); made = {f: sp.csr_matrix(dense).asformat(f) for f in ('csr', 'csc', 'coo', 'lil', 'dok', 'dia', 'bsr')}
arrays = {f: sp.csr_array(dense).asformat(f) for f in ('csr', 'csc', 'coo', 'lil', 'dok', 'dia', 'bsr')}
large = sp.random(300, 300, 0.2, format='csr', random_state=1); data = large.data
""",
            (
                "all((m.toarray() == dense).all() and m.format == f and type(m).__name__ == f + '_matrix' for f, m in made.items())",
                "all((m.toarray() == dense).all() and m.format == f and type(m).__name__ == f + '_array' for f, m in arrays.items())",
                "large.data is data or np.shares_memory(large.data, data)",
            ),
            ("(large @ np.ones(300)).sum(), (made['csr'] @ made['csc']).toarray().tolist()",),
        ),
        Row(
            "distributions: frozen, multivariate, of one's own, kernel densities",
            """
from scipy import stats
gamma = stats.gamma(2.5, scale=3); multi = stats.multivariate_normal([0, 1], [[2, .5], [.5, 1]], seed=3)
histogram = stats.rv_histogram(np.histogram([1, 2, 2, 3, 3, 3], bins=3)); kernel = stats.gaussian_kde([1., 2., 4.])
class Ramp(stats.rv_continuous):
    def _pdf(self, x): return 2 * x
ramp = Ramp(a=0, b=1, name='ramp'); picks = stats.rv_discrete(values=([1, 2], [.25, .75])); die = stats.randint(1, 7)
norm = stats.norm; tested = stats.ttest_ind([1., 2, 3], [2., 3, 5]); halton = stats.qmc.Halton(2, rng=1); _ = halton.random(3)
""",
            ("norm is stats.norm and type(ramp) is Ramp and tested.pvalue == tested[1]",),
            (
                "gamma.ppf(.3), multi.pdf([1, 1]), multi.rvs(2).tolist(), histogram.cdf(2.2), kernel(1.5)[0], die.pmf(3)",
                "ramp.cdf(.5), picks.pmf(2), gamma.rvs(2, random_state=1).tolist(), tested, halton.random(2).tolist()",
            ),
        ),
        Row(
            "interpolators",
            """
from scipy import interpolate
xs = np.linspace(0, 5, 9); ys = np.sin(xs)
splines = [interpolate.CubicSpline(xs, ys), interpolate.PchipInterpolator(xs, ys), interpolate.make_interp_spline(xs, ys),
    interpolate.UnivariateSpline(xs, ys), interpolate.Akima1DInterpolator(xs, ys), interpolate.interp1d(xs, ys, kind='quadratic'),
    interpolate.BarycentricInterpolator(xs, ys)]
grid = interpolate.RegularGridInterpolator((xs, xs), np.outer(ys, ys)); points = np.random.default_rng(0).random((30, 2))
rbf = interpolate.RBFInterpolator(points, points.sum(1)); scattered = interpolate.LinearNDInterpolator(points, points.sum(1))
smooth = interpolate.CloughTocher2DInterpolator(points, points.sum(1)); nearest = interpolate.NearestNDInterpolator(points, points[:, 0])
""",
            (),
            (
                "[float(s(1.7)) for s in splines], float(grid((1.5, 2.5))), rbf([[.5, .5]]).tolist()",
                "float(scattered(.5, .5)), float(smooth(.5, .5)), float(nearest(.5, .5))",
            ),
        ),
        Row(
            "trees, hulls, results of optimisation, filters, rotations",
            """
from scipy import optimize, signal, spatial, integrate
tree = spatial.cKDTree(points); newer = spatial.KDTree(points); hull = spatial.ConvexHull(points); mesh = spatial.Delaunay(points)
def bowl(x): return ((x - 3) ** 2).sum()
best = optimize.minimize(bowl, [0., 0.]); turn = spatial.transform.Rotation.from_euler('z', 90, degrees=True)
system = signal.TransferFunction([1], [1, 1]); sos = signal.butter(3, .2, output='sos'); slerp = spatial.transform.Slerp([0, 1], spatial.transform.Rotation.from_euler('z', [[0], [90]], degrees=True))
solved = integrate.solve_ivp(lambda t, y: -y, (0, 1), [1.], dense_output=True); bounds = optimize.Bounds([0], [1])
from scipy.sparse.linalg import LinearOperator
operator = LinearOperator((2, 2), matvec=lambda v: 2 * v); voronoi = spatial.Voronoi(points)
""",
            ("best.success and bounds.ub.tolist() == [1]",),
            (
                "tree.query([.5, .5]), newer.query([.5, .5]), hull.volume, mesh.find_simplex([[.5, .5]]).tolist()",
                "best.x.tolist(), turn.apply([1, 0, 0]).tolist(), solved.sol(.5).tolist(), slerp(.5).as_quat().tolist()",
                "signal.step(system)[1].tolist()[:5], (operator @ np.ones(2)).tolist(), voronoi.vertices.tolist()",
                "mesh.add_points([[.1, .2]]) if mesh._incremental else mesh.simplices.tolist()",
            ),
        ),
        Row(
            "a factorised sparse matrix (SuperLU)",
            "from scipy.sparse.linalg import splu\nfactors = splu(sp.csc_matrix(dense))",
            skipped={"factors": "cannot be pickled"},
        ),
    ),
)

XARRAY = Library(
    "xarray",
    ("xarray",),
    (
        Row(
            "arrays, data sets and trees, with coordinates, attributes, group-bys",
            """
import numpy as np, pandas as pd, xarray as xr
values = np.arange(6.).reshape(2, 3)
field = xr.DataArray(values, dims=('t', 'x'), coords={'t': pd.date_range('2024', periods=2), 'x': [10, 20, 30]}, name='field', attrs={'unit': 'K'})
data = xr.Dataset({'field': field, 'flag': ('x', [True, False, True])}, attrs={'title': 'demo'})
plain = xr.Variable(('x',), [1, 2]); stacked = data.stack(z=('t', 'x')); chosen = field.sel(x=20); groups = field.groupby('x')
tree = xr.DataTree.from_dict({'/': data, '/child': data.mean('t')}); rolled = field.rolling(x=2); many = xr.DataArray(np.ones((300, 300)), dims=('a', 'b'))
""",
            (
                "field.attrs == {'unit': 'K'} and field.name == 'field' and field.dims == ('t', 'x')",
                "data.identical(xr.Dataset({'field': field, 'flag': ('x', [True, False, True])}, attrs={'title': 'demo'}))",
                "field.sel(t='2024-01-02', x=30).item() == 5 and plain.dims == ('x',) and chosen.values.tolist() == [1., 4.]",
                "field.values[0, 0] = 77; values[0, 0] == 77",
                "stacked.indexes['z'].nlevels == 2 and stacked.unstack('z').field.shape == (2, 3) and many.sum() == 90_000",
                "tree['child'].field.shape == (3,) and tree.children['child'].parent is tree",
            ),
            ("groups.mean().values.tolist(), rolled.mean().values.tolist()",),
        ),
    ),
)

DASK = Library(
    "dask",
    ("dask",),
    (
        Row(
            "arrays, frames, bags and delayed calls, before they are computed",
            """
import dask, dask.array as da, dask.bag as db, pandas as pd, numpy as np
import dask.dataframe as dd
lazy = da.ones((400, 400), chunks=100) * 2; total = lazy.sum(); numpy_backed = da.from_array(np.arange(10), chunks=5)
frame = dd.from_pandas(pd.DataFrame({'k': [1, 2, 1], 'v': [1., 2., 3.]}), npartitions=2); grouped = frame.groupby('k').v.sum()
bag = db.from_sequence(range(5)).map(lambda x: x + offset); offset = 10
@dask.delayed
def added(a, b): return a + b
later = added(1, added(2, 3))
""",
            (
                "lazy.chunks == ((100,) * 4,) * 2 and total.compute(scheduler='sync') == 320_000",
                "grouped.compute(scheduler='sync').to_dict() == {1: 4., 2: 2.} and frame.npartitions == 2",
                "offset = 20; bag.compute(scheduler='sync') == [20, 21, 22, 23, 24]",
                "later.compute(scheduler='sync') == 6 and added(1, 1).compute(scheduler='sync') == 2",
                "numpy_backed.compute(scheduler='sync').tolist() == list(range(10))",
            ),
        ),
    ),
)

NUMBA = Library(
    "numba",
    ("numba",),
    (
        Row(
            "compiled functions of the session, vectorised ones, typed containers",
            """
import numba, numpy as np
factor = 2
@numba.njit
def doubled(x): return x * factor
first = doubled(3)
@numba.njit
def summed(values):
    total = 0.0
    for v in values: total += doubled(v)
    return total
summed(np.ones(3))
@numba.vectorize(['float64(float64)'])
def squared(x): return x * x
@numba.guvectorize(['(float64[:], float64[:])'], '(n)->()')
def added(v, out): out[0] = v.sum()
@numba.vectorize
def lazily(x): return x + 1
typed = numba.typed.List([1, 2, 3]); by_name = numba.typed.Dict.empty(numba.types.unicode_type, numba.types.int64); by_name['a'] = 1
kind = numba.float64[:]
""",
            (
                "doubled(21) == 42 and summed(np.array([1., 2.])) == 6 and squared(3.) == 9 and doubled.py_func(2) == 4",
                "added(np.ones(4)) == 4 and lazily(np.arange(3)).tolist() == [1, 2, 3]",
                "list(typed) == [1, 2, 3] and kind == numba.float64[:]",
                "dict(by_name) == {'a': 1}",
            ),
        ),
        Row(
            "compiled classes",
            "@numba.experimental.jitclass([('n', numba.int64)])\nclass Counter:\n    def __init__(self, n): self.n = n\n    def up(self): self.n += 1; return self.n\ncounter = Counter(1)",
            skipped={"Counter": "unsupported", "counter": "cannot be pickled"},
        ),
    ),
)

ASTROPY = Library(
    "astropy",
    ("astropy",),
    (
        Row(
            "quantities, units, times, coordinates, tables, models, constants",
            """
import numpy as np
from astropy import units as u, constants, coordinates, time, table, wcs, cosmology
from astropy.modeling import models, fitting
from astropy.io import fits
speed = 3.0 * u.km / u.s; lengths = np.arange(5.) * u.m; unit = u.Jy / u.beam; moment = time.Time('2024-01-01T00:00:00', scale='utc')
here = coordinates.SkyCoord(10 * u.deg, 20 * u.deg, distance=5 * u.pc); stars = table.Table({'name': ['a', 'b'], 'mag': [1., 2.] * u.mag}, meta={'k': 1})
qtable = table.QTable({'d': [1., 2.] * u.m}); row = stars[1]; bump = models.Gaussian1D(2, 0, 1); both = bump + models.Const1D(1); c = constants.c
image = fits.PrimaryHDU(np.ones((3, 3))); image.header['OBJECT'] = 'M31'; sky = wcs.WCS(naxis=2); sky.wcs.crval = [1, 2]; planck = cosmology.Planck18
fitter = fitting.LevMarLSQFitter(); hdus = fits.HDUList([image]); angle = coordinates.Angle('1d2m3s'); units = {'speed': speed.unit}
""",
            (
                "speed.to_value(u.m / u.s) == 3000 and (lengths * 2).unit is u.m and unit == u.Jy / u.beam and speed.unit == units['speed']",
                "moment.isot == '2024-01-01T00:00:00.000' and (moment + 1 * u.day).isot.startswith('2024-01-02')",
                "here.ra.deg == 10 and here.separation(here).deg == 0 and stars['mag'].unit == u.mag and stars.meta == {'k': 1}",
                "stars.add_row(('c', 3.)) is None and len(stars) == 3 and qtable['d'].unit == u.m and c == constants.c and type(c) is type(constants.c)",
                "row['name'] == 'b' and row.table is stars",
                "image.header['OBJECT'] == 'M31' and image.data.sum() == 9 and hdus[0] is image and angle.deg == 1 + 2 / 60 + 3 / 3600",
                "sky.wcs.crval.tolist() == [1, 2] and planck == cosmology.Planck18",
            ),
            (
                "bump(.5), both(.5), here.galactic.l.deg, float(planck.H0.value)",
                "fitter(models.Gaussian1D(1, 0, 1), np.arange(5.), np.arange(5.) ** 2).parameters.tolist()",
            ),
        ),
    ),
)

H5PY = Library(
    "h5py",
    ("h5py",),
    (
        Row(
            "files, groups and data sets",
            "import h5py\nh5 = h5py.File('data.h5', 'w'); group = h5.create_group('g'); numbers = h5.create_dataset('n', data=[1, 2]); held = {'file': h5, 'n': 1}",
            ("held['n'] == 1",),
            skipped={"h5": "open file", "group": "open file", "numbers": "open file", "held": "placeholder"},
        ),
    ),
)

SYMPY = Library(
    "sympy",
    ("sympy",),
    (
        Row(
            "symbols, expressions, functions, matrices, assumptions, lambdified functions",
            """
import sympy as sy
x, y = sy.symbols('x y'); p = sy.Symbol('p', positive=True); f = sy.Function('f'); dummy = sy.Dummy('d'); wild = sy.Wild('w')
expr = sy.sin(x) ** 2 + y / 3; grid = sy.Matrix([[x, 1], [y, 2]]); fixed = sy.ImmutableMatrix([[1, 2]]); ode = sy.Eq(f(x).diff(x), f(x))
fast = sy.lambdify([x, y], expr); poly = sy.Poly(x ** 2 + 1, x); field = sy.GF(7); solution = sy.solveset(x ** 2 - 1, x); exact = sy.Rational(1, 3); pi = sy.pi
piece = sy.Piecewise((x, x > 0), (0, True)); integral = sy.Integral(expr, x); series = sy.series(sy.exp(x), x, 0, 4); rel = p > 0; unknown = sy.symbols('k', cls=sy.Function)
with_dummy = dummy + 1; symmetric = sy.MatrixSymbol('A', 2, 2); tup = sy.Tuple(x, y); units = __import__('sympy.physics.units', fromlist=['u']).meter
""",
            (
                "expr.subs({x: 0, y: 3}) == 1 and expr.diff(x) == 2 * sy.sin(x) * sy.cos(x) and p.is_positive and rel == sy.true",
                "grid.det() == 2 * x - y and sy.dsolve(ode, f(x)).rhs.has(sy.exp(x)) and fast(0, 3) == 1 and poly.degree() == 2",
                "with_dummy - 1 == dummy and solution == sy.FiniteSet(-1, 1) and pi is sy.pi and exact * 3 == 1 and sy.Symbol('x') == x",
                "field(8) == field(1) and piece.subs(x, -1) == 0 and integral.doit().diff(x).equals(expr) and series.removeO().subs(x, 1) == sy.Rational(8, 3)",
                "unknown(x).func == unknown and symmetric.shape == (2, 2) and tup[0] is x and units == sy.physics.units.meter",
            ),
        ),
    ),
)

LIBRARIES = (NUMPY, SCIPY, XARRAY, DASK, NUMBA, ASTROPY, H5PY, SYMPY)
