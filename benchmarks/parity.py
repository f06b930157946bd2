"""Is EnvPool's version of an environment the same environment? Writes the table `auto` trusts.

    python benchmarks/parity.py [ids...]

For each id both versions play the same number of episodes, with one fixed action and with random
actions. Two-sample Kolmogorov-Smirnov tests compare the entries of the first observation, returns
and lengths; an id agrees when no test rejects at 1 % after Bonferroni's correction, and random
actions earn more in some episodes than in others. That says nothing about single episodes: seeds
mean something else to EnvPool.
"""

import json
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from scipy.stats import ks_2samp

from grpo_cli.config.build import plain as as_words
from grpo_cli.config.build_env import build_env
from grpo_cli.config.compose import compose
from grpo_cli.config.env_ids import family
from grpo_cli.envs import EnvSource, Sync, open_env
from grpo_cli.envs.pool import EnvPool

EPISODES = 300
LEVEL = 0.01
ENDLESS = 200  # steps of an episode where the environment has no limit of its own
IDS = (
    "Acrobot-v1 BipedalWalker-v3 CartPole-v1 CliffWalking-v1 CliffWalkingSlippery-v1 FrozenLake-v1 "
    "FrozenLake8x8-v1 HalfCheetah-v5 Hopper-v5 LunarLander-v3 LunarLanderContinuous-v3 "
    "MountainCar-v0 MountainCarContinuous-v0 Pendulum-v1"
).split()
LEVELS = (  # of MiniGrid
    "Empty-5x5 Empty-6x6 Empty-8x8 Empty-Random-5x5 Empty-Random-6x6 DoorKey-5x5 DoorKey-6x6 "
    "DistShift1 LavaGapS5 LavaGapS6 LavaGapS7 SimpleCrossingS9N1 SimpleCrossingS9N2 "
    "SimpleCrossingS9N3 LavaCrossingS9N1 FourRooms Unlock Dynamic-Obstacles-5x5 "
    "Dynamic-Obstacles-Random-5x5 MultiRoom-N2-S4"
).split()
TABLE = Path(__file__).parents[1] / "grpo_cli" / "envs" / "parity.json"


def play(backend: Sync | EnvPool, source: EnvSource, fixed: bool, first: int) -> dict[str, Any]:
    """Play one episode for each of EPISODES seeds; returns starts, returns and lengths."""
    space = source.action_space
    space.seed(0)
    one = space.sample()  # the same for both versions
    space.seed(first)
    starts, returns, lengths = [], np.zeros(EPISODES), np.zeros(EPISODES)
    width = 50
    for begin in range(0, EPISODES, width):
        starts.append(backend.reset(np.arange(first + begin, first + begin + width)))
        ids = np.arange(width)
        # Some versions know no time limit: these are given up one step beyond it.
        while len(ids) and lengths[begin + ids].max() <= source.max_steps:
            actions = np.array([one if fixed else space.sample() for _ in ids])
            _, reward, terminated, truncated, _ = backend.step(ids, actions)
            returns[begin + ids] += reward
            lengths[begin + ids] += 1
            ids = ids[~(terminated | truncated)]
    start = np.concatenate(starts).reshape(EPISODES, -1)  # a Discrete observation is one entry
    return {"start": start, "return": returns, "length": lengths}


def compare(env_id: str) -> dict[str, Any]:
    """Compare both versions of an id."""
    if family(env_id):  # as trained on: MiniGrid shows a text, which has to be left out
        source = build_env(as_words(compose([f"env={env_id}"])))
    else:
        source = open_env(env_id, max_steps=gym.spec(env_id).max_episode_steps or ENDLESS)
    p_values: dict[str, float] = {}
    tells = False
    for fixed in (True, False):
        kind = "fixed" if fixed else "random"
        plain = play(Sync(source.make, 50), source, fixed, first=1_000)
        pool = play(EnvPool(source, 50), source, fixed, first=5_000)
        tells = bool(np.ptp(plain["return"]))  # at last, of the random ones
        for name in ("return", "length"):
            p_values[f"{kind} action, {name}"] = _p(plain[name], pool[name])
        if fixed:
            for entry, (a, b) in enumerate(zip(plain["start"].T, pool["start"].T, strict=True)):
                p_values[f"start[{entry}]"] = _p(a, b)
    worst = min(p_values, key=p_values.__getitem__)
    return {
        "agrees": tells and bool(p_values[worst] * len(p_values) >= LEVEL),
        "tests": len(p_values),
        "smallest_p": round(p_values[worst], 5),
        "where": worst if tells else "random actions always earn the same",
    }


def _p(one: np.ndarray, two: np.ndarray) -> float:
    """Compare two samples; differences in float32's last digits are none."""
    unit = 1e-4 * max(np.abs(one).max(), np.abs(two).max(), 1e-12)
    return float(ks_2samp(np.round(one / unit), np.round(two / unit))[1])  # type: ignore[arg-type]


def main() -> None:
    """Print and write the table."""
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    made = {
        "envpool": version("envpool"),
        "gymnasium": gym.__version__,
        "date": datetime.now(UTC).date().isoformat(),
        "episodes": EPISODES,
    }
    for env_id in sys.argv[1:] or [*IDS, *(f"MiniGrid-{one}-v0" for one in LEVELS)]:
        table[env_id] = {**compare(env_id), **made}
        entry = table[env_id]
        verdict = "agrees" if entry["agrees"] else "does not"
        print(f"{env_id:<28} {verdict:<8} p {entry['smallest_p']:<8} {entry['where']}", flush=True)
        TABLE.write_text(json.dumps(dict(sorted(table.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
