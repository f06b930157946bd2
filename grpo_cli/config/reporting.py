"""Where the metrics of a training run go."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from grpo_cli.clock import Nested
from grpo_cli.config.built import Built
from grpo_cli.rundir import RunFolder
from grpo_cli.sinks import Jsonl, Sink, TensorBoard
from grpo_cli.sinks.profile import Profile
from grpo_cli.sinks.view import Facts, View
from grpo_cli.train import Progress


def make_sinks(
    cfg: DictConfig,
    words: dict[str, Any],
    run: RunFolder,
    built: Built,
    view: View,
    at: Progress | None,
    clock: Nested | None = None,
    swept: Mapping[str, Any] | None = None,
) -> list[Sink]:
    """Make the sinks of a run; `at` is where a resumed one stands, `clock` a profile's.

    Of a sweep's trials TensorBoard shows first the settings in which they differ.
    """
    sinks: list[Sink] = [Jsonl(run.path / "metrics.jsonl")]
    board = None
    if "tensorboard" in words["sinks"]:
        text = OmegaConf.to_yaml(cfg, resolve=False)
        # Unresolved as well: what stands in an environment variable may be a secret.
        written: Any = OmegaConf.to_container(cfg, resolve=False)
        after = None if at is None else (at.steps, at.update)
        settings = _flat(written) | dict(swept or {})
        board = TensorBoard(run.path, text, settings, words["log_every"], after, swept or ())
        sinks.append(board)
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
    )
    sinks.append(view.training(facts))
    if clock is not None:
        cuda = built.policy.device.type == "cuda"
        sinks.append(
            Profile(run.path, clock, total_steps=words["total_steps"], cuda=cuda, shows=board)
        )
    return sinks


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
