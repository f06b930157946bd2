"""Group mode `windows`: consecutive steps of one environment, compared with each other.

A window runs across resets, so the pieces of several episodes lie in it; every piece is a member,
and the window is their group.
"""

import numpy as np
from numpy.typing import NDArray

from grpo_cli.clock import Clock
from grpo_cli.envs import Backend, Codec, Restarts
from grpo_cli.errors import ConfigError
from grpo_cli.groups.memory import Demand
from grpo_cli.groups.packing import Rounds, pack
from grpo_cli.policies import Policy
from grpo_cli.randomness import ActionNoise, Purpose, Use, reset_seeds, rng
from grpo_cli.rollout import Ints, Rollout
from grpo_cli.sums import bincount
from grpo_cli.walk import Outcome, as_array, successes

__all__ = ["windows"]

TAILS = ("zero", "mask", "finish")


class windows:  # noqa: N801 - a group mode is called by its config name
    """Sample windows of consecutive steps.

    Source: the textbook page "RL Ch5 GRPO", `collect_rollout`: one environment, reset at the start
    of every update, 200 steps, whatever is unfinished then counts as finished.

    Args:
        backend: steps one environment for each window; it must be able to restart one alone.
        codec: turns flat actions into the environment's.
        num_groups: windows per update.
        group_size: steps per window.
        seed: the run's seed.
        tail: the episode that is unfinished when its window is full counts as if it had ended
            there (`zero`: its late steps look worse than they were) | is left out, and a window
            goes on until it holds one whole episode (`mask`) | is played to its end (`finish`).

    Raises:
        ConfigError: no such tail, or the backend cannot restart one environment alone.
    """

    def __init__(
        self,
        backend: Backend,
        codec: Codec,
        num_groups: int,
        group_size: int,
        seed: int,
        *,
        tail: str = "zero",
    ) -> None:
        if tail not in TAILS:
            raise ConfigError(
                f"group.tail={tail} does not exist", f"choose one of {', '.join(TAILS)}"
            )
        if not isinstance(backend, Restarts):
            raise ConfigError(
                f"backend {backend.name} starts all environments together, group=windows cannot",
                "set backend=auto, backend=sync or backend=async",
            )
        self.backend = backend
        self.codec = codec
        self.num_groups = num_groups
        self.group_size = group_size
        self.seed = seed
        self.tail = tail

    @staticmethod
    def demand(num_groups: int, group_size: int, max_steps: int, *, tail: str) -> Demand:
        """Say what the mode asks of a backend and of memory."""
        longest = group_size if tail == "zero" else group_size + max_steps
        return Demand(slots=num_groups, rows=num_groups * longest, restarts=True)

    def sample(self, policy: Policy, update: int, groups: range | None = None) -> Rollout:
        """Fill one window in each environment.

        Args:
            policy: who acts.
            update: number of the policy update, part of every random number's address.
            groups: the windows to sample, the other part; None: the first `num_groups`.

        Raises:
            EnvError: the environment raised.
            NonFinite: it returned a reward or an observation that is nan or inf.
        """
        groups = range(self.num_groups) if groups is None else groups
        count = len(groups)
        members = _Members([rng(self.seed, Purpose.START, update, group) for group in groups])
        noise = ActionNoise(
            [rng(self.seed, Purpose.ACTION, update, group) for group in groups],
            1,
            policy.family.noise_width,
        )
        rounds = Rounds()
        clock = Clock()
        window = np.arange(count)
        member = np.array([members.start(place) for place in range(count)])
        step = np.zeros_like(window)  # of each living member
        whole = np.zeros(count, dtype=bool)  # windows that hold a finished episode
        obs = self.backend.reset(np.array(members.seed))
        clock.lap("env")
        act = policy.acting()
        used = 0  # steps of each window that is still open: they run side by side
        while len(window):
            action, logprob = act(obs, noise.at(np.full_like(window, used), window), member)
            clock.lap("act")
            after, reward, ended, cut, infos = self.backend.step(window, self.codec.decode(action))
            clock.lap("env")
            rounds.append((member, step, obs, action, logprob, reward))
            obs, over = after, ended | cut
            members.end(member, ended, cut, successes(member, over, infos))
            whole[window] |= over
            step, used = step + 1, used + 1
            leaves = self._closed(used, over, whole[window])
            again = np.flatnonzero(over & ~leaves)
            if len(again):
                member, step = member.copy(), np.where(over, 0, step)
                member[again] = [members.start(int(place)) for place in window[again]]
                obs[again] = self.backend.restart(
                    window[again], np.array([members.seed[m] for m in member[again]])
                )
                clock.lap("env")
            window, member, step, obs = (column[~leaves] for column in (window, member, step, obs))
        outcome = _outcome(rounds, members, clock)
        numbers = np.array(groups)[members.window]
        rollout = pack(rounds, numbers, np.array(members.seed), outcome)
        # The steps of members that did not end still count as simulated.
        over = rollout.terminated | rollout.truncated
        return rollout.members(over) if self.tail == "mask" else rollout

    def _closed(
        self, used: int, over: NDArray[np.bool_], whole: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Say which of the open windows, [W], end after so many steps."""
        if used < self.group_size:
            return np.zeros_like(over)
        return {"zero": np.ones_like(over), "mask": whole, "finish": over}[self.tail]


class _Members:
    """Pieces of episodes as they come and go, numbered in the order in which they start."""

    def __init__(self, starts: list[np.random.Generator]) -> None:
        self._starts = starts
        self.window: list[int] = []
        self.seed: list[int] = []
        self.terminated: set[int] = set()
        self.truncated: set[int] = set()
        self.success: dict[int, bool] = {}

    def start(self, window: int) -> int:
        """Take up the next piece of a window; returns its number."""
        self.window.append(window)
        self.seed.append(int(reset_seeds(self._starts[window], 1, Use.TRAIN)[0]))
        return len(self.window) - 1

    def end(self, member: Ints, ended: NDArray, cut: NDArray, success: dict[int, bool]) -> None:
        """Note which members ended in this round, and how."""
        self.terminated.update(member[ended].tolist())
        self.truncated.update(member[cut & ~ended].tolist())
        self.success |= success


def _outcome(rounds: Rounds, members: _Members, clock: Clock) -> Outcome:
    """Sum up each member's steps, [M]."""
    member, _, _, _, _, reward = rounds.columns()
    count = len(members.window)
    terminated, truncated = np.zeros((2, count), dtype=bool)
    terminated[list(members.terminated)] = True
    truncated[list(members.truncated)] = True
    return Outcome(
        ret=bincount(member, reward.astype(np.float64), count),
        length=np.bincount(member, minlength=count),
        terminated=terminated,
        truncated=truncated,
        success=as_array(members.success, count),
        slot_steps=len(member),
        env_s=clock.seconds["env"],
        act_s=clock.seconds["act"],
    )
