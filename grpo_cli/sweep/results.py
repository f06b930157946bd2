"""The files of a sweep: `trials.csv`, `result.json`, `best.yaml`, the HParams of its trials."""

import csv
import io
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from grpo_cli.sweep.claims import COMPLETE, FAILED, FRESH, PRUNED, TRIAL, Row
from grpo_cli.sweep.loop import ranked
from grpo_cli.sweep.objective import interquartile_mean
from grpo_cli.sweep.plan import Plan

AFTER = (
    "score", "excess", "seeds", "scores", "env_steps", "train_s", "wall_s", "job_s", "started",
    "ended",
)  # fmt: skip
"""Facts that have a column of their own in `trials.csv`, behind the settings."""


def write_trials(plan: Plan, rows: Sequence[Row]) -> None:
    """Write `trials.csv`: one row for each number, in their order."""
    text = io.StringIO()
    columns = ["number", "state", "value", *plan.space.names, *AFTER, "attempts", "host", "error"]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        if row.kind == TRIAL:
            facts = {name: _cell(row.facts.get(name)) for name in AFTER}
            writer.writerow(
                {
                    "number": row.number,
                    "state": row.state,
                    "value": _cell(row.value),
                    **(row.params or {}),
                    **facts,
                    "attempts": row.attempt,
                    "host": row.owner.partition("/")[0],
                    "error": row.facts.get("error", ""),
                }
            )
    write_whole(plan.folder / "trials.csv", text.getvalue())


def result_of(plan: Plan, rows: Sequence[Row], importances: dict[str, float]) -> dict[str, Any]:
    """Return what came of a sweep, JSON-ready.

    Returns:
        `best` is None where no trial is complete and keeps the constraint. Its `value` is what it
        was chosen for, which flatters it; its `fresh` are runs on seeds that no trial had seen.
    """
    trials = [row for row in rows if row.kind == TRIAL]
    count = {s: sum(row.state == s for row in trials) for s in (COMPLETE, PRUNED, FAILED)}
    return {
        "name": plan.name,
        "folder": str(plan.folder),
        "objective": plan.objective,
        "direction": "maximize" if plan.maximize else "minimize",
        "mode": plan.mode,
        "constraint": None if plan.constraint is None else _written(plan),
        "words": list(plan.words),
        "space": plan.space.described(),
        "grid": plan.grid,
        "sampler": "grid" if plan.grid else plan.sampler,
        "pruner": plan.pruner,
        "seeds": [plan.seed + index for index in range(plan.seeds)],
        "total_steps": plan.total_steps,
        "command": list(plan.command),
        "trials": len(trials),
        **count,
        "best": best_of(plan, list(rows)),
        "importances": importances,
    }


def best_of(plan: Plan, rows: list[Row]) -> dict[str, Any] | None:
    """Return the finalist that was best on fresh seeds; without any, the best trial.

    A run that failed, or a constraint that does not hold on fresh seeds, outweighs every score: a
    setting that works on two seeds of three has not won.
    """
    finalists = []
    for row in ranked(plan, rows)[: max(1, plan.finalists)]:
        runs = [r for r in rows if r.kind == FRESH and r.number == row.number]
        done = [r for r in runs if r.state == COMPLETE and r.value is not None]
        values = [r.value for r in done if r.value is not None]
        average = interquartile_mean if plan.objective == "eval_iqm" else fmean
        finalists.append(
            {
                "number": row.number,
                "params": row.params,
                "words": plan.space.words(row.params or {}),
                "value": row.value,
                "score": row.facts["score"],
                "fresh": {
                    "seeds": [r.facts["seeds"][0] for r in done],
                    "scores": [r.facts["score"] for r in done],
                    "values": values,
                    "value": average(values) if values else None,
                    "failed": sum(r.state == FAILED for r in runs),
                    "excess": fmean(r.facts.get("excess") or 0.0 for r in done) if done else None,
                },
            }
        )
    if not finalists:
        return None
    tried = [one for one in finalists if one["fresh"]["value"] is not None]
    sign = 1 if plan.maximize else -1

    def merit(one: dict[str, Any]) -> tuple[int, bool, float]:
        fresh = one["fresh"]
        return -fresh["failed"], fresh["excess"] <= 0, sign * fresh["value"]

    return max(tried, key=merit) if tried else finalists[0]


def write_result(plan: Plan, result: dict[str, Any]) -> None:
    """Write `result.json`."""
    write_whole(plan.folder / "result.json", json.dumps(result, indent=1) + "\n")


def show_in_tensorboard(plan: Plan, row: Row) -> None:
    """Let TensorBoard's HParams list a trial or fresh run that is over, with its objective.

    Where it ran, its objective is appended beside its curves; a trial that could not even begin, or
    that ran on another computer, gets a session of its own.
    """
    from tensorboard.summary.writer.record_writer import RecordWriter

    from grpo_cli.sinks import summaries

    folder = plan.run_folder(row.kind, row.number, plan.run_seeds(row.kind, row.part)[0])
    ran = any(folder.glob("events.out.tfevents.*"))
    path = folder if ran else folder.parent
    if any(path.glob("*.objective")) or (row.kind == FRESH and not ran):
        return
    path.mkdir(parents=True, exist_ok=True)
    with (path / f"events.out.tfevents.{int(time.time())}.objective").open("ab") as file:
        records = RecordWriter(file)
        records.write(summaries.version())
        values = []
        if not ran:
            settings = plan.space.shown(row.params or {})
            values += summaries.session_start(settings, settings)
        if row.value is not None:
            values.append(summaries.scalar(summaries.OBJECTIVE, row.value))
        records.write(summaries.record(0, values))
        if not ran:
            records.write(summaries.record(0, summaries.session_end()))


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old content or the new."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def _written(plan: Plan) -> str:
    limit = plan.constraint
    return "" if limit is None else f"{limit.name}{'<=' if limit.sign > 0 else '>='}{limit.bound:g}"


def _cell(value: Any) -> Any:  # noqa: ANN401 - of a table
    if isinstance(value, list):
        return " ".join(str(_cell(entry)) for entry in value)
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else value
