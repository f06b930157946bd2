"""The one evaluator for all sides: 100 episodes, the same starts for everybody, off the clock.

It imports NumPy and Gymnasium only, so that it runs in every side's own environment.
"""

import resource
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

EPISODES, SCREEN = 100, 10
FIRST_SEED = 900_000_000  # no side trains on these starts
EVERY = 2_000  # env steps between looks, or an update where that is longer
CURVE = 20  # looks with all episodes in a run, whatever they show
MODES = ("greedy", "sampled")

# f(observations of the episodes that go on, greedy?) -> their actions
Act = Callable[[list[Any], bool], Any]


class Judge:
    """Looks at a policy at every multiple of `EVERY` steps, while the clock stands.

    A look is ten greedy episodes; all hundred, in both modes, are played where those ten do not
    rule out that the threshold is reached, and at `CURVE` points of the budget.

    Args:
        words: the task's.
        make: makes one environment, without rendering.
        act: the policy.
    """

    def __init__(self, words: dict[str, Any], make: Callable[[], gym.Env], act: Act) -> None:
        self.threshold, self.budget = words["threshold"], words["budget"]
        self.points: list[dict[str, Any]] = []
        self.solved: dict[str, dict[str, Any] | None] = dict.fromkeys(MODES)
        self._make, self._act = make, act
        self._envs: list[gym.Env] = []
        self._next, self._curve = EVERY, self.budget // CURVE
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def clock(self) -> tuple[float, float]:
        """Wall and CPU seconds of training so far."""
        return time.perf_counter() - self._wall, time.process_time() - self._cpu

    def look(self, steps: int, at: tuple[float, float] | None = None) -> None:
        """Judge the policy if it is time.

        Args:
            steps: env steps so far.
            at: wall and CPU seconds so far; None: those of the clock, which stands meanwhile.
        """
        if steps < self._next and steps < self.budget:
            return
        self._next = (steps // EVERY + 1) * EVERY
        wall, cpu = self.clock() if at is None else at
        on_curve = steps >= self._curve or steps >= self.budget
        if on_curve or (None in self.solved.values() and self._may_be_solved()):
            self._curve = (steps * CURVE // self.budget + 1) * self.budget // CURVE
            self._judge(steps, wall, cpu)
        if at is None:
            now = time.perf_counter(), time.process_time()
            self._wall, self._cpu = now[0] - wall, now[1] - cpu

    def _may_be_solved(self) -> bool:
        returns = self._play(SCREEN, greedy=True)
        error = returns.std() / np.sqrt(SCREEN)
        return bool(returns.mean() + 2 * error >= self.threshold)

    def _judge(self, steps: int, wall: float, cpu: float) -> None:
        point: dict[str, Any] = {"steps": steps, "wall_s": round(wall, 3), "cpu_s": round(cpu, 3)}
        for mode in MODES:
            returns = self._play(EPISODES, greedy=mode == "greedy")
            point[mode] = round(float(returns.mean()), 4)
            if self.solved[mode] is None and returns.mean() >= self.threshold:
                self.solved[mode] = {key: point[key] for key in ("steps", "wall_s", "cpu_s")}
        self.points.append(point)

    def _play(self, episodes: int, greedy: bool) -> np.ndarray:
        """Play the first so many episodes; returns, [episodes]."""
        while len(self._envs) < episodes:
            self._envs.append(self._make())
        obs = [self._envs[i].reset(seed=FIRST_SEED + i)[0] for i in range(episodes)]
        returns, alive = np.zeros(episodes), list(range(episodes))
        while alive:
            actions = self._act([obs[i] for i in alive], greedy)
            living = []
            for i, action in zip(alive, actions, strict=True):
                obs[i], reward, terminated, truncated, _ = self._envs[i].step(action)
                returns[i] += float(reward)
                if not (terminated or truncated):
                    living.append(i)
            alive = living
        return returns

    def result(self) -> dict[str, Any]:
        """Return everything that was seen."""
        wall, cpu = self.clock()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {
            "solved": self.solved, "points": self.points, "train_wall_s": round(wall, 2),
            "train_cpu_s": round(cpu, 2), "peak_mb": round(peak),
        }  # fmt: skip


def maker(words: dict[str, Any]) -> Callable[[], gym.Env]:
    """Return what makes one environment of a task, without rendering."""

    def make() -> gym.Env:
        env = gym.make(words["env"], disable_env_checker=True, **words["kwargs"])
        if words["max_steps"]:
            inner = env.env if isinstance(env, gym.wrappers.TimeLimit) else env
            env = gym.wrappers.TimeLimit(inner, words["max_steps"])
        if words["env"].startswith("MiniGrid"):
            env = gym.wrappers.FilterObservation(env, ["image", "direction"])
            env = gym.wrappers.FlattenObservation(env)
        return env

    if words["env"].startswith("MiniGrid"):
        import minigrid  # noqa: F401 - registers the ids
    return make
