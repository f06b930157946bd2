"""Where the metrics of a training run go, and the report at its end."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from omegaconf import DictConfig, OmegaConf

from grpo_cli import report, video
from grpo_cli.clock import Nested
from grpo_cli.config.built import Built
from grpo_cli.errors import GrpoError
from grpo_cli.rundir import RunFolder
from grpo_cli.runs import read
from grpo_cli.sinks import Groups, Jsonl, Sink, TensorBoard
from grpo_cli.sinks.profile import Profile
from grpo_cli.sinks.protocol import Metrics
from grpo_cli.sinks.trackers import TRACKERS
from grpo_cli.sinks.view import Facts, View
from grpo_cli.train import Progress


def make_sinks(
    cfg: DictConfig,
    words: dict[str, Any],
    run: RunFolder,
    built: Built,
    view: View,
    at: Progress | None,
    before: Sequence[tuple[int, Metrics]],
    clock: Nested | None = None,
    swept: Mapping[str, Any] | None = None,
) -> list[Sink]:
    """Make the sinks of a run; `at` is where a resumed one stands, `before` what it has measured.

    `clock` is a profile's. Of a sweep's trials TensorBoard shows first what they differ in.
    """
    if words["video_every"] is not None:
        video.check_renders(built.source)
    updates = 0 if at is None else at.update
    sinks: list[Sink] = [
        Jsonl(run.path / "metrics.jsonl"),
        Groups(run.path / "groups.jsonl", updates),
    ]
    board = None
    if "tensorboard" in words["sinks"]:
        text = OmegaConf.to_yaml(cfg, resolve=False)
        # Unresolved as well: what stands in an environment variable may be a secret.
        written: Any = OmegaConf.to_container(cfg, resolve=False)
        after = None if at is None else (at.steps, at.update)
        settings = _flat(written) | dict(swept or {})
        board = TensorBoard(run.path, text, settings, words["log_every"], after, swept or ())
        sinks.append(board)
    for name in TRACKERS.keys() & words["sinks"].keys():
        written = OmegaConf.to_container(cfg, resolve=False)
        project = str(words["sinks"][name]["project"])
        sinks.append(TRACKERS[name](run.path, _flat(written), project))
    facts = Facts(
        env=built.source.id,
        run=str(run.path),
        total_steps=words["total_steps"],
        stop_at=built.stop_at,
        seed=words["seed"],
        group_size=words["group_size"],
        num_groups=words["num_groups"],
        backend=built.backend.name,
        epochs=words["epochs"],
        horizon=words["group"].get("horizon"),
        noise_steps=words["group"].get("noise_steps"),
    )
    with suppress(OSError):  # for those who watch from elsewhere; the run does without
        run.write_json("facts.json", asdict(facts))
    if words["video_every"] is not None:
        steps = 0 if at is None else at.steps
        stages = video.Stages(
            run.path, built.source, built.policy, every=words["video_every"], seed=words["seed"],
            steps=steps, board=board,
        )  # fmt: skip
        sinks.append(stages)
    sinks.append(view.training(facts, before))
    if clock is not None:
        cuda = built.policy.device.type == "cuda"
        sinks.append(
            Profile(run.path, clock, total_steps=words["total_steps"], cuda=cuda, shows=board)
        )
    return sinks


def write_report(run: RunFolder, view: View) -> None:
    """Write the run's own report; a run is no worse without one."""
    try:
        report.write(read([run.path]), run.path / report.NAME)
    except GrpoError as error:
        view.warn(error.what)


def _flat(node: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested words to `loss.eps_low`, values that are no number or flag to text."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        elif value is not None:
            simple = isinstance(value, bool | int | float | str)
            flat[f"{prefix}{key}"] = value if simple else str(value)
    return flat
