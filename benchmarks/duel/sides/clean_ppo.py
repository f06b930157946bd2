"""CleanRL's PPO with its own values: its scripts as the registry has them, run unchanged.

    python clean_ppo.py TASK SEED

`ppo.py` (written for Gym 0.23) on discrete actions, `ppo_continuous_action.py` (for Gymnasium
0.28) on continuous ones. What stands between them and today's Gymnasium is below: names, and
episodes that begin again in the step in which one ended, as they did then.
"""

import contextlib
import json
import os
import sys
import tempfile
from importlib.metadata import distribution, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TransformObservation
from numpy.typing import NDArray
from torch.utils import tensorboard

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from judge import Judge, maker

TASK = "duel/Task-v0"
FIRST_SEEDS: dict[gymnasium.Env, int] = {}
SCRIPTS = {  # by whether actions are discrete: file, env steps of an update
    True: ("ppo.py", 4 * 128),
    False: ("ppo_continuous_action.py", 1 * 2048),
}


class Vector(SyncVectorEnv):
    """What `ppo_continuous_action.py` calls a vector environment."""

    def __init__(self, makers: list[Any]) -> None:
        super().__init__(makers, autoreset_mode=AutoresetMode.SAME_STEP)

    def step(self, actions: NDArray) -> tuple[Any, ...]:
        """Step; what is said of finished episodes was only printed, and has another form now."""
        return *super().step(actions)[:4], {}


class Classic(Vector):
    """What `ppo.py` calls one; its seeds were given to the environments."""

    def reset(self, **_: Any) -> NDArray:  # type: ignore[override] # noqa: ANN401
        """Return observations alone."""
        return super().reset(seed=[FIRST_SEEDS[env.unwrapped] for env in self.envs])[0]

    def step(self, actions: NDArray) -> tuple[Any, ...]:
        """Return observations, rewards, ends and no infos."""
        obs, reward, terminated, truncated, _ = super().step(actions)
        return obs, reward, terminated | truncated, []


def adapt() -> None:
    """Give Gym and Gymnasium the names that the scripts use."""
    old: Any = gymnasium.Env
    old.seed = lambda env, seed: FIRST_SEEDS.update({env.unwrapped: seed})
    gymnasium.wrappers.TransformObservation = lambda env, change: TransformObservation(
        env, change, env.observation_space
    )
    gymnasium.vector.SyncVectorEnv = Vector
    sys.modules["gym"] = SimpleNamespace(  # type: ignore[assignment]
        make=gymnasium.make, wrappers=gymnasium.wrappers, spaces=gymnasium.spaces,
        vector=SimpleNamespace(SyncVectorEnv=Classic),
    )  # fmt: skip


def main() -> None:
    """Train once and print what the judge saw."""
    words, seed = json.loads(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    make = maker(words)
    space: Any = make().action_space
    discrete = isinstance(space, gymnasium.spaces.Discrete)
    name, update = SCRIPTS[discrete]
    gymnasium.register(TASK, lambda **_: make(), order_enforce=False, disable_env_checker=True)
    adapt()
    script: dict[str, Any] = {"__name__": "__main__", "__file__": name}

    def act(obs: list[Any], greedy: bool) -> NDArray:
        agent, rows = script["agent"], np.array(obs)
        if not discrete:
            env = script["envs"].envs[0]
            rms = env.get_wrapper_attr("obs_rms")
            rows = np.clip((rows - rms.mean) / np.sqrt(rms.var + 1e-8), -10, 10)
        x = torch.Tensor(rows)
        with torch.no_grad():
            if not greedy:
                actions = agent.get_action_and_value(x)[0]
            else:
                actions = agent.actor(x).argmax(1) if discrete else agent.actor_mean(x)
        return actions.numpy() if discrete else np.clip(actions.numpy(), space.low, space.high)

    judge = Judge(words, make, act)

    class Looks(tensorboard.SummaryWriter):
        """Lets the judge look when the script writes the last figure of an update."""

        def add_scalar(self, tag: str, value: Any, step: int) -> None:  # type: ignore[override] # noqa: ANN401
            super().add_scalar(tag, value, step)
            if tag == "charts/SPS":
                judge.look(step)

    tensorboard.SummaryWriter = Looks
    steps = -(-words["budget"] // update) * update  # it trains for whole updates only
    sys.argv = [name, "--env-id", TASK, "--seed", str(seed), "--cuda", "False"]
    sys.argv += ["--total-timesteps", str(steps)]
    path = Path(str(distribution("cleanrl").locate_file(f"cleanrl/{name}")))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        os.chdir(folder)
        exec(compile(path.read_text(), name, "exec"), script)
    names = ("cleanrl", "gymnasium", "torch")
    print(json.dumps({**judge.result(), "versions": {name: version(name) for name in names}}))


if __name__ == "__main__":
    main()
