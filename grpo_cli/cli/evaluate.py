"""`grpo eval`: how good a trained policy is, from its run folder alone."""

import math
from collections.abc import Mapping
from typing import Any

import typer

from grpo_cli.cli import flags
from grpo_cli.cli.door import door, warnings_to
from grpo_cli.cli.help import EvalCommand
from grpo_cli.cli.words import arrange
from grpo_cli.config.schema import EvalConf
from grpo_cli.errors import BelowMinReward


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("eval", cls=EvalCommand, context_settings=flags.KEEP_ORDER)(evaluate)


def evaluate(
    context: typer.Context,
    quiet: flags.Quiet = False,
    json: flags.Json = False,
    debug: flags.Debug = False,
    help: flags.Help = False,
    trust: flags.Trust = False,
) -> None:
    """Score a trained policy."""
    with door(debug):
        sorted_words = arrange(context.args, EvalConf)
        from grpo_cli.cli.closing import show_evaluation
        from grpo_cli.cli.screen import show_json
        from grpo_cli.config.evaluation import eval_conf

        conf = eval_conf(sorted_words.overrides)
        result = _evaluate(conf, quiet, json, trust)
        if json:
            show_json(result)
        elif quiet:
            for mode, score in result["eval"].items():
                print(f"{mode} {score['mean']:.6g}")
        else:
            show_evaluation(result)
        if conf.min_reward is not None:
            require(result["eval"], conf.min_reward)


def _evaluate(conf: EvalConf, quiet: bool, json: bool, trust: bool) -> dict[str, Any]:
    from grpo_cli.config.jobs import eval_job
    from grpo_cli.sinks.view import View

    view = View(quiet=quiet, json=json)
    with warnings_to(view.warn):
        return eval_job(conf, view=view, trusted=trust)


def require(scores: Mapping[str, Mapping[str, Any]], min_reward: float) -> None:
    """Raise BelowMinReward unless the mean reaches `min_reward` in every mode."""
    means = {mode: float(score["mean"]) for mode, score in scores.items()}
    below = [f"{mode} {mean:.1f}" for mode, mean in means.items() if not _reaches(mean, min_reward)]
    if below:
        raise BelowMinReward(
            f"mean reward below min_reward={min_reward:g}: {', '.join(below)}",
            "train longer, try another checkpoint, or lower min_reward",
        )


def _reaches(mean: float, min_reward: float) -> bool:
    return not math.isnan(mean) and mean >= min_reward
