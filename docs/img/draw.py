"""Draws the pictures of the dashboard in these docs from a run that really took place.

grpo train env=CartPole-v1 group_size=8
python docs/img/draw.py runs/CartPole-v1/<run> [share of the run to stop at, 0 to 1]
"""

import io
import json
import sys
from pathlib import Path

from omegaconf import OmegaConf
from rich.console import Console

from grpo_cli.sinks.dashboard import CURVES, _Frame, compose
from grpo_cli.sinks.history import Facts, History

HERE = Path(__file__).parent
SIZES = {"train": (100, 28), "dashboard-80x24": (80, 24), "dashboard-160x50": (160, 50)}


def main() -> None:
    """Draw one picture of each size."""
    run = Path(sys.argv[1])
    share = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    lines = lines[: max(1, round(len(lines) * share))]
    words = OmegaConf.load(run / "config.yaml")
    summary = json.loads((run / "summary.json").read_text())
    facts = Facts(
        env=summary["env"],
        run=str(Path(*run.parts[-3:])),
        total_steps=words.total_steps,
        stop_at=summary["stop_at"],
        seed=words.seed,
        group_size=words.group_size,
        num_groups=words.num_groups,
        backend="native" if summary["env"] == "CartPole-v1" else "envpool",
        epochs=words.epochs,
    )
    seconds = [0.0]
    history = History(facts, CURVES, lambda: seconds[0])
    for line in lines:
        step = line.pop("step")
        spent = ("sample", "update", "eval", "other")
        seconds[0] += sum(line[f"time/{part}_s"] for part in spent)
        history.add(step, line)
    for name, (width, height) in SIZES.items():
        console = Console(record=True, width=width, height=height, file=io.StringIO())
        console.print(_Frame(compose(history, width, height - 1)))
        title = f"grpo train env={facts.env} group_size={facts.group_size}"
        console.save_svg(str(HERE / f"{name}.svg"), title=title)


if __name__ == "__main__":
    main()
