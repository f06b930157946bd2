"""docs/benchmark.md and its plots, made from the results alone."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from judge import CURVE
from sides import SIDES
from stats import interval, iqm, median_time, verdict
from tasks import TASKS, Task

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, PLOTS = DOCS / "benchmark.md", DOCS / "img"
RIVAL = "sb3-ppo"
OURS = ("peer", "linear")
LABEL = {side.name: side.label for side in SIDES}
Runs = dict[str, list[dict[str, Any]]]

HEAD = """# Beside PPO

Everybody with their own recommended settings, on one core, with the same evaluator: 100 episodes
from the same starts, greedy and sampled, off the clock, at least every 2,000 env steps (ten greedy
episodes first; all where those do not rule the threshold out). The clock is training time without
evaluations. A run that never solves took for ever. Every simulated step counts. How to repeat it:
[benchmarks/README.md](../benchmarks/README.md). Made by `python benchmarks/duel --report` from
`benchmarks/results/duel/`.
"""


def write(results: Path) -> None:
    """Write the page from whatever results there are."""
    lines, verdicts = [HEAD], []
    for task in TASKS:
        runs = read(results / task.name)
        if not runs:
            continue
        lines += section(task, runs)
        plot(task, runs)
        if RIVAL in runs:
            verdicts += [_verdict(task, runs, name) for name in OURS if name in runs]
    lines += [
        "## No worse than PPO?", "",
        "Final greedy returns at equal steps. *Non-inferior*: the lower end of the 95 % bootstrap "
        "interval of (ours - PPO) is above -0.05, in units of (PPO - first look).", "",
        "| environment | side | lower end | verdict |", "|---|---|---|---|", *verdicts, "",
    ]  # fmt: skip
    PAGE.write_text("\n".join(lines))


def read(folder: Path) -> Runs:
    """Return the runs of a task by side, those that failed left out."""
    found: Runs = defaultdict(list)
    for path in sorted(folder.glob("*.json")):
        run = json.loads(path.read_text())
        if "error" not in run:
            found[run["side"]].append(run)
    return found


def section(task: Task, runs: Runs) -> list[str]:
    """Return the table of one task."""
    lines = [
        f"## {task.name}", "", f"Solved at {task.threshold:g}; {task.budget:,} env steps.", "",
        f"![returns](img/benchmark-{task.name}.svg)", "",
        "| side | seeds | solved greedy (both modes) | steps to solve | seconds to solve | final "
        "greedy, IQM | final sampled, IQM | env steps/s | MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    order = [side.name for side in SIDES if side.name in runs]
    return [*lines, *(_row(task, LABEL[name], runs[name]) for name in order), ""]


def _row(task: Task, label: str, runs: list[dict[str, Any]]) -> str:
    solved = [run["solved"]["greedy"] for run in runs]
    both = sum(None not in run["solved"].values() for run in runs)
    steps = median_time([one and one["steps"] for one in solved])
    seconds = median_time([one and one["wall_s"] for one in solved])
    finals = [
        _interval([run["points"][-1][mode] for run in runs]) for mode in ("greedy", "sampled")
    ]
    speed = np.median([run["points"][-1]["steps"] / run["train_wall_s"] for run in runs])
    memory = max(run["peak_mb"] for run in runs)
    count = f"{sum(one is not None for one in solved)} of {len(runs)} ({both})"
    cells = [label, str(len(runs)), count, _number(steps), _number(seconds, 1), *finals]
    return "| " + " | ".join([*cells, f"{speed:,.0f}", str(memory)]) + " |"


def _number(value: float, digits: int = 0) -> str:
    return "never" if np.isinf(value) else f"{value:,.{digits}f}"


def _interval(values: list[float]) -> str:
    low, high = interval([values], iqm)
    return f"{iqm(values):.4g} [{low:.4g}, {high:.4g}]"


def _verdict(task: Task, runs: Runs, name: str) -> str:
    ours, theirs = ([r["points"][-1]["greedy"] for r in runs[side]] for side in (name, RIVAL))
    random = float(np.mean([run["points"][0]["sampled"] for run in runs[RIVAL]]))
    said, low = verdict(ours, theirs, random)
    return f"| {task.name} | {LABEL[name]} | {low:.3f} | {said} |"


def plot(task: Task, runs: Runs) -> None:
    """Draw the IQM of greedy returns over env steps, with its interval."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "grpo"  # the same results give the same file
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.2))
    for side in SIDES:
        if side.name not in runs:
            continue
        grid = np.arange(1, CURVE + 1) * task.budget / CURVE
        rows = np.array([_on(grid, run["points"]) for run in runs[side.name]])
        middle = [iqm(column) for column in rows.T]
        bounds = np.array([interval([column], iqm) for column in rows.T])
        axes.plot(grid, middle, label=side.label)
        axes.fill_between(grid, bounds[:, 0], bounds[:, 1], alpha=0.2)
    axes.axhline(task.threshold, color="grey", linestyle=":", linewidth=1)
    axes.set_xlabel("env steps")
    axes.set_ylabel("greedy return")
    axes.legend(fontsize="small", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(PLOTS / f"benchmark-{task.name}.svg", metadata={"Date": None})
    pyplot.close(figure)


def _on(grid: np.ndarray, points: list[dict[str, Any]]) -> np.ndarray:
    """Return the greedy return at the last look before each step of the grid."""
    steps = np.array([point["steps"] for point in points])
    returns = np.array([point["greedy"] for point in points])
    # An update may end after a multiple of the grid; its look is the one of that multiple.
    place = np.searchsorted(steps, grid).clip(max=len(steps) - 1)
    return returns[place]
