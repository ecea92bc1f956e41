"""What is never saved, wherever it sits: a table, qualified name of a class → reason. Subclasses are refused with it,
unless one of them has a reducer of its own.

A handle that came back would have to re-open its file, connect again, or start its process: nothing of that is done on
restore. Classes are known by the names that they were defined by, so no library is imported to refuse its objects.
"""

from __future__ import annotations

import io

from .describe import module_of, qualname_of

RUNNING = "the state of running code cannot be saved"
LIVE = "a live connection"
OPEN = "an open file: it would have to be re-opened, which is never done on restore"
PROCESS = "a running process or thread"
QUERY = "what a live connection is to compute: its "
SPARK = "lives in a session of Spark"
RAY = "lives in a cluster of Ray"

#: Refused wherever they sit, with their subclasses. A handle that came back would re-open, empty or lock its file.
REFUSED: dict[str, str] = {
    "builtins.generator": RUNNING,
    "builtins.coroutine": RUNNING,
    "builtins.async_generator": RUNNING,
    "builtins.frame": RUNNING,
    "builtins.traceback": RUNNING,
    "_io._IOBase": OPEN,
    "mmap.mmap": OPEN,
    "os.DirEntry": "belongs to a directory listing",
    "posix.ScandirIterator": OPEN,
    "nt.ScandirIterator": OPEN,
    "zipfile.ZipFile": OPEN,
    "tarfile.TarFile": OPEN,
    "shelve.Shelf": OPEN,
    "dbm.sqlite3._Database": OPEN,
    "_gdbm.gdbm": OPEN,
    "_dbm.dbm": OPEN,
    "tempfile._TemporaryFileWrapper": OPEN,
    "tempfile.TemporaryDirectory": "a temporary folder that is removed with this process",
    "_socket.socket": LIVE,
    "_ssl._SSLSocket": LIVE,
    "ssl.SSLContext": "holds keys and certificates",
    "select.epoll": LIVE,
    "select.kqueue": LIVE,
    "select.poll": LIVE,
    "selectors.BaseSelector": LIVE,
    "sqlite3.Cursor": LIVE,
    "pandas.io.pytables.HDFStore": OPEN,
    "pandas.io.excel._base.ExcelFile": OPEN,
    "pandas.io.excel._base.ExcelWriter": OPEN,
    "pandas.io.parsers.readers.TextFileReader": OPEN,
    "sqlite3.Blob": LIVE,
    "http.client.HTTPConnection": LIVE,
    "http.client.HTTPResponse": LIVE,
    "ftplib.FTP": LIVE,
    "smtplib.SMTP": LIVE,
    "imaplib.IMAP4": LIVE,
    "multiprocessing.connection._ConnectionBase": LIVE,
    "multiprocessing.managers.BaseManager": LIVE,
    "multiprocessing.managers.BaseProxy": LIVE,
    "multiprocessing.process.BaseProcess": PROCESS,
    "multiprocessing.shared_memory.SharedMemory": "memory shared with other processes",
    "multiprocessing.pool.Pool": PROCESS,
    "multiprocessing.sharedctypes.SynchronizedBase": "memory shared with other processes",
    "subprocess.Popen": PROCESS,
    "threading.Thread": PROCESS,
    "concurrent.futures._base.Executor": PROCESS,
    "concurrent.futures._base.Future": PROCESS,
    "_contextvars.Context": "the context of running code",
    "_contextvars.Token": "belongs to the context of running code",
    "_asyncio.Future": PROCESS,
    "_asyncio.Task": PROCESS,
    "asyncio.events.AbstractEventLoop": PROCESS,
    "asyncio.transports.BaseTransport": LIVE,
    "asyncio.streams.StreamWriter": LIVE,
    "h5py._hl.base.HLObject": OPEN,
    "h5py._hl.files.File": OPEN,
    "psycopg2.extensions.connection": LIVE,
    "psycopg2.extensions.cursor": LIVE,
    "psycopg._connection_base.BaseConnection": LIVE,
    "pymysql.connections.Connection": LIVE,
    "duckdb.DuckDBPyConnection": LIVE,
    "_duckdb.DuckDBPyConnection": LIVE,
    "duckdb._relation.DuckDBPyRelation": f"{QUERY}df() can be saved",
    "duckdb.DuckDBPyRelation": f"{QUERY}df() can be saved",
    "_duckdb.DuckDBPyRelation": f"{QUERY}df() can be saved",
    "ibis.backends.BaseBackend": f"{LIVE}; what its expressions give, execute(), can be saved",
    "py4j.clientserver.JavaClient": SPARK,
    "py4j.java_gateway.GatewayClient": SPARK,
    "py4j.java_gateway.JavaClass": SPARK,
    "py4j.java_gateway.JavaGateway": SPARK,
    "py4j.java_gateway.JavaObject": SPARK,
    "py4j.java_gateway.JavaPackage": SPARK,
    "py4j.java_gateway.JVMView": SPARK,
    "pyspark.accumulators.Accumulator": SPARK,
    "pyspark.broadcast.Broadcast": SPARK,
    "pyspark.context.SparkContext": SPARK,
    "pyspark.core.broadcast.Broadcast": SPARK,
    "pyspark.core.context.SparkContext": SPARK,
    "pyspark.core.rdd.RDD": f"{SPARK}: its collect() can be saved",
    "pyspark.rdd.RDD": f"{SPARK}: its collect() can be saved",
    "pyspark.sql.connect.dataframe.DataFrame": f"{SPARK}: its toPandas() can be saved",
    "pyspark.sql.connect.session.SparkSession": SPARK,
    "pyspark.sql.dataframe.DataFrame": f"{SPARK}: its toPandas() can be saved",
    "pyspark.sql.session.SparkSession": SPARK,
    "pyspark.ml.wrapper.JavaWrapper": f"{SPARK}: its save() keeps it",
    "pyspark.pandas.frame.DataFrame": f"{SPARK}: its to_pandas() can be saved",
    "pyspark.pandas.base.IndexOpsMixin": f"{SPARK}: its to_pandas() can be saved",
    "ray.ObjectRef": f"{RAY}: ray.get() of it can be saved",
    "ray.ObjectRefGenerator": RAY,
    "ray._raylet.ObjectRef": f"{RAY}: ray.get() of it can be saved",
    "ray._raylet.ObjectRefGenerator": RAY,
    "ray.actor.ActorHandle": RAY,
    "ray.util.placement_group.PlacementGroup": RAY,
    "distributed.client.Client": LIVE,
    "distributed.client.Future": "lives in a cluster of Dask: its result() can be saved",
    "distributed.deploy.cluster.Cluster": PROCESS,
    "pyarrow.lib.NativeFile": OPEN,
    "pyarrow._parquet.ParquetReader": OPEN,
    "pyarrow.parquet.core.ParquetFile": OPEN,
    "pyarrow.parquet.core.ParquetWriter": OPEN,
    "pyarrow.lib.RecordBatchReader": "a stream that can be read only once",
    "sqlalchemy.engine.result.Result": LIVE,
    "sqlalchemy.engine.base.Engine": LIVE,
    "sqlalchemy.engine.base.Connection": LIVE,
    "zmq.sugar.socket.Socket": LIVE,
    "zmq.sugar.context.Context": LIVE,
    "torch.Event": "belongs to work that a device does",
    "torch.Stream": "a queue of work of a device",
    "torch.cuda.graphs.CUDAGraph": "recorded work of a GPU, bound to the memory of this process: record it again",
    "torch.cuda.memory.MemPool": "a pool of a GPU's memory that belongs to this process",
    "torch.utils.data.dataloader._BaseDataLoaderIter": RUNNING,
    "_hashlib.HASH": "the inner state of a hash cannot be read",
    "_tkinter.tkapp": LIVE,
    "tkinter.Misc": "a window",
    "numba.cuda.cudadrv.devicearray.DeviceNDArrayBase": "an array on a GPU: its copy_to_host() can be saved",
}

#: In memory, with a position: pickle knows how.
MEMORY_FILES = (io.BytesIO, io.StringIO)


def qualified(cls: type) -> str:
    """Return "module.qualname" of a class as it was defined."""
    return f"{module_of(cls)}.{qualname_of(cls)}"
