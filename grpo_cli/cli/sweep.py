"""`grpo sweep`: search for settings, trial by trial."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import typer

from grpo_cli.cli import flags
from grpo_cli.cli.door import door
from grpo_cli.cli.help import SweepCommand
from grpo_cli.cli.words import arrange
from grpo_cli.errors import EnvError, Stopped

SHOWN = 3
"""Impossible combinations that are named."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("sweep", cls=SweepCommand, context_settings=flags.KEEP_ORDER)(sweep)


def sweep(
    context: typer.Context,
    quiet: flags.Quiet = False,
    json: flags.Json = False,
    debug: flags.Debug = False,
    help: flags.Help = False,
    trust: flags.Trust = False,
) -> None:
    """Search for good settings: many trials, then the best again on fresh seeds."""
    with door(debug):
        own = [word for word in context.args if word.startswith(("sweep.", "sweep="))]
        words = arrange([word for word in context.args if word not in own], flags=["--config-dir"])
        from grpo_cli.cli.train import refuse_unnamed_code
        from grpo_cli.config.sweeping import plan_of

        asked = [*own, *words.overrides]
        plan, corners = plan_of(asked, words.dirs, trusted=trust, command=context.args)
        if not trust:
            for corner in corners.trainable:
                refuse_unnamed_code(corner, words.overrides)
        from grpo_cli.cli.sweep_screen import Silent, picture, show_sweep

        with picture(plan) if not (quiet or json) else Silent() as screen:
            _tell_impossible(plan, corners.impossible, screen)
            result, rows = _work(plan, screen, corners.refused)
        if json:
            from grpo_cli.cli.screen import show_json

            show_json(result)
        elif quiet:
            typer.echo(result["folder"])
        else:
            show_sweep(plan, result, rows)
        if result["best"] is None:
            raise EnvError(
                f"none of {result['trials']} trials can be called best",
                f"see {result['folder']}/trials.csv, and log.txt of a trial",
            )


def _tell_impossible(plan: Any, points: list[tuple[Any, str]], screen: Any) -> None:
    """Say which combinations were seen to be impossible, and what becomes of them."""
    for params, why in points[:SHOWN]:
        screen.notice(f"{' '.join(plan.space.words(params))} cannot be trained: {why}")
    if points:
        follows = "are failed trials" if plan.grid else "are drawn again"
        screen.notice(f"combinations that cannot be trained {follows}")


def _work(
    plan: Any, screen: Any, refused: Callable[[Any], str]
) -> tuple[dict[str, Any], list[Any]]:
    """Run the sweep and write its files; interrupted, those of what there is."""
    from grpo_cli.config.sweeping import experiment
    from grpo_cli.sweep import results
    from grpo_cli.sweep.claims import Claims
    from grpo_cli.sweep.loop import Loop
    from grpo_cli.sweep.study import Study

    plan.folder.mkdir(parents=True, exist_ok=True)
    with _places(plan) as make:
        study = Study(plan)
        claims = Claims(study.engine, plan.name, plan.folder)
        try:
            with study.reachable():
                rows = Loop(plan, study, claims, screen, _writer(plan), refused, make).run()
        except Stopped:
            rows = claims.rows()
            if any(row.over for row in rows):
                results.write_result(plan, results.result_of(plan, rows, study.importances()))
            raise
    importances = study.importances()
    result = results.result_of(plan, rows, importances)
    if result["best"] is not None:
        path = plan.folder / "experiment" / "best.yaml"
        path.parent.mkdir(exist_ok=True)
        results.write_whole(path, experiment(plan, result["best"]))
    from grpo_cli.sweep.plots import draw

    best = result["best"] and result["best"]["number"]
    result["plots"] = draw(plan, rows, importances, best)
    results.write_result(plan, result)
    return result, rows


@contextmanager
def _places(plan: Any) -> Iterator[Callable[[Path], Any]]:
    """Yield what starts the processes of trials: here, or on the computers of a Ray cluster."""
    if plan.cluster is None:
        from grpo_cli.sweep.child import Early

        with closing(Early(plan.workers, plan.folder / "log.txt")) as make:
            yield make
        return
    from grpo_cli.cluster.on_ray import needs_of, ray_cluster, require_room
    from grpo_cli.sweep.remote import RemoteChild

    needs = needs_of(plan.cluster)
    with ray_cluster(plan.cluster["address"]) as ray:
        require_room(ray, needs)
        options = {f"num_{kind.lower()}s": count for kind, count in needs.items()}
        yield partial(RemoteChild, ray, options)


def _writer(plan: Any) -> Callable[[list[Any]], None]:
    """Return what writes the files of a sweep after every trial."""
    from grpo_cli.sweep import plots, results

    shown: set[tuple[str, int, int]] = set()

    def write(rows: list[Any]) -> None:
        results.write_trials(plan, rows)
        if rows:
            plots.prepare()
        for row in rows:
            key = row.kind, row.number, row.part
            if row.over and key not in shown:
                shown.add(key)
                results.show_in_tensorboard(plan, row)

    return write
