"""What stands on stdout when a job is done: one compact block."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from grpo_cli.cli.screen import columns, is_terminal, show
from grpo_cli.sinks import profile
from grpo_cli.sinks.format import number

Words = Mapping[str, Any]


def show_training(summary: Words) -> None:
    """Print what came out of one training run."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, text in _facts(summary):
        facts.add_row(name, text)
    parts: list[RenderableType] = [_scores(summary["eval"], summary["stop_at"]), Text(""), facts]
    if summary.get("profile"):
        found = summary["profile"]
        parts += [Text(""), profile.table(found), Text(profile.headline(found), style="dim")]
    _show(_verdict(summary), Group(*parts), _colour(summary))


def show_evaluation(result: Words) -> None:
    """Print the scores of one evaluation, next to the environment's threshold."""
    threshold = result["threshold"]
    goal = "no threshold" if threshold is None else f"threshold {threshold:g}"
    title = f"{result['env']}  ·  {goal}"
    lines = [f"{result['ckpt']}, seed {result['seed']}"]
    if result.get("video"):
        lines.append(f"video {result['video']}")
    facts = Text("\n".join(lines), style="dim", overflow="fold")
    of_words = any("pass_at_1" in score for score in result["eval"].values())
    scores = _passes(result["eval"]) if of_words else _scores(result["eval"], threshold)
    _show(title, Group(scores, Text(""), facts), "cyan")


def show_answers(found: Words) -> None:
    """Print answers to one prompt side by side, each under its reward and advantage."""
    grid = Table(box=box.ROUNDED if is_terminal() else box.SIMPLE, show_lines=True)
    values = zip(found["returns"], found["advantages"], found["lengths"], strict=True)
    for place, (ret, advantage, length) in enumerate(values, 1):
        colour = "green" if advantage > 0 else "red" if advantage < 0 else "dim"
        head = f"#{place}  reward {ret:.2f}\nadvantage {advantage:+.2f}\n{length} tokens"
        grid.add_column(Text(head, style=colour), overflow="fold")
    grid.add_row(*(Text(answer or "(nothing)") for answer in found["answers"]))
    show(Text(f"{found['env']}  ·  {found['mode']}", style="bold"), Text(found["prompt"]), grid)


def _passes(scores: Mapping[str, Words]) -> Table:
    """Tabulate what a language model's answers are worth, and how many pass."""
    table = columns()
    k = max(score["k"] for score in scores.values())
    names = ["mode", "prompts", "mean reward", "95 % interval", "pass@1", f"pass@{k}", "length"]
    for name in [*names, "truncated"]:
        table.add_column(name, justify="left" if name == "mode" else "right", no_wrap=True)
    for mode, score in scores.items():
        share = [score["pass_at_1"], score["pass_at_k"] if score["k"] > 1 else None]
        table.add_row(
            mode,
            str(score["episodes"]),
            f"{score['mean_reward']:.3f}",
            f"{score['ci_low']:.3f} to {score['ci_high']:.3f}",
            *("" if x is None else f"{100 * x:.1f} %" for x in share),
            f"{score['mean_length']:.1f}",
            f"{100 * score['truncated_frac']:.1f} %",
        )
    return table


def show_jobs(records: Sequence[Words]) -> None:
    """Print one line for each job of a sweep, with the words in which the jobs differ."""
    table = columns()
    for name in ("job", "words", "greedy", "sampled", "env steps", "result", "run"):
        left = name in ("words", "result", "run")
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    common = set.intersection(*(set(record["overrides"]) for record in records))
    for place, record in enumerate(records):
        words = " ".join(word for word in record["overrides"] if word not in common)
        table.add_row(str(place), words, *_job_cells(record))
    following = _next(records, common)
    show(table, *([Text(f"next  {following}", style="dim")] if following else []))


def _next(records: Sequence[Words], common: set[str]) -> str:
    """Return the command that sets the sides of a sweep beside each other; none for seeds alone."""
    own = ([w for w in record["overrides"] if w not in common] for record in records)
    sides = [" ".join(word for word in words if not word.startswith("seed=")) for words in own]
    named = [shlex.quote(side) for side in dict.fromkeys(sides)]
    if len(named) < 2:
        return ""
    return " ".join(["grpo compare" if len(named) == 2 else "grpo plot", *named])


def _job_cells(record: Words) -> list[str]:
    summary = record.get("summary")
    if summary is None:
        return ["", "", "", "failed", ""]
    means = [number(summary["eval"][mode]["mean"]) for mode in ("greedy", "sampled")]
    result = {True: "solved", False: "not solved", None: "done"}[summary["solved"]]
    return [*means, f"{summary['env_steps']:,}", result, summary["run"]]


def _show(title: str, body: RenderableType, colour: str) -> None:
    if not is_terminal():
        show(title, body)
        return
    heading = Text(title, style="bold")
    show(
        Panel(
            body, title=heading, title_align="left", border_style=colour, box=box.ROUNDED,
            padding=(1, 2), expand=False,
        )
    )  # fmt: skip


def _verdict(summary: Words) -> str:
    env, goal = summary["env"], summary["stop_at"]
    if goal is None:
        return f"{env} trained  ·  no threshold to compare with (stop_at=N sets one)"
    if summary["solved"]:
        return f"{env} solved  ·  mean of at least {goal:g} in both modes"
    return f"{env} not solved  ·  a mean of {goal:g} is needed in both modes"


def _colour(summary: Words) -> str:
    return {True: "green", False: "yellow", None: "cyan"}[summary["solved"]]


def _facts(summary: Words) -> list[tuple[str, str]]:
    run, seconds = summary["run"], summary["wall_s"]
    return [
        (
            "trained",
            f"{summary['env_steps']:,} env steps, {summary['updates']:,} updates, "
            f"{_duration(seconds)}, {summary['fps']:,.0f} steps/s, seed {summary['seed']}",
        ),
        ("run", run),
        *([("model", summary["model"])] if "model" in summary else []),
        ("next", f"grpo eval ckpt={run}"),
        ("", f"grpo tensorboard {run}"),
        ("", f"{run}/report.html in a browser"),
    ]


def _scores(scores: Mapping[str, Words], threshold: float | None = None) -> Table:
    with_success = any(score["success_rate"] is not None for score in scores.values())
    table = columns()
    names = ["mode", "episodes", "mean", "95 % interval", "std", "median", "IQM", "length"]
    for name in [*names, *(["success"] if with_success else [])]:
        table.add_column(name, justify="left" if name == "mode" else "right", no_wrap=True)
    for mode, score in scores.items():
        cells = [
            mode,
            str(score["episodes"]),
            _coloured(score["mean"], threshold),
            f"{number(score['ci_low'])} to {number(score['ci_high'])}",
            *(number(score[name]) for name in ("std", "median", "iqm", "length_mean")),
        ]
        if with_success:
            rate = score["success_rate"]
            cells.append("" if rate is None else f"{100 * rate:.0f} %")
        table.add_row(*cells)
    return table


def _coloured(mean: float, threshold: float | None) -> Text:
    colour = "bold" if threshold is None else "bold green" if mean >= threshold else "bold yellow"
    return Text(number(mean), style=colour)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"
