"""`GRPO`: where Stable-Baselines3's PPO stood, without a value network."""

import logging
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Discrete, Space

from grpo_cli.api import archive
from grpo_cli.api.callbacks import Callbacks, Log, Stopped
from grpo_cli.api.given import opened
from grpo_cli.api.keywords import Keywords, at
from grpo_cli.api.modes import choose
from grpo_cli.api.parts import (
    make_body,
    make_files,
    make_learner,
    objective,
    one_thread,
    schedule,
)
from grpo_cli.checkpoint import Checkpoint, load_optimizer, optimizer_tensors
from grpo_cli.envs.spaces import action_codec
from grpo_cli.errors import ConfigError
from grpo_cli.observations import Observations
from grpo_cli.policies import Policy
from grpo_cli.rollout import Rollout, Scored
from grpo_cli.sinks.view import Facts, View
from grpo_cli.train import Parts, Progress, train

log = logging.getLogger(__name__)


class GRPO:
    """Group relative policy optimization with the interface of Stable-Baselines3's PPO.

    With `reward_function` all actions of a discrete space are tried at each visited state, two
    steps ahead (`preset=sb3_grpo` of the command line); with `samples_per_time_step` or
    `reward_scaling_fn` so many are drawn from the policy and looked ahead from for 20 steps
    (`preset=sb3_contrib`). With none of them, or where the environment cannot go back to a state,
    groups are whole episodes from one start, compared step by step (`group=episodes
    advantage=time_aligned`). The keyword `group` chooses.

    Args:
        policy: MlpPolicy, CnnPolicy or MultiInputPolicy.
        env: an id, a Gymnasium environment or vector environment, or one of Stable-Baselines3's;
            None when the model only predicts.
        args: the keywords of PPO, in its order.
        keywords: see `Keywords`.

    Raises:
        ConfigError: the environment, the policy or a keyword cannot be used, and why.
    """

    def __init__(self, policy: str, env: Any, *args: Any, **keywords: Any) -> None:
        self.words = self._said = Keywords(*args, **keywords)
        self._said.warn_of_ignored()
        self.seed = self.words.seed
        self.verbose = self.words.verbose
        self.device = torch.device("cpu" if self.words.device == "auto" else self.words.device)
        self.num_timesteps = 0
        self.logger = Log()
        self.env: Any = None
        self._kind = policy
        self._updates = 0
        self._num_groups = 1
        self._missing: list[str] = []  # functions that the saved model was trained with
        self._noise = np.random.default_rng(self.seed)
        if env is not None:
            self.set_env(env)

    def set_env(self, env: Any) -> None:
        """Train on this environment from now on.

        Raises:
            ConfigError: it cannot be used, or its spaces differ from those of the policy.
        """
        given = opened(env)
        source = given.source
        spaces = source.observation_space, source.action_space
        made = hasattr(self, "policy")
        if made and spaces != (self.observation_space, self.action_space):
            raise ConfigError(
                f"{source.id} has other spaces than the environment the policy was made for",
                "give an environment with the same spaces, or make a new model",
            )
        self.words, self._mode, self._score = choose(self._said, given, self._num_groups)
        if made:
            self._learner.schedule = schedule(self.words)
        else:
            self._build(*spaces)
        self.env, self.n_envs, self._source = env, given.num_envs or 1, source
        self._vector: Any = None

    def get_env(self) -> Any:
        """Return the environment; for callbacks of Stable-Baselines3 as its vector environment."""
        if "stable_baselines3" not in sys.modules or hasattr(self.env, "step_async"):
            return self.env
        if self._vector is None:
            vector_env = import_module("stable_baselines3.common.vec_env").DummyVecEnv
            self._vector = vector_env([self._source.make])
        return self._vector

    def get_vec_normalize_env(self) -> None:
        """Return None: normalisation belongs to the policy here."""

    def learn(
        self,
        total_timesteps: int,
        callback: Any = None,
        log_interval: int = 1,
        tb_log_name: str = "GRPO",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> "GRPO":
        """Train for about so many env steps; an update that has begun is finished.

        Args:
            total_timesteps: env steps.
            callback: of Stable-Baselines3, or `f(locals, globals) -> bool`, or a list of them.
            log_interval: updates between TensorBoard points.
            tb_log_name: folder of the event files within `tensorboard_log`.
            reset_num_timesteps: count from 0 again; what was learned stays.
            progress_bar: show the training on stderr, as verbose=1 does.

        Raises:
            ConfigError: there is no environment, or a function that the saved model had is missing.
            GrpoError: the environment raised, or numbers stopped being finite.
        """
        if self.env is None or self._missing:
            lacks = ", ".join(self._missing or ["env"])
            raise ConfigError(
                f"the model cannot be trained without its {lacks}", f"give load() its {lacks}"
            )
        self.num_timesteps = 0 if reset_num_timesteps else self.num_timesteps
        total = self.num_timesteps + total_timesteps
        self._callbacks = Callbacks(callback, self)
        files = make_files(self.words, self.words.saved(), tb_log_name, log_interval)
        self.logger.sinks = files
        facts = Facts(
            env=self._source.id,
            run=str(self.words.run_dir or ""),
            total_steps=total,
            stop_at=None,
            seed=self.seed,
            group_size=self._mode.group_size,
            num_groups=self._mode.num_groups,
            backend=self._mode.backend.name,
            epochs=self.words.n_epochs,
        )
        shown = [View().training(facts)] if self.verbose or progress_bar else []
        parts = Parts(
            policy=self.policy,
            sampler=self,
            score=self._score,
            learn=self._learn,
            judge=None,
            save=lambda *_: None,
            sinks=[*files, *shown],
            warn=log.warning,
        )
        self._callbacks.start({"self": self, "total_timesteps": total, "tb_log_name": tb_log_name})
        try:
            with one_thread(self.device), suppress(Stopped):
                train(
                    parts, total_steps=total, stop_at=None, eval_every=total, save_every=total,
                    at=Progress(self.num_timesteps, since=self.num_timesteps, update=self._updates),
                )  # fmt: skip
        finally:
            for sink in parts.sinks:
                sink.close()
            self.logger.sinks = ()
        self._callbacks.end()
        if self.words.run_dir is not None:
            self.save(Path(self.words.run_dir) / "model.zip")
        return self

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        """Choose actions.

        Args:
            observation: one, or B of them as one array [B, *O] for each entry, in a dict or tuple
                where the space is one; images with their channels last or first.
            state: handed back: there is no recurrence.
            episode_start: not needed without recurrence.
            deterministic: take the most probable action instead of drawing one.

        Returns:
            The action as the environment takes it, or B of them in an array, of objects where they
            are dicts or tuples; and `state`.

        Raises:
            ConfigError: the observation has another shape, or lacks an entry.
        """
        batch, single = self._observations.batch(observation)
        width = self._codec.family.noise_width
        noise = None if deterministic else self._noise.random((len(batch), width))
        action = self._codec.decode(self.policy.act(batch, noise)[0])
        return (action[0] if single else action), state

    def sample(self, policy: Policy, update: int) -> Rollout:
        """Sample the groups of one update, and report them to the callbacks."""
        self._callbacks.rollout_start()
        rollout = self._mode.sample(policy, update)
        self._num_groups = self._mode.num_groups
        self._callbacks.steps(rollout, self.n_envs)
        self._callbacks.rollout_end()
        return rollout

    def _learn(self, scored: Scored, update: int, progress: float) -> dict[str, float]:
        remaining = max(0.0, 1.0 - progress)
        self._learner.lr = at(self.words.learning_rate, remaining)
        self._learner.objective = objective(self.words, remaining)
        metrics = self._learner(scored, update, progress)
        self._updates = update + 1
        return metrics

    def _build(self, observation_space: Space, action_space: Space) -> None:
        """Make the policy and what it learns with."""
        self.observation_space, self.action_space = observation_space, action_space
        self._codec = action_codec("the environment", action_space)
        self._observations = Observations(observation_space)
        family = self._codec.family
        self.policy = make_body(
            self._kind, self.words, observation_space, family, self.seed, self.device
        )
        self._learner = make_learner(self.words, self.policy, self.seed)

    def save(self, path: str | Path) -> None:
        """Write the model to a file, `.zip` where the name has no ending; it holds no code."""
        facts = {
            "policy": self._kind,
            "keywords": {**self._said.saved(), "group": self.words.group},
            "seed": self.seed,
            "spaces": [archive.space_words(s) for s in (self.observation_space, self.action_space)],
            "num_timesteps": self.num_timesteps,
            "updates": self._updates,
            "num_groups": self._num_groups,
            "gradient_steps": self._learner.gradient_steps,
        }
        tensors = optimizer_tensors(self._learner.optimizer)
        archive.write(path, Checkpoint(self.policy.state_dict(), tensors, facts))

    @classmethod
    def load(cls, path: str | Path, env: Any = None, **keywords: Any) -> "GRPO":
        """Read a model.

        Args:
            path: what `save` wrote.
            env: to train on; None is enough to predict.
            keywords: take the place of the saved ones; functions are not saved.

        Raises:
            CheckpointError: the file is missing, damaged, or was not written by `save`.
        """
        content = archive.read(path)
        facts = content.facts
        words = {"seed": facts["seed"], **facts["keywords"], **keywords}
        had = words.pop("functions")
        model = cls(facts["policy"], None, **words)
        made_for = [archive.space_of(space) for space in facts["spaces"]]
        model.words = model._said.settled(model._said.kind(isinstance(made_for[1], Discrete)))
        model._build(*made_for)
        model.policy.load_state_dict(content.policy)
        load_optimizer(model._learner.optimizer, content.state)  # type: ignore[arg-type]
        model._learner.gradient_steps = facts["gradient_steps"]
        model.num_timesteps, model._updates = facts["num_timesteps"], facts["updates"]
        model._num_groups = facts["num_groups"]
        model._missing = [name for name in had if name not in keywords]
        if env is not None:
            model.set_env(env)
        return model
