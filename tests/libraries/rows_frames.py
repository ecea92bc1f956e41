"""Tables: pandas, polars, pyarrow, duckdb, shapely and geopandas."""

from __future__ import annotations

from .table import Library, Row

PANDAS = Library(
    "pandas",
    ("pandas",),
    (
        Row(
            "frames and series, their types, indexes, attributes",
            """
import numpy as np, pandas as pd
df = pd.DataFrame({'i': [1, 2, 3], 'f': [1.5, None, 3.], 's': ['a', 'b', None], 'b': [True, False, True], 'o': [1, 'x', [2]]})
df.attrs['source'] = 'made'; series = pd.Series([1, 2], index=['a', 'b'], name='n', dtype='i2'); column = df['f']; big = pd.DataFrame(np.random.default_rng(0).random((5000, 8)))
index = pd.Index([3, 1], name='key'); ranges = pd.RangeIndex(0, 10, 2); empty = pd.DataFrame(columns=['a', 'b']); same = {'df': df}; odd = pd.DataFrame([[1, 2]], columns=['x', 'x'])
""",
            (
                "list(df.dtypes.astype(str)) == ['int64', 'float64', 'str', 'bool', 'object'] and df.attrs == {'source': 'made'}",
                "df.i.tolist() == [1, 2, 3] and df.f.isna().tolist() == [False, True, False] and df.o[2] == [2] and same['df'] is df",
                "series.dtype == 'i2' and series.name == 'n' and series['b'] == 2 and index.name == 'key' and type(ranges) is pd.RangeIndex and ranges.step == 2",
                "empty.columns.tolist() == ['a', 'b'] and odd.columns.tolist() == ['x', 'x'] and big.shape == (5000, 8)",
                "df.loc[3] = [4, 4.5, 'd', False, None]; df.shape == (4, 5) and df.i.sum() == 10",
                "df['new'] = 1; column.tolist()[0] == 1.5 and 'new' in df",
            ),
            ("big.sum().tolist(), df.describe().to_csv(), big.iloc[7].tolist()",),
        ),
        Row(
            "nullable, categorical, interval, period, sparse and arrow-backed columns",
            """
kinds = pd.DataFrame({'n': pd.array([1, None], dtype='Int64'), 'x': pd.array([1.5, None], dtype='Float32'), 't': pd.array(['a', None], dtype='string'),
  'y': pd.array([True, None], dtype='boolean'), 'c': pd.Categorical(['lo', 'hi'], categories=['lo', 'mid', 'hi'], ordered=True), 'iv': pd.interval_range(0, 2), 'p': pd.period_range('2024-01', periods=2, freq='M')})
sparse = pd.Series(pd.arrays.SparseArray([0, 0, 1, 0], fill_value=0)); arrow = pd.Series(['a', None, 'b'], dtype='string[pyarrow]'); lists = pd.Series([[1, 2], [3]], dtype=pd.ArrowDtype(__import__('pyarrow').list_(__import__('pyarrow').int64())))
arrowed = pd.DataFrame({'a': [1, 2]}).convert_dtypes(dtype_backend='pyarrow'); kind = pd.CategoricalDtype(['a', 'b']); na = pd.NA; nat = pd.NaT
""",
            (
                "list(kinds.dtypes.astype(str)) == ['Int64', 'Float32', 'string', 'boolean', 'category', 'interval[int64, right]', 'period[M]']",
                "kinds.n[1] is pd.NA and na is pd.NA and nat is pd.NaT and kinds.c.cat.ordered and kinds.c.cat.categories.tolist() == ['lo', 'mid', 'hi'] and kinds.c.max() == 'hi'",
                "kinds.p[1] == pd.Period('2024-02') and kinds.iv[0] == pd.Interval(0, 1) and sparse.sparse.density == .25 and sparse.sum() == 1",
                "arrow.dtype == 'string[pyarrow]' and arrow.isna().tolist() == [False, True, False] and lists.list.len().tolist() == [2, 1] and str(arrowed.a.dtype) == 'int64[pyarrow]'",
                "kind == pd.CategoricalDtype(['a', 'b'])",
            ),
        ),
        Row(
            "dates with time zones, frequencies, several index levels",
            """
times = pd.date_range('2024-03-30', periods=4, freq='D', tz='Europe/Berlin'); stamp = times[1]; delta = pd.Timedelta('1D2h'); off = pd.offsets.BusinessDay(2)
multi = pd.MultiIndex.from_product([['a', 'b'], [1, 2]], names=['l', 'n']); deep = pd.DataFrame({'v': range(4)}, index=multi); daily = pd.Series(range(4), index=times)
""",
            (
                "str(times.tz) == 'Europe/Berlin' and times.freq == 'D' and stamp.tz is not None and stamp + delta > stamp and off.n == 2",
                "deep.loc[('b', 1), 'v'] == 2 and deep.index.names == ['l', 'n'] and deep.xs(2, level='n').v.tolist() == [1, 3]",
                "daily.resample('2D').sum().tolist() == [1, 5] and daily.index.freq == 'D'",
            ),
        ),
        Row(
            "group-bys, rolling windows, stylers, groupers",
            """
groups = df.groupby('b'); one = groups['i']; windows = big.rolling(3); growing = big.expanding(); weighted = big.ewm(span=3)
styler = df[['i', 'f']].style.format(precision=1).highlight_max(color='red').map(lambda v: 'color: blue' if v == threshold else ''); threshold = 1; grouper = pd.Grouper(freq='D'); resampler = daily.resample('2D')
styler.set_uuid('fixed')
""",
            ("groups.obj is df and len(groups) == 2",),
            (
                "one.sum().to_dict(), groups.f.mean().to_dict(), windows.mean().iloc[9].tolist(), growing.sum().iloc[5].tolist(), weighted.mean().iloc[5].tolist()",
                "styler.to_html(), resampler.sum().tolist()",
            ),
        ),
        Row(
            "frames over NumPy arrays, subclasses and accessors of the session",
            """
base = np.arange(12.).reshape(4, 3); shared = pd.DataFrame(base, copy=False)
class Priced(pd.DataFrame):
    _metadata = ['currency']
    @property
    def _constructor(self): return Priced
    def total(self): return float(self.price.sum())
prices = Priced({'price': [1., 2.]}); prices.currency = 'EUR'
@pd.api.extensions.register_dataframe_accessor('twice')
class Twice:
    def __init__(self, frame): self.frame = frame
    def sum(self): return self.frame.to_numpy().sum() * 2
""",
            (
                "base[0, 0] = 100; shared.iloc[0, 0] == 100",
                "type(prices) is Priced and prices.currency == 'EUR' and prices.total() == 3. and type(prices.head(1)) is Priced",
                "Twice(prices).sum() == 6.",
            ),
        ),
        Row(
            "readers of files, a walk through rows",
            "df[['i']].to_csv('t.csv'); chunks = pd.read_csv('t.csv', chunksize=1); rows = df.iterrows(); writer = pd.ExcelWriter\n",
            ("writer is pd.ExcelWriter",),
            skipped={"chunks": "open file", "rows": "running code"},
        ),
    ),
)

POLARS = Library(
    "polars",
    ("polars",),
    (
        Row(
            "frames, series, lazy frames, expressions, types",
            """
import polars as pl
from datetime import date, datetime
df = pl.DataFrame({'a': [1, 2, None], 'b': ['x', 'y', 'z'], 'd': [date(2024, 1, 1)] * 3, 'l': [[1], [2, 3], None], 's': [{'k': 1}, {'k': 2}, {'k': None}]})
cats = pl.Series('c', ['u', 'v', 'u'], dtype=pl.Categorical); enum = pl.Series(['lo'], dtype=pl.Enum(['lo', 'hi'])); money = pl.Series(['1.50'], dtype=pl.String).cast(pl.Decimal(10, 2))
big = pl.DataFrame({'n': range(100_000)}); lazy = df.lazy().filter(pl.col('a') > 1).select(pl.col('a') * 2); expr = (pl.col('a') + 1).alias('up'); schema = df.schema
def tripled(v): return v * factor
factor = 3; mapped = pl.col('a').map_elements(tripled, return_dtype=pl.Int64); lazily = df.lazy().with_columns(mapped.alias('m'))
grouped = df.group_by('b', maintain_order=True); kind = pl.List(pl.Int64); things = pl.Series('o', [object()], dtype=pl.Object); zoned = pl.Series([datetime(2024, 1, 1)]).dt.replace_time_zone('Europe/Berlin')
held = {'df': df, 'column': df['a']}; selector = __import__('polars.selectors', fromlist=['s']).numeric(); sql = pl.SQLContext(t=df)
""",
            (
                "df.schema == schema and df.to_dicts()[1] == {'a': 2, 'b': 'y', 'd': date(2024, 1, 1), 'l': [2, 3], 's': {'k': 2}} and df['a'].null_count() == 1",
                "cats.dtype == pl.Categorical and cats.to_list() == ['u', 'v', 'u'] and enum.dtype == pl.Enum(['lo', 'hi']) and str(money[0]) == '1.50' and zoned.dtype.time_zone == 'Europe/Berlin'",
                "big['n'].sum() == 4999950000 and lazy.collect().to_dicts() == [{'a': 4}] and df.select(expr)['up'].to_list() == [2, 3, None] and kind == pl.List(pl.Int64)",
                "factor = 10; lazily.collect()['m'].to_list() == [10, 20, None]",
                "df.select(mapped)['a'].to_list() == [10, 20, None]",
                "held['df'] is df and grouped.agg(pl.col('a').sum()).to_dicts()[1] == {'b': 'y', 'a': 2} and df.select(selector).columns == ['a']",
                "df.vstack(df).height == 6 and df.with_row_index().columns[0] == 'index'",
            ),
            skipped={"things": "Object", "sql": "placeholder"},
        ),
        Row(
            "a frame in containers and closures",
            "def counter(frame=df): return lambda: frame.height\ncount = counter(); frames = [df, big.head(3)]",
            ("count() == 3 and frames[0] is df and frames[1].height == 3",),
        ),
    ),
)

PYARROW = Library(
    "pyarrow",
    ("pyarrow",),
    (
        Row(
            "tables, arrays, chunked and nested ones, schemas, scalars, buffers, tensors",
            """
import pyarrow as pa, pyarrow.compute as pc, pyarrow.dataset as ds, pyarrow.parquet as pq, numpy as np
table = pa.table({'a': [1, 2, None], 'b': ['x', 'y', 'z']}, metadata={'k': 'v'}); array = pa.array([1.5, None]); chunks = pa.chunked_array([[1], [2, 3]])
nested = pa.array([{'k': [1, 2]}, None]); words = pa.array(['u', 'v', 'u']).dictionary_encode(); schema = table.schema; scalar = pa.scalar(3); kind = pa.list_(pa.int32()); field = pa.field('f', pa.string(), nullable=False)
batch = table.to_batches()[0]; buffer = pa.py_buffer(b'bytes'); large = pa.array(np.arange(100_000)); expression = (pc.field('a') > 1); options = pc.CountOptions(mode='only_null')
pq.write_table(table, 't.parquet'); dataset = ds.dataset('t.parquet'); fragment = next(dataset.get_fragments()); filesystem = pa.fs.LocalFileSystem() if hasattr(pa, 'fs') else None
piece = table.slice(1, 1); metadata = pq.read_metadata('t.parquet'); grouped = table.group_by('b'); tensor = pa.Tensor.from_numpy(np.ones((2, 2)))
decimals = pa.array([None], pa.decimal128(5, 2)); sparse = pa.SparseCOOTensor.from_dense_numpy(np.eye(2))
""",
            (
                "table.to_pydict() == {'a': [1, 2, None], 'b': ['x', 'y', 'z']} and table.schema.metadata == {b'k': b'v'} and table.schema.equals(schema, check_metadata=True)",
                "array.to_pylist() == [1.5, None] and chunks.num_chunks == 2 and chunks.to_pylist() == [1, 2, 3] and nested.to_pylist() == [{'k': [1, 2]}, None]",
                "words.dictionary.to_pylist() == ['u', 'v'] and scalar.as_py() == 3 and kind == pa.list_(pa.int32()) and not field.nullable and decimals.type == pa.decimal128(5, 2)",
                "batch.num_rows == 3 and buffer.to_pybytes() == b'bytes' and pc.sum(large).as_py() == 4999950000 and piece.to_pylist() == [{'a': 2, 'b': 'y'}]",
                "table.filter(expression).num_rows == 1 and pc.count(array, options=options).as_py() == 1 and metadata.num_rows == 3",
                "tensor.to_numpy().tolist() == [[1, 1], [1, 1]] and dataset.to_table().num_rows == 3 and fragment.count_rows() == 3",
                "table.append_column('c', pa.array([1, 2, 3])).num_columns == 3 and grouped.aggregate([('a', 'sum')]).num_rows == 3",
            ),
            skipped={"sparse": "cannot be pickled"},
        ),
        Row(
            "files, readers, streams",
            "reader = pq.ParquetFile('t.parquet'); stream = pa.OSFile('t.parquet'); mapped = pa.memory_map('t.parquet'); batches = table.to_reader()",
            skipped={"reader": "open file", "stream": "open file", "mapped": "open file", "batches": "only once"},
        ),
    ),
)

DUCKDB = Library(
    "duckdb",
    ("duckdb",),
    (
        Row(
            "connections, relations, types and expressions",
            "import duckdb\ndb = duckdb.connect(); db.execute('create table t as select 1 as n'); relation = db.sql('select * from t'); kind = relation.types[0]; rows = relation.fetchall(); expression = duckdb.ColumnExpression('n'); frame = relation.df()",
            (
                "rows == [(1,)] and str(kind) == 'INTEGER' and frame.n.tolist() == [1] and str(expression) == str(duckdb.ColumnExpression('n'))",
            ),
            skipped={"db": "live connection", "relation": "live connection"},
        ),
    ),
)

GEO = Library(
    "geopandas and shapely",
    ("geopandas", "shapely"),
    (
        Row(
            "geometries, prepared ones, trees, frames with a projection",
            """
import shapely, geopandas as gpd, numpy as np, pandas as pd, pyproj
from shapely.geometry import Point, Polygon, LineString, MultiPoint
point = Point(1, 2); solid = Point(1, 2, 3); area = Polygon([(0, 0), (4, 0), (4, 4), (0, 4)], [[(1, 1), (2, 1), (2, 2)]]); line = LineString([(0, 0), (3, 4)]); many = MultiPoint([(0, 0), (1, 1)]); numbered = shapely.set_srid(point, 4326)
points = shapely.points(np.arange(6.).reshape(3, 2)); prepared = shapely.prepared.prep(area) if hasattr(shapely, 'prepared') else None
cities = gpd.GeoDataFrame({'name': ['a', 'b']}, geometry=[Point(1, 1), Point(9, 9)], crs='EPSG:4326'); shapes = gpd.GeoSeries([area], crs=3857); crs = pyproj.CRS('EPSG:4326'); mover = pyproj.Transformer.from_crs(4326, 3857, always_xy=True); geod = pyproj.Geod(ellps='WGS84'); two = cities.assign(other=shapes.geometry.reindex([0, 1]).set_crs(4326, allow_override=True))
tree = shapely.STRtree([point, area])
""",
            (
                "point.equals(Point(1, 2)) and solid.z == 3 and area.area == 15.5 and len(area.interiors) == 1 and line.length == 5 and len(many.geoms) == 2 and shapely.get_srid(numbered) == 4326",
                "points[2].x == 4 and cities.crs == crs and type(cities) is gpd.GeoDataFrame and cities.geometry.name == 'geometry' and type(cities.geometry) is gpd.GeoSeries",
                "cities.within(area.buffer(1)).tolist() == [True, False] and shapes.crs.to_epsg() == 3857 and type(two) is gpd.GeoDataFrame",
                "cities.sindex.query(Point(1, 1).buffer(2)).tolist() == [0]",
                "mover.transform(1, 1)[0] > 111_000 and geod.a == 6378137 and tree.query(point).tolist() != []",
            ),
            ("cities.to_crs(3857).geometry.x.tolist(), cities.to_json(), shapes.area.tolist()",),
            skipped={"prepared": "cannot be pickled"},
        ),
    ),
)

LIBRARIES = (PANDAS, POLARS, PYARROW, DUCKDB, GEO)
