"""Every part of a training run, built from its words, and what a checkpoint keeps of them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grpo_cli.checkpoint import Checkpoint, load_optimizer, optimizer_tensors
from grpo_cli.config import build, fits
from grpo_cli.config.build_env import build_env
from grpo_cli.config.build_lookahead import MODES as LOOK_AHEAD
from grpo_cli.config.build_lookahead import build_lookahead
from grpo_cli.config.build_reward import build_reward
from grpo_cli.config.build_text import (
    build_text_env,
    build_text_policy,
    build_text_reward,
    build_text_sampler,
    pays,
    speaks,
    text_evaluator,
)
from grpo_cli.config.learner import build_learner
from grpo_cli.envs import Backend, Bounds, EnvSource, Simulator
from grpo_cli.errors import CheckpointError
from grpo_cli.evaluate import Evaluator
from grpo_cli.learner import Learner
from grpo_cli.policies import Policy
from grpo_cli.randomness import Use
from grpo_cli.ranks import ALONE, Ranks
from grpo_cli.sinks.view import View
from grpo_cli.train import Progress, Sampler
from grpo_cli.versions import versions

REFERENCE = "reference/"


@dataclass(frozen=True)
class Built:
    """The parts of a run.

    Attributes:
        words: the whole config, plain.
        source: the environment.
        policy: learns in place.
        sampler: brings home groups.
        backend: steps the environments.
        learner: optimizer, coefficients, reference.
        score: gives every row its advantage.
        scaling: the reward scaling, which may have a state.
        stop_at: mean reward that ends training, or None.
        ranks: the processes that train together.
        evaluator: makes what scores the policy, where it is not played on `source`.
    """

    words: dict[str, Any]
    source: EnvSource
    policy: Policy
    sampler: Sampler
    backend: Backend | Simulator
    learner: Learner
    score: Callable[..., Any]
    scaling: object
    stop_at: float | None
    ranks: Ranks = ALONE
    evaluator: Callable[[Use], Evaluator] | None = None

    @property
    def speaks(self) -> bool:
        """The policy is a language model."""
        return speaks(self.words)

    def checkpoint(self, at: Progress, metrics_bytes: int) -> Checkpoint:
        """Return all that a later `load` needs to go on from here, bit for bit.

        Args:
            at: where the run stands.
            metrics_bytes: how much of `metrics.jsonl` had been written.
        """
        state = getattr(self.scaling, "state", None)
        facts = {
            "env": self.source.id,
            "steps": at.steps,
            "update": at.update,
            "best": at.best if math.isfinite(at.best) else None,
            "best_step": at.best_step,
            "reached": at.reached,
            "broken": at.broken,
            "anchor": at.anchor,
            "metrics_bytes": metrics_bytes,
            **self.learner.state(),
            "reward_scaling": state() if callable(state) else None,
            "sampler": at.sampler,
            "versions": versions(),
        }
        return Checkpoint(self.policy.state_dict(), self._tensors(), facts)

    def _tensors(self) -> dict[str, Any]:
        tensors = optimizer_tensors(self.learner.optimizer)
        if self.learner.reference is not None:
            reference = self.learner.reference.state_dict()
            tensors |= {f"{REFERENCE}{name}": tensor for name, tensor in reference.items()}
        return tensors

    def load(self, saved: Checkpoint, path: Path) -> Progress:
        """Put every part into the state it was saved in; returns where the run stood.

        Raises:
            CheckpointError: it was made by other parts than these.
        """
        require_env(saved, path, self.source)
        take(self.policy, saved, path, self.source)
        facts = saved.facts
        try:
            load_optimizer(self.learner.optimizer, saved.state)  # type: ignore[arg-type]
            if self.learner.penalty is not None:
                cut = len(REFERENCE)
                of_reference = {
                    name[cut:]: tensor
                    for name, tensor in saved.state.items()
                    if name.startswith(REFERENCE)
                }
                if of_reference:
                    self.learner.penalty.reference.load(of_reference)
            self.learner.load(facts)
            for part, state in ((self.scaling, "reward_scaling"), (self.sampler, "sampler")):
                if facts[state] is not None and callable(getattr(part, "load", None)):
                    part.load(facts[state])  # type: ignore[attr-defined]
            return Progress(
                steps=int(facts["steps"]),
                update=int(facts["update"]),
                best=-math.inf if facts["best"] is None else float(facts["best"]),
                best_step=facts["best_step"],
                reached=bool(facts["reached"]),
                broken=int(facts["broken"]),
                anchor=facts.get("anchor", 0),
                sampler=facts["sampler"],
                since=int(facts["steps"]),
                saved=int(facts["steps"]),
            )
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path} cannot be continued with these settings: {type(error).__name__}: {error}",
                "continue it with the settings it was made with",
            ) from error


def build_all(words: dict[str, Any], view: View, ranks: Ranks = ALONE) -> Built:
    """Build every part of a run, of several ranks one's own.

    Raises:
        GrpoError: the environment, the config or the computer does not allow it.
    """
    build.check_own(words)
    if speaks(words):
        return _build_text(words, view, ranks)
    reward = build_reward(words)
    device = build.build_device(words["device"], words["threads"], ranks.local)
    source = build_env(words, view)
    fits.check_linear(words, source)
    policy = build.build_policy(words, source, device)
    if notice := fits.policy_notice(words, source):
        view.notice(notice)
    if warning := fits.check_length(words, source):
        view.warn(warning)
    if words["group"]["name"] in LOOK_AHEAD:
        sampler, backend = build_lookahead(words, source, view, ranks)
    else:
        sampler, backend = build.build_sampler(words, source, view, reward, ranks)
    learner = build_learner(words, policy, source, view.warn)
    score, scaling = build.build_score(words, reward, learner.survey)
    bounds = Bounds(source.observation_space, view.warn)
    return Built(
        words, source, policy, sampler, backend, learner,
        lambda rollout: score(bounds(rollout)), scaling,
        stop_at=build.stopping_return(words, source), ranks=ranks,
    )  # fmt: skip


def _build_text(words: dict[str, Any], view: View, ranks: Ranks) -> Built:
    """Build the parts of a run of words."""
    from grpo_cli.text.turns import by_turn

    device = build.build_device(words["device"], words["threads"], ranks.local)
    asks, source = build_text_env(words)
    reward = build_text_reward(words, device, pays(asks))
    policy = build_text_policy(words, device)
    learned = sum(parameter.numel() for parameter in policy.parameters())
    view.notice(f"model {words['policy']['model']}: {learned:,} weights learn")
    sampler, backend = build_text_sampler(words, asks, reward, ranks)
    learner = build_learner(words, policy, source, view.warn)
    score, scaling = build.build_score(words, reward, learner.survey, by_turn)
    return Built(
        words, source, policy, sampler, backend, learner, score, scaling,
        stop_at=build.stopping_return(words, source), ranks=ranks,
        evaluator=lambda use: text_evaluator(words, asks, reward, use, ranks),
    )  # fmt: skip


def require_env(saved: Checkpoint, path: Path, source: EnvSource) -> None:
    """Refuse weights that were trained elsewhere: they may fit, and mean nothing here.

    Raises:
        CheckpointError: naming both environments.
    """
    made_for = saved.facts.get("env", source.id)
    if made_for != source.id:
        raise CheckpointError(
            f"{path} was made for {made_for}, its run's config.yaml says {source.id}",
            "use the checkpoint in the run folder it was trained in",
        )


def take(policy: Policy, saved: Checkpoint, path: Path, source: EnvSource) -> None:
    """Load the weights; they must be exactly those of the policy the config describes.

    Raises:
        CheckpointError: they are not.
    """
    try:
        policy.load_state_dict(saved.policy)
    except RuntimeError as error:
        raise CheckpointError(
            f"{path} does not fit the policy and {source.id} of its config",
            "the run's config.yaml or the environment's spaces have changed since",
        ) from error
