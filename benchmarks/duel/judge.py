"""The one evaluator for all sides: the same episodes for everybody, off the clock.

It imports NumPy and Gymnasium only, so that it runs in every side's own environment.
"""

import resource
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

# Episodes after which a policy may be found not to solve, and Student's t at 97.5 % of so many.
STAGES = {3: 4.30, 10: 2.26, 30: 2.05}
FIRST_SEED = 900_000_000  # no side trains on these starts
EVERY = 2_000  # env steps between looks, or an update where that is longer
CURVE = 10  # looks with all episodes in a run, greedy; at the end of it sampled too
MODES = ("greedy", "sampled")

# f(observations of the episodes that go on, greedy?) -> their actions
Act = Callable[[list[Any], bool], Any]


class Judge:
    """Looks at a policy at every multiple of `EVERY` steps, while the clock stands.

    A look plays three episodes in each mode that has not solved the task yet, then more, up to all
    of the task, as long as these do not rule out that the threshold is reached. At `CURVE` points
    of the budget it plays all greedy ones, at the end in both modes.

    Args:
        words: the task's.
        make: makes one environment, without rendering.
        act: the policy.
    """

    def __init__(self, words: dict[str, Any], make: Callable[[], gym.Env], act: Act) -> None:
        self.threshold, self.budget = words["threshold"], words["budget"]
        self.episodes = words["episodes"]
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
        if steps >= self._curve or steps >= self.budget:
            self._curve = (steps * CURVE // self.budget + 1) * self.budget // CURVE
            self._point(steps, wall, cpu)
        for mode in MODES:
            if self.solved[mode] is None and self._solves(mode):
                self.solved[mode] = _at(steps, wall, cpu)
        if at is None:
            now = time.perf_counter(), time.process_time()
            self._wall, self._cpu = now[0] - wall, now[1] - cpu

    def _point(self, steps: int, wall: float, cpu: float) -> None:
        modes = MODES if steps >= self.budget else MODES[:1]
        means = {mode: self._play(mode, 0, self.episodes).mean() for mode in modes}
        seen = {mode: round(float(mean), 4) for mode, mean in means.items()}
        self.points.append({**_at(steps, wall, cpu), **seen})

    def _solves(self, mode: str) -> bool:
        returns = np.zeros(0)
        for stage, t in STAGES.items():
            returns = np.append(returns, self._play(mode, len(returns), stage))
            if returns.mean() + t * returns.std(ddof=1) / np.sqrt(stage) < self.threshold:
                return False
        returns = np.append(returns, self._play(mode, len(returns), self.episodes))
        return bool(returns.mean() >= self.threshold)

    def _play(self, mode: str, first: int, last: int) -> np.ndarray:
        """Play the episodes from `first` to before `last`; returns, [last - first]."""
        while len(self._envs) < last:
            self._envs.append(self._make())
        alive = list(range(first, last))
        obs = {i: self._envs[i].reset(seed=FIRST_SEED + i)[0] for i in alive}
        returns = dict.fromkeys(alive, 0.0)
        while alive:
            actions = self._act([obs[i] for i in alive], mode == "greedy")
            living = []
            for i, action in zip(alive, actions, strict=True):
                obs[i], reward, terminated, truncated, _ = self._envs[i].step(action)
                returns[i] += float(reward)
                if not (terminated or truncated):
                    living.append(i)
            alive = living
        return np.array(list(returns.values()))

    def result(self) -> dict[str, Any]:
        """Return everything that was seen."""
        wall, cpu = self.clock()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {
            "solved": self.solved, "points": self.points, "train_wall_s": round(wall, 2),
            "train_cpu_s": round(cpu, 2), "peak_mb": round(peak),
        }  # fmt: skip


def _at(steps: int, wall: float, cpu: float) -> dict[str, Any]:
    return {"steps": steps, "wall_s": round(wall, 3), "cpu_s": round(cpu, 3)}


def maker(words: dict[str, Any]) -> Callable[[], gym.Env]:
    """Return what makes one environment of a task, without rendering."""

    def make() -> gym.Env:
        env = gym.make(words["env"], disable_env_checker=True)
        if words["env"].startswith("MiniGrid"):
            env = gym.wrappers.FilterObservation(env, ["image", "direction"])
            env = gym.wrappers.FlattenObservation(env)
        return env

    if words["env"].startswith("MiniGrid"):
        import minigrid  # noqa: F401 - registers the ids
    return make
