"""The benchmarks run: every workload at a tiny size, with all tools, and what comes back is what was saved.

Times and ratios are not looked at: at this size they mean nothing, and they are not a test's business.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import carry, goals, growth, table
from benchmarks.run import Bench, main
from benchmarks.tools import features
from benchmarks.workloads import WORKLOADS, Workload, find

TINY = 0.00002

#: What dies in joblib, which refers to functions and classes of the session by name, and finds none in a new one.
WITHOUT_JOBLIB = {"session", "instances", "cold"}

QUICK = ("array", "variables", "history", "cells")


def check(workload: Workload, bench: Bench) -> None:
    told = bench.workload(workload.at(TINY), 1)
    for tool in bench.tools:
        if tool not in workload.tools:
            continue
        problems = told["problems"][tool]
        if tool == "joblib" and workload.name in WITHOUT_JOBLIB:
            assert all("Can't get attribute" in problem for problem in problems)
            continue
        assert problems == []
        steps = {"cells"} if workload.cells else {step.name for step in workload.steps if not step.background}
        loads = set() if workload.cells else {load.name for load in workload.loads if not load.tools}
        assert steps | loads <= set(told["tools"][tool])
        assert all(value is not None for step in told["tools"][tool].values() for value in step["seconds"])
    assert ("background" in told["tools"]["nbsnap"]) == (workload.name == "array" and "background" in features())


@pytest.mark.parametrize("name", QUICK)
def test_a_workload_runs_with_nbsnap_and_cloudpickle(name: str, tmp_path: Path) -> None:
    """What both bring back is what they saved, and each step and load has its figures."""
    check(find(name), Bench(tmp_path, ("nbsnap", "cloudpickle"), quiet=True))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_a_workload_runs_with_all_tools(workload: Workload, tmp_path: Path) -> None:
    """What each tool brings back is what it saved; joblib alone cannot bring back what the session defined."""
    check(workload, Bench(tmp_path, ("nbsnap", "cloudpickle", "dill", "joblib"), quiet=True))


def test_a_run_writes_its_results_and_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One command leaves every sample as JSON, the table as Markdown, and the picture."""
    into, file = tmp_path / "out", tmp_path / "own.json"
    words = ["--scale", str(TINY), "--repeat", "2", "--only", "objects", "--tools", "nbsnap", "cloudpickle"]
    assert main([*words, "--into", str(into), "--json", str(file)]) == 0
    assert {path.name for path in into.iterdir()} == {"results.json", "table.md", "benchmarks.png", "benchmarks.svg"}
    results = json.loads(file.read_text())
    assert len(results["workloads"]["objects"]["tools"]["nbsnap"]["first"]["seconds"]) == 2
    assert "one million small objects: dicts" in (into / "table.md").read_text()
    capsys.readouterr()
    assert main(["--from", str(file)]) == 0
    assert capsys.readouterr().out == table.full(results) + "\n"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_curves_of_growth_are_measured(tmp_path: Path) -> None:
    """Another command measures how costs grow; every curve has a figure at every point."""
    assert main(["--growth", "--scale", str(TINY), "--repeat", "1", "--into", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "growth.json").read_text())
    for curve in growth.CURVES:
        for told in results["curves"][curve.name]["told"]:
            for line in curve.shows:
                assert goals.figure({"": told}, "", *line) is not None, (curve.name, line)
    assert (tmp_path / "growth.svg").exists()
    assert "nan" not in (tmp_path / "growth.md").read_text()


def told(**tools: dict[str, dict[str, float]]) -> goals.Results:
    """Results as if these had been measured."""
    samples = {tool: {step: {"seconds": [seconds]} for step, seconds in steps.items()} for tool, steps in tools.items()}
    return {"array": {"data": 1, "features": [], "tools": samples, "problems": {}}}


@pytest.mark.parametrize(
    ("own", "verdict"), [(0.01, goals.MET), (0.05, goals.MISSED), (0.2, goals.WORSE), (None, goals.UNKNOWN)]
)
def test_a_verdict_is_that_of_the_worst_goal(own: float | None, verdict: str) -> None:
    """A goal is met, or missed, or missed by more than is allowed; what was not measured is told so."""
    row = next(row for row in goals.ROWS if row.work.startswith("one 1 MB variable"))
    results = told(nbsnap={} if own is None else {"added": own}, cloudpickle={"added": 1.0})
    assert goals.judge(results, row)[0] == verdict


def test_what_is_not_there_yet_is_told_so() -> None:
    """A row for an argument that `nbsnap.snapshot` does not have is neither met nor missed."""
    row = next(row for row in goals.ROWS if row.needs)
    results = told(nbsnap={"first": 1.0})
    assert goals.judge(results, row)[0] == goals.ABSENT
    results["array"]["features"] = [row.needs]
    results["array"]["tools"]["nbsnap"]["background"] = {"seconds": [0.001]}
    assert goals.judge(results, row)[0] == goals.MET


def test_every_goal_asks_for_something_that_is_measured() -> None:
    """A goal's step or load is one of its workload's, and so is the one that it is compared with."""
    for row in goals.ROWS:
        workload = find(row.workload)
        known = {step.name for step in workload.steps} | {load.name for load in workload.loads} | {"cells"}
        for goal in row.goals:
            tool, _, step = goal.against.partition("/")
            assert goal.at in known
            assert not step or step in known
            assert tool in (*workload.tools, "data", "")


def test_the_table_goes_between_the_marks_of_a_file(tmp_path: Path) -> None:
    """What stands between them is replaced, the rest stays; the README has the marks."""
    file = tmp_path / "README.md"
    file.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    for text in ("new", "newer"):
        table.put_into(file, text)
        assert file.read_text() == f"before\n{table.BEGIN}\n{text}\n{table.END}\nafter\n"
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    assert table.BEGIN in readme
    assert table.END in readme


def test_copying_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m benchmarks.carry` copies in all ways, and prints a line for each."""
    assert carry.main(["--size", "0.002", "--repeat", "1", "--scratch", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 6
    assert not list(tmp_path.glob("nbsnap-carry-*"))
