"""Trains on every id it is given, in one process: `python tests/registry.py ID ...`.

Each id: two members, at most 20 steps an episode, two updates or more, an evaluation, a checkpoint;
then the checkpoint is evaluated again in environments made anew, which must score the same. Prints
a line of JSON for each: `{"id": ..., "wrong": ...}`, wrong empty where all was well.
"""

import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

WORDS = [
    "group_size=2", "num_groups=1", "env.max_steps=20", "total_steps=41", "epochs=1",
    "num_minibatches=1", "eval.episodes=1", "eval.final_episodes=1", "stop_at=none", "sinks=[]",
    "backend=sync", "advantage=time_aligned",
]  # fmt: skip


def tried(env_id: str) -> str:
    """Train on an id, save, load and compare; returns what is wrong."""
    from grpo_cli.config.compose import compose
    from grpo_cli.config.jobs import eval_job, train_job
    from grpo_cli.config.schema import EvalConf
    from grpo_cli.sinks.view import View

    view = View(quiet=True)
    try:
        summary = train_job(compose([f"env={env_id}", *WORDS]), overrides=[], view=view)
        again = eval_job(EvalConf(ckpt=summary["run"], episodes=1), view=view, trusted=False)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if summary["updates"] < 2:
        return f"{summary['updates']} updates"
    same = again["eval"] == summary["eval"]
    return "" if same else f"saved {summary['eval']}, loaded {again['eval']}"


def main(ids: list[str]) -> None:
    """Try every id and print a line about it."""
    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_STATE_HOME"] = str(Path(place, "state"))
        os.chdir(place)
        warnings.simplefilter("ignore")
        for env_id in ids:
            print(json.dumps({"id": env_id, "wrong": tried(env_id)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
