"""What everybody is asked to solve: one environment, one threshold, one budget for all."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Task:
    """An environment and what counts.

    Attributes:
        env: Gymnasium id.
        threshold: mean return of 100 episodes that counts as solved.
        budget: env steps that everybody trains for. rl-zoo3's learning rates are constant on all
            but CartPole, whose budget is rl-zoo3's, so that a smaller budget costs its PPO nothing.
        seeds: how many; half of them where a run of PPO takes more than ten minutes.
        episodes: that a policy is judged by. FrozenLake is judged by luck with a hundred: the best
            policy there is (.74) then has .70 on the evaluator's starts.
    """

    env: str
    threshold: float
    budget: int
    seeds: int = 10
    episodes: int = 100

    @property
    def name(self) -> str:
        """A name for files and tables."""
        return self.env.replace("/", "-")

    def words(self) -> dict[str, Any]:
        """Return in JSON what a side has to know."""
        return {key: value for key, value in asdict(self).items() if key != "seeds"}


TASKS = [
    Task("CartPole-v1", 475.0, 100_000),
    Task("Acrobot-v1", -100.0, 300_000),
    Task("Pendulum-v1", -200.0, 200_000),
    Task("LunarLander-v3", 200.0, 1_000_000),
    Task("MountainCarContinuous-v0", 90.0, 50_000),
    Task("LunarLanderContinuous-v3", 200.0, 1_000_000),
    Task("MountainCar-v0", -110.0, 1_000_000),
    Task("FrozenLake-v1", 0.70, 500_000, episodes=1_000),
    Task("Taxi-v4", 7.8, 1_000_000, seeds=5),
    Task("MiniGrid-DoorKey-5x5-v0", 0.9, 500_000),
    Task("Hopper-v5", 2000.0, 1_000_000, seeds=5),
    Task("HalfCheetah-v5", 2000.0, 1_000_000, seeds=5),
    Task("BipedalWalker-v3", 300.0, 5_000_000, seeds=5),
]
"""In the order in which they are run."""
