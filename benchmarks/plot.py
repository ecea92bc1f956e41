"""The results as pictures, PNG and SVG: one of the table, one of the growth. Needs matplotlib (the extra `bench`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.goals import ROWS, figure, value

_COLOURS = {"nbsnap": "#1f6fb4", "cloudpickle": "#d9822b", "dill": "#7a7a7a", "joblib": "#4c9a5b"}
_MARKS = {"nbsnap": "o", "cloudpickle": "s", "dill": "D", "joblib": "^"}
_STYLES = ("-", "--", ":", "-.")


def _save(drawn: Any, into: Path, name: str) -> None:
    import matplotlib.pyplot as plt

    for kind in ("png", "svg"):
        drawn.savefig(into / f"{name}.{kind}", dpi=130, bbox_inches="tight")
    plt.close(drawn)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def bars(results: dict[str, Any], into: Path) -> None:
    """Draw how many times as fast as cloudpickle nbsnap is in each row, with the goal and the bound."""
    rows: list[tuple[str, float, float | None, float | None]] = []  # what, how much faster, and the two bounds
    for row in ROWS:
        for goal in row.goals:
            seconds = goal.metric in ("seconds", "touched")
            if seconds and goal.against.partition("/")[0] == "cloudpickle":
                ratio = value(results["workloads"], row, goal)
                if ratio is not None:
                    turned = goal.sense == "at most"
                    found = [number and (1 / number if turned else number) for number in (goal.goal, goal.never)]
                    rows.append((row.work, 1 / ratio if turned else ratio, found[0], found[1]))
    if not rows:
        return
    plt = _pyplot()
    drawn, axes = plt.subplots(figsize=(9, 1.2 + 0.34 * len(rows)))
    for at, (_, ratio, wanted, never) in enumerate(reversed(rows)):
        missed = wanted is not None and ratio < wanted
        axes.barh(at, ratio - 1, left=1, color="#c0504d" if missed else "#1f6fb4", height=0.62)
        axes.annotate(
            f"{ratio:.2g}x" if ratio < 99.5 else f"{ratio:,.0f}x",
            (1.02, at),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
        )
        if wanted is not None:
            axes.plot([wanted, wanted], [at - 0.38, at + 0.38], color="black", lw=1.8)
        if never is not None:
            axes.plot([never, never], [at - 0.38, at + 0.38], color="black", lw=1, ls=":")
    axes.set_yticks(range(len(rows)), [work for work, *_ in reversed(rows)], fontsize=8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda number, _: f"{number:g}x")
    axes.margins(x=0.05)
    axes.axvline(1, color="black", lw=0.8)
    axes.set_xlabel(
        "times as fast as cloudpickle (line: the goal; dotted: never worse than; red: goal not met)", fontsize=8
    )
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_title(f"nbsnap beside cloudpickle, at {results['scale']:g} of the full size", fontsize=10)
    _save(drawn, into, "benchmarks")


def curves(results: dict[str, Any], into: Path) -> None:
    """Draw the growth curves."""
    from benchmarks.growth import CURVES

    known = [curve for curve in CURVES if curve.name in results["curves"]]
    plt = _pyplot()
    drawn, all_axes = plt.subplots(1, len(known), figsize=(5 * len(known), 4.2), squeeze=False)
    for curve, axes in zip(known, all_axes[0], strict=True):
        found = results["curves"][curve.name]
        steps = list(dict.fromkeys((step, metric) for _, step, metric in curve.shows))
        for tool, step, metric in curve.shows:
            numbers = [figure({"": told}, "", tool, step, metric) for told in found["told"]]
            axes.plot(
                found["points"],
                [float("nan") if number is None else number for number in numbers],
                color=_COLOURS[tool],
                marker=_MARKS[tool],
                ms=3.5,
                lw=1.3,
                ls=_STYLES[steps.index((step, metric)) % len(_STYLES)],
                label=f"{tool}: {step}{', every byte read' if metric == 'touched' else ''}",
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(curve.unit, fontsize=8)
        axes.set_ylabel("seconds", fontsize=8)
        axes.set_title(curve.title, fontsize=10)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.25, lw=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=6.5, frameon=False)
    drawn.tight_layout()
    _save(drawn, into, "growth")
