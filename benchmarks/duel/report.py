"""docs/benchmark.md and its plots, made from the results alone."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from judge import CURVE
from sides import ABSENT, SIDES, Side, planned
from stats import interval, iqm, median_time, verdict
from tasks import TASKS, Task

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, PLOTS = DOCS / "benchmark.md", DOCS / "img"
RIVAL, RANDOM = "sb3-ppo", "random"
OURS = {"peer": "peer-only", "linear": "peer + linear"}  # sides, and the tiers of their rows
ALONE = 0.9  # CPU time by wall time of a run that shared its core with nobody
Run = dict[str, Any]
Runs = dict[str, list[Run]]

HEAD = """# Beside PPO

Everybody with their own recommended settings, on one core, with the same evaluator: 100 episodes
(FrozenLake: 1,000) from the same starts, greedy and sampled, off the clock. It looks after the
first update that completes another 2,000 env steps, so after every update where that is longer (up
to 65,536 steps with PPO's settings on BipedalWalker). Three episodes come first; a policy that they
leave a chance plays more, and solves the task by all of them only. The clock is training time
without evaluations. A run that never solves took for ever. Every simulated step counts. This
project steps EnvPool's C++ versions of environments where they agree with Gymnasium's, as `grpo
train` does by itself; its peers step Gymnasium's, as they do by theirs, and so does the evaluator.
Steps compare the learning, seconds whole systems.

Our files were tuned on small seeds, so our two rows are runs of seeds from 1,000 on. Wall time is
that of a core to oneself: a run that had to share it (CPU time below nine tenths of wall) counts
with its CPU time, and env steps a second are of CPU time. Of ours the wall time of every update is
known and the CPU time of the whole command, which is taken to be spread evenly. MB is the peak of
the process; with our peers it includes the evaluator's environments, about as much as the row of
random actions.
How to repeat it: [benchmarks/README.md](../benchmarks/README.md). Made by
`python benchmarks/duel --report` from `benchmarks/results/duel/`.
"""

SUMMARY = """## No worse than PPO?

PPO is Stable-Baselines3's with rl-zoo3's values; for FrozenLake-v1 and Taxi-v4 the zoo has none, so
its own defaults there, which nobody tuned; on DoorKey without the zoo's `normalize`, which
has a row of its own there. Steps and seconds until the greedy mean of 100
episodes reaches the threshold: ours / PPO's, medians over seeds. *Non-inferior*: at equal steps the
lower end of the 95 % stratified bootstrap interval of (ours - PPO), final greedy returns, is above
-0.05 in units of (PPO - random policy); with fewer than five seeds of either nothing is decided,
nor where PPO does no better than chance.

| environment | ours | seeds | steps | wall s | CPU s | lower end | verdict |
|---|---|---|---|---|---|---|---|"""

COVERAGE = """## Coverage

Runs that are there, of those that are planned; `-`: it does not take part.
"""


def write(results: Path) -> None:
    """Write the page from whatever results there are."""
    found = [(task, *read(results / task.name, task)) for task in TASKS]
    lines = [HEAD, *summary([(task, runs) for task, runs, _ in found])]
    for task, runs, _ in found:
        if runs:
            lines += section(task, runs)
            plot(task, runs)
    PAGE.write_text("\n".join([*lines, *coverage(found)]))


def read(folder: Path, task: Task) -> tuple[Runs, Runs]:
    """Return the planned runs of a task by side: those that ended well, and those that failed."""
    well, failed = defaultdict(list), defaultdict(list)
    every = [(side, seed) for side in SIDES for seed in planned(task, side)]
    for side, seed in every:
        path = folder / f"{side.name}-s{seed}.json"
        if path.exists():
            run = json.loads(path.read_text())
            (failed if "error" in run else well)[side.name].append(run)
    return well, failed


def summary(found: list[tuple[Task, Runs]]) -> list[str]:
    """Return the table of our sides beside PPO, and how often they are no worse."""
    rows, verdicts = [], {name: Counter() for name in OURS}
    for task, runs in found:
        for name, tier in OURS.items():
            if not (runs.get(name) and runs.get(RIVAL)):
                continue
            said, low = _verdict(runs, name)
            verdicts[name][said] += 1
            both = runs[name], runs[RIVAL]
            times = [_beside(*both, clock) for clock in ("steps", "wall_s", "cpu_s")]
            seeds = f"{len(both[0])} / {len(both[1])}"
            end = "-" if np.isnan(low) else f"{low:.3f}"
            rows.append(_cells(task.name, tier, seeds, *times, end, said))
    counts = [_counted(OURS[name], found) for name, found in verdicts.items()]
    return [SUMMARY, *rows, "", f"Of {len(TASKS)} environments: {'; '.join(counts)}.", ""]


def _counted(tier: str, verdicts: Counter[str]) -> str:
    """Return how many of which verdict; where a side has not run there is none."""
    known = {"non-inferior": 0, "inferior": 0, **verdicts}
    left = len(TASKS) - sum(verdicts.values())
    said = ", ".join(f"{verdict} on {count}" for verdict, count in known.items())
    return f"{tier} {said}, not run or nothing to run on {left}"


def _cells(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _time(runs: list[Run], clock: str) -> float:
    return median_time([_solved_at(run, clock) for run in runs])


def _solved_at(run: Run, clock: str) -> float | None:
    """Return steps or seconds until solved; of a run that shared its core CPU time for wall."""
    if clock == "wall_s" and run["train_cpu_s"] < ALONE * run["train_wall_s"]:
        clock = "cpu_s"
    return (run["solved"]["greedy"] or {}).get(clock)


def _beside(ours: list[Run], theirs: list[Run], clock: str) -> str:
    """Return two median times until solved, and their ratio where both are finite."""
    mine, yours = _time(ours, clock), _time(theirs, clock)
    digits = 0 if clock == "steps" else 1
    said = f"{_number(mine, digits)} / {_number(yours, digits)}"
    return f"{said} = {mine / yours:.2f}" if np.isfinite([mine, yours]).all() else said


def _verdict(runs: Runs, name: str) -> tuple[str, float]:
    ours, theirs = ([r["points"][-1]["greedy"] for r in runs[side]] for side in (name, RIVAL))
    if RANDOM not in runs:
        return "undecided", float("nan")
    chance = float(np.mean([run["points"][0]["sampled"] for run in runs[RANDOM]]))
    return verdict(ours, theirs, chance)


def section(task: Task, runs: Runs) -> list[str]:
    """Return the table of one task."""
    lines = [
        f"## {task.name}", "", f"Solved at {task.threshold:g}; {task.budget:,} env steps.", "",
        f"![returns](img/benchmark-{task.name}.svg)", "",
        "| side | seeds | solved greedy (both modes) | steps to solve | seconds to solve | final "
        "greedy, IQM | final sampled, IQM | env steps a CPU s | MB | whole command, s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    rows = [_row(side.label, runs[side.name]) for side in SIDES if side.name in runs]
    return [*lines, *rows, ""]


def _row(label: str, runs: list[Run]) -> str:
    greedy = sum(run["solved"]["greedy"] is not None for run in runs)
    both = sum(None not in run["solved"].values() for run in runs)
    finals = [
        _interval([run["points"][-1][mode] for run in runs]) for mode in ("greedy", "sampled")
    ]
    speeds = [r["points"][-1]["steps"] / r["train_cpu_s"] for r in runs if r["train_cpu_s"]]
    # Ours alone: what a person waits for, with the command's own evaluations and early stop.
    own = [run["own"]["whole_s"] for run in runs if "own" in run]
    return _cells(
        label, len(runs), f"{greedy} of {len(runs)} ({both})", _number(_time(runs, "steps")),
        _number(_time(runs, "wall_s"), 1), *finals,
        f"{np.median(speeds):,.0f}" if speeds else "-", max(run["peak_mb"] for run in runs),
        f"{np.median(own):.1f}" if own else "-",
    )  # fmt: skip


def _number(value: float, digits: int = 0) -> str:
    return "never" if np.isinf(value) else f"{value:,.{digits}f}"


def _interval(values: list[float]) -> str:
    low, high = interval([values], iqm)
    return f"{iqm(values):.4g} [{low:.4g}, {high:.4g}]"


def coverage(found: list[tuple[Task, Runs, Runs]]) -> list[str]:
    """Return what is there of what is planned, what failed and who is missing, with reasons."""
    head = _cells("environment", *(side.name for side in SIDES))
    rows, failures = [], []
    for task, well, failed in found:
        rows.append(_cells(task.name, *(_covered(task, side, well, failed) for side in SIDES)))
        failures += [
            f"- {task.name}, {name}, seed {run['seed']}: `{_reason(run)}`"
            for name, runs in failed.items()
            for run in runs
        ]
    return [
        COVERAGE, head, "|" + "---|" * (len(SIDES) + 1), *rows, "",
        *(["Failed:", "", *failures, ""] if failures else []),
        "Not everywhere, or not at all:", "", *_missing(), "",
    ]  # fmt: skip


def _covered(task: Task, side: Side, well: Runs, failed: Runs) -> str:
    if not side.takes(task):
        return "-"
    lost = len(failed.get(side.name, ()))
    done = f"{len(well.get(side.name, ()))} of {len(planned(task, side))}"
    return f"{done}, {lost} failed" if lost else done


def _reason(run: Run) -> str:
    lines = run["error"].strip().splitlines() or ["ended without a word"]
    return lines[-1].replace("`", "'")[:200]


def _missing() -> Iterator[str]:
    yield from (f"- {side.label}: {side.why}" for side in SIDES if side.only)
    yield from (f"- {name}: {why}" for name, why in ABSENT.items())


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


def _on(grid: np.ndarray, points: list[Run]) -> np.ndarray:
    """Return the greedy return at the last look before each step of the grid."""
    steps = np.array([point["steps"] for point in points])
    returns = np.array([point["greedy"] for point in points])
    # An update may end after a multiple of the grid; its look is the one of that multiple.
    place = np.searchsorted(steps, grid).clip(max=len(steps) - 1)
    return returns[place]
