"""Handles to data that lives elsewhere: skipped with what of them could be saved, and made again by their cells.

The libraries are played by modules with classes of the same qualified names, as a Java or a cluster that they need is
not to be had in a test. The names were looked up in Spark 4, and tried with Ray and Ibis. The rows of DuckDB, Dask and
SQLAlchemy in `tests/libraries` are the real ones.
"""

from __future__ import annotations

import textwrap

import pytest

#: Module and class as they are defined, the class that the user meets, and a word that the reason must have.
HANDLES = [
    ("ibis.backends", "BaseBackend", "ibis.backends.duckdb", "Backend", "live connection"),
    ("pyspark.sql.session", "SparkSession", "", "", "session of Spark"),
    ("pyspark.sql.connect.session", "SparkSession", "", "", "session of Spark"),
    ("pyspark.core.context", "SparkContext", "", "", "session of Spark"),
    ("pyspark.context", "SparkContext", "", "", "session of Spark"),
    ("pyspark.sql.dataframe", "DataFrame", "pyspark.sql.classic.dataframe", "DataFrame", "toPandas() can be saved"),
    ("pyspark.sql.connect.dataframe", "DataFrame", "", "", "toPandas() can be saved"),
    ("pyspark.core.rdd", "RDD", "pyspark.core.classic.rdd", "RDD", "collect() can be saved"),
    ("pyspark.ml.wrapper", "JavaWrapper", "pyspark.ml.classification", "LogisticRegressionModel", "save() keeps it"),
    ("py4j.java_gateway", "JavaObject", "", "", "session of Spark"),
    ("ray", "ObjectRef", "", "", "ray.get() of it can be saved"),
    ("ray.actor", "ActorHandle", "", "", "cluster of Ray"),
    ("distributed.client", "Client", "", "", "live connection"),
    ("distributed.client", "Future", "", "", "result() can be saved"),
]


@pytest.fixture
def services(own_folder):
    """Put the modules into the folder of the session; return what a user types to have one object of each class."""
    modules: dict[str, str] = {}
    lines = []
    for number, (module, name, below, derived, _) in enumerate(HANDLES):
        greedy = f"class {name}:\n    def __getattr__(self, name): raise RuntimeError('asked for ' + name)\n"
        modules[module] = modules.get(module, "") + greedy
        if below:
            modules[below] = f"from {module} import {name} as Base\nclass {derived}(Base): pass\n"
        lines.append(f"from {below or module} import {derived or name} as C{number}\nv{number} = C{number}()")
    for module, text in modules.items():
        path = own_folder.joinpath(*module.split("."))
        path.mkdir(parents=True, exist_ok=True)
        for folder in [path, *path.parents]:
            if folder == own_folder:
                break
            (folder / "__init__.py").touch()
        (path / "__init__.py").write_text(text)
    return "\n".join(lines)


def test_handles_are_skipped_with_a_word_of_what_can_be_saved(two_shells, services):
    """Each is refused by name, without being asked for anything, inside of others too; the rest is saved."""
    report = two_shells.save(f"{services}\nheld = [1, v5]\nx = 5")
    skipped = {skip["name"]: skip for skip in report["skipped"]}
    for number, (*_, word) in enumerate(HANDLES):
        assert word in skipped[f"v{number}"]["reason"], HANDLES[number]
    assert skipped["held"]["kind"] == "partly"
    assert skipped["held"]["path"] == "held[1]"
    report, wrong = two_shells.restore(
        {"rest": "x == 5", "place": "'toPandas' in repr(held[1])"}, "nbsnap.restore(exclude='C*')"
    )
    assert wrong == {}


def test_they_are_made_again_by_their_cells(two_shells, services):
    """`--rerun` names the handle and what it was made of, and runs the cells in order."""
    cells = """
        from IPython.core.interactiveshell import InteractiveShell
        ip = InteractiveShell.instance()
        ip.run_cell("%load_ext nbsnap")
    """
    code = textwrap.dedent(cells)
    saving = (
        "from pyspark.sql.session import SparkSession as S",
        "spark = S()",
        "rows = [spark, 2]; n = rows[1]",
        "%snapshot",
    )
    two_shells.run(code + "\n".join(f"ip.run_cell({cell!r}, store_history=True)" for cell in saving))
    done = two_shells.run(
        code + "ip.run_cell('%restore')\nip.run_cell('%restore --rerun spark rows')\nprint(ip.user_ns['rows'])"
    )
    assert "spark   pyspark.SparkSession, made in In [2]:  spark = S()" in done.out
    assert "To make them again: %restore --rerun spark" in done.out or "To make it again: %restore --rerun" in done.out
    assert "Made again: spark, rows" in done.out
    assert "SparkSession object at" in done.out
