"""Pictures of the group modes in this folder, from what the samplers bring home.

    python docs/img/groups.py

CartPole's pole from its start until it falls, or shots at targets; whoever is above its peers is
drawn solid and blue, whoever is below dashed and orange. The same numbers give the same files.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from picture import Picture

from grpo_cli.config.build import plain
from grpo_cli.config.built import Built, build_all
from grpo_cli.config.compose import compose
from grpo_cli.rollout import Rollout
from grpo_cli.sinks.view import View

ANGLE = 2  # in CartPole's observation, radians


def built(*words: str) -> Built:
    """Build the parts of a training."""
    return build_all(plain(compose([*words, "threads=1", "device=cpu"])), View(quiet=True))


def seen(parts: Built) -> tuple[Any, list[Any], Rollout]:
    """Sample once; returns also the walks' states, and the rounds of the look-aheads."""
    sampler: Any = parts.sampler
    visit, ahead = sampler._visit, sampler._ahead
    walks: list[Any] = []
    rounds: list[Any] = []

    def keep_walks(*given: Any, **more: Any) -> Any:
        walks.append(visit(*given, **more))
        return walks[-1]

    def keep_rounds(*given: Any, **more: Any) -> Any:
        found = ahead(*given, **more)
        rounds.extend(found[0])
        return found

    sampler._visit, sampler._ahead = keep_walks, keep_rounds
    rollout = sampler.sample(parts.policy, 0)
    return walks[0], rounds, rollout


def degrees(obs: Any) -> np.ndarray:
    """Return the pole's angles of observations, [N]."""
    return np.degrees(np.asarray(obs)[:, ANGLE])


def kinds(values: Sequence[float]) -> list[str]:
    """Say of each value whether it is above the mean."""
    middle = float(np.mean(values))
    return ["above" if value >= middle else "below" for value in values]


def episodes() -> None:
    """Members from one start, to their end."""
    parts = built(
        "env=CartPole-v1", *"num_groups=1 group_size=5 group.same_start=true seed=53".split()
    )
    rollout = parts.sampler.sample(parts.policy, 0)
    length = np.bincount(rollout.member)
    picture = Picture(
        "group=episodes: 5 members from one start, each until its pole has fallen",
        "Five curves of a pole's angle leave one point; those that last longest are above the mean",
        float(length.max()), -15, 15,
    )  # fmt: skip
    picture.pole()
    for member, kind in enumerate(kinds(length.tolist())):
        angle = degrees(rollout.obs)[rollout.member == member]
        picture.line(kind, range(len(angle)), angle)
        picture.dot(kind, len(angle) - 1, angle[-1])
        picture.text(len(angle) - 1, angle[-1], f"{len(angle)}", kind, dx=8)
    picture.dot("dot", 0, degrees(rollout.obs)[0], 6)
    picture.save("episodes")


def windows() -> None:
    """Consecutive steps of one environment, across resets."""
    words = ("group=windows", "advantage=outcome", "num_groups=1", "group_size=120", "seed=1")
    parts = built("env=CartPole-v1", *words)
    rollout = parts.sampler.sample(parts.policy, 0)
    length = np.bincount(rollout.member)
    starts = np.concatenate([[0], np.cumsum(length)])
    picture = Picture(
        "group=windows: 120 consecutive steps of one environment, its episodes are the members",
        "One long curve of a pole's angle, cut into episodes of different length",
        120, -15, 15,
    )  # fmt: skip
    picture.pole()
    for member, kind in enumerate(kinds(length.tolist())):
        angle, first = degrees(rollout.obs)[rollout.member == member], int(starts[member])
        if first:
            picture.line("reset", (first, first), (-13.5, 13.5))
        picture.line(kind, range(first, first + len(angle)), angle)
        middle = first + len(angle) / 2
        picture.text(middle, 13.5, f"{len(angle)}", kind, "middle", dy=0)
    picture.save("windows")


def candidates() -> None:
    """Actions tried at visited states, a few steps ahead."""
    words = ("group=candidates", "group.actions=all", "group_size=2", "num_groups=3")
    parts = built("env=CartPole-v1", *words, "group.horizon=25", "group.walks=1", "seed=46")
    visits, rounds, rollout = seen(parts)
    title = "group=candidates: both actions tried at 3 visited states, looked 25 steps ahead"
    says = "A walk of the pole's angle; at three of its states two short curves leave it"
    picture = _walk(title, says, visits, rounds)
    value = rollout.reward.reshape(3, 2)
    for state, row in enumerate(visits.drawn):
        for place, kind in enumerate(kinds(value[state].tolist())):
            _fork(picture, visits, row, rounds, 2 * state + place, kind)
        picture.dot("dot", visits.step[row], degrees(visits.obs)[row], 6)
    picture.save("candidates")


def branches() -> None:
    """Continuations from visited states, to their end."""
    words = ("group=branches", "group_size=4", "num_groups=2", "group.walks=1", "seed=80")
    parts = built("env=CartPole-v1", *words)
    visits, rounds, rollout = seen(parts)
    title = "group=branches: from 2 visited states 4 continuations each, until the pole has fallen"
    says = "A walk of the pole's angle; at two of its states four curves leave it, to their end"
    picture = _walk(title, says, visits, rounds)
    length = np.bincount(rollout.member).reshape(2, 4)
    for state, row in enumerate(visits.drawn):
        for place, kind in enumerate(kinds(length[state].tolist())):
            end = _fork(picture, visits, row, rounds, 4 * state + place, kind)
            picture.text(*end, f"{length[state, place]}", kind, dx=8)
        picture.dot("dot", visits.step[row], degrees(visits.obs)[row], 6)
    picture.save("branches")


def _walk(title: str, says: str, visits: Any, rounds: Iterable[Any]) -> Picture:
    """Begin a picture with the walk that visited the states."""
    size = 1 + max(int(member.max()) for member, *_ in rounds)
    begin = np.repeat(visits.step[visits.drawn], size // len(visits.drawn))
    last = max(int((begin[member] + step).max()) for member, step, *_ in rounds)
    picture = Picture(title, says, max(len(visits.step), last), -15, 15)
    picture.pole()
    one = visits.walk == visits.walk[visits.drawn[0]]
    picture.line("walk", visits.step[one], degrees(visits.obs)[one])
    picture.text(0, degrees(visits.obs)[one][0], "the walk", "quiet", dx=6, dy=24)
    return picture


def _fork(
    picture: Picture, visits: Any, row: int, rounds: Iterable[Any], member: int, kind: str
) -> tuple[float, float]:
    """Draw where one member went from a visited state; returns its end."""
    angle = [degrees(obs)[who == member] for who, _, obs, *_ in rounds if (who == member).any()]
    values = np.concatenate(angle)
    steps = visits.step[row] + np.arange(len(values))
    picture.line(kind, steps, values)
    picture.dot(kind, steps[-1], values[-1])
    return float(steps[-1]), float(values[-1])


class Aim(gym.Env):
    """A target is seen, one shot is fired, and the nearer the better."""

    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        """Show where the target is."""
        super().reset(seed=seed)
        self.target = self.np_random.uniform(-0.8, 0.8, 1).astype(np.float32)
        return self.target, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Fire."""
        return self.target, -abs(float(action[0] - self.target[0])), True, False, {}


def states() -> None:
    """Single actions at each of several states."""
    gym.register("Aim-v0", entry_point=Aim, max_episode_steps=1)
    words = ("group=states", "advantage=outcome", "num_groups=4", "group_size=6", "seed=2")
    parts = built("env=Aim-v0", *words, "policy.log_std=-0.9")
    rollout = parts.sampler.sample(parts.policy, 0)
    reward, shot = rollout.reward.reshape(4, 6), np.asarray(rollout.action).reshape(4, 6)
    picture = Picture(
        "group=states: 6 actions at each of 4 states, the reward is how near they come",
        "Four targets; around each six shots, of which the nearer are above the mean",
        4, -1.15, 1.15,
    )  # fmt: skip
    for column in range(4):
        target = float(np.asarray(rollout.obs)[6 * column, 0])
        picture.line("walk", (column + 0.1, column + 0.9), (target, target))
        for place, kind in enumerate(kinds(reward[column].tolist())):
            picture.dot(kind, column + 0.18 + 0.128 * place, float(shot[column, place]), 5)
        picture.text(column + 0.5, picture.low, f"state {column + 1}", "quiet", "middle", dy=24)
    picture.text(3.9, target, "its target", "quiet", dx=8)
    for aim in (-1, 0, 1):
        picture.text(0, aim, f"{aim:+d}" if aim else "0", "quiet", "end", -8)
    picture.save("states")


if __name__ == "__main__":
    for draw in (episodes, windows, states, candidates, branches):
        draw()
