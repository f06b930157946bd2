"""Sample Factory's APPO in one process, with the values of its own examples.

    python factory.py TASK SEED

Its metadata ask for Gymnasium below 1.0, which has no v5 of MuJoCo; it runs with 1.4. What it asks
of NumPy, below 2, it needs.
"""

# pyright: reportMissingImports=false
import contextlib
import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from sample_factory.algo.runners.runner import AlgoObserver, Runner
from sample_factory.algo.sampling.batched_sampling import preprocess_actions
from sample_factory.algo.utils.action_distributions import argmax_actions
from sample_factory.algo.utils.rl_utils import prepare_and_normalize_obs
from sample_factory.cfg.arguments import parse_full_cfg, parse_sf_args
from sample_factory.envs.env_utils import register_env
from sample_factory.model.model_utils import get_rnn_size
from sample_factory.train import make_runner
from sf_examples.mujoco.mujoco_params import mujoco_override_defaults

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from judge import Judge, maker

# sf_examples/train_gym_env.py; `num_workers` is the number of cores there.
CART_POLE = (
    "--use_rnn=False", "--num_envs_per_worker=20", "--recurrence=1", "--with_vtrace=False",
    "--batch_size=512", "--reward_scale=0.1", "--num_workers=1",
)  # fmt: skip
# All workers in this process, which must not be missed while the judge looks.
HERE = ("--device=cpu", "--serial_mode=True", "--heartbeat_reporting_interval=1000000")


class Counted(gymnasium.Wrapper):
    """Counts the steps of all environments, those that they take at first to drift apart too."""

    steps = 0

    def step(self, action: Any) -> Any:  # noqa: ANN401 - whatever they are
        """Step."""
        Counted.steps += 1
        return self.env.step(action)


def make(_name: str, *_: Any, **__: Any) -> gymnasium.Env:  # noqa: ANN401 - its own settings
    """Make the environment of the task, in a process of its own too."""
    return Counted(maker(json.loads(sys.argv[1]))())


def settings(words: dict[str, Any], seed: int, folder: str) -> Any:  # noqa: ANN401 - its own kind
    """Return its configuration."""
    register_env(words["env"], make)
    said = [f"--env={words['env']}", f"--seed={seed}", f"--train_dir={folder}", "--algo=APPO"]
    said += [f"--train_for_env_steps={words['budget']}", *HERE]
    if words["env"] == "CartPole-v1":
        said += CART_POLE
    parser, _ = parse_sf_args(said)
    if words["env"] != "CartPole-v1":
        mujoco_override_defaults(words["env"], parser)
    return parse_full_cfg(parser, said)


class Looks(AlgoObserver):
    """Lets the judge look after every update."""

    def __init__(self, words: dict[str, Any], cfg: Any) -> None:  # noqa: ANN401 - its own kind
        self._words, self._cfg = words, cfg
        self.over = False

    def on_start(self, runner: Runner) -> None:
        """Start the clock."""
        learner = runner.learners[0].learner

        def act(obs: list[Any], greedy: bool) -> NDArray:
            model = learner.actor_critic
            learns = model.training
            model.eval()
            rows = prepare_and_normalize_obs(model, {"obs": torch.tensor(np.array(obs))})
            with torch.no_grad():
                actions = model(rows, torch.zeros(len(obs), get_rnn_size(self._cfg)))["actions"]
                if greedy:
                    actions = argmax_actions(model.action_distribution())
            model.train(learns)
            return preprocess_actions(runner.env_info, actions.reshape(len(obs), -1))

        Counted.steps = 0
        self.judge = Judge(self._words, maker(self._words), act)

    def on_training_step(self, runner: Runner, training_iteration_since_resume: int) -> None:
        """Look, until the budget is used up: it goes on until as many steps were learned from."""
        if not self.over:
            self.judge.look(Counted.steps)
            self.over = Counted.steps >= self._words["budget"]


def main() -> None:
    """Train once and print what the judge saw."""
    words, seed = json.loads(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        cfg, runner = make_runner(settings(words, seed, folder))
        looks = Looks(words, cfg)
        runner.register_observer(looks)
        if runner.init() or runner.run():
            raise SystemExit("Sample Factory says that it failed")
    last = looks.judge.points[-1]
    clock = {"train_wall_s": last["wall_s"], "train_cpu_s": last["cpu_s"]}
    names = ("sample-factory", "gymnasium", "torch")
    result = {**looks.judge.result(), **clock}
    print(json.dumps({**result, "versions": {name: version(name) for name in names}}))


if __name__ == "__main__":
    main()
