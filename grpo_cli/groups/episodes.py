"""Group mode `episodes`: G episodes from one start, compared with each other.

Members of all groups step together; who has finished drops out and is not stepped again.
"""

import numpy as np

from grpo_cli.envs import Backend, Codec, Restarts
from grpo_cli.errors import ConfigError
from grpo_cli.groups.memory import Demand
from grpo_cli.groups.packing import Rounds, pack
from grpo_cli.policies import Policy
from grpo_cli.randomness import ActionNoise, Purpose, Use, reset_seeds, rng
from grpo_cli.rollout import Ints, Rollout
from grpo_cli.walk import players, walk

__all__ = ["episodes"]


class episodes:  # noqa: N801 - a group mode is called by its config name
    """Sample groups of whole episodes.

    Args:
        backend: steps the members.
        codec: turns flat actions into the environment's.
        num_groups: groups per update.
        group_size: members per group, G.
        seed: the run's seed.
        greedy: one more member per group acts greedily from the same start, to compare with
            (ReMax, Li et al. 2023, arXiv:2310.10505); nothing is learned from it.
        same_start: members of a group are reset with one seed; otherwise each with its own.
        slots: members that live side by side; a free slot starts the next one. None: all.
        shared_noise: members of a group get the same action noise; only with starts of their own,
            else they would all do the same.
        noise_steps: steps for which a member keeps its action noise. Above 1 it explores further,
            as an unlikely action is then taken several times in a row: what pumps energy into a
            pendulum. Each action alone is still the policy's, several together are not, which
            biases the gradient (Gaussian policies: gSDE, Raffin et al. 2021, arXiv:2005.05719;
            random actions: Dabney et al. 2021, arXiv:2006.01782).
        horizon: steps of an episode that are played and learned from at most; None: all. Members
            are compared at equal steps, so a cut deceives only where a state that looks better is
            a dead end. Evaluation plays whole episodes.

    Raises:
        ConfigError: members would be identical, a greedy member would not start where its group
            does, or the backend cannot refill slots.
    """

    def __init__(
        self,
        backend: Backend,
        codec: Codec,
        num_groups: int,
        group_size: int,
        seed: int,
        greedy: bool = False,
        *,
        same_start: bool = True,
        shared_noise: bool = False,
        noise_steps: int = 1,
        slots: int | None = None,
        horizon: int | None = None,
    ) -> None:
        if same_start and shared_noise:
            raise ConfigError(
                "members with one start and one stream of noise all do the same",
                "set group.shared_noise=false, or group.same_start=false",
            )
        if greedy and not same_start:
            raise ConfigError(
                "a greedy member starts where its group starts, and group.same_start=false",
                "set group.same_start=true, or another advantage.baseline than greedy",
            )
        if slots is not None and not isinstance(backend, Restarts):
            raise ConfigError(
                f"backend {backend.name} starts all members together, group.slots cannot be",
                "set backend=sync or backend=async, or group.slots=null",
            )
        self.backend = backend
        self.codec = codec
        self.num_groups = num_groups
        self.group_size = group_size
        self.seed = seed
        self.greedy = greedy
        self.same_start = same_start
        self.shared_noise = shared_noise
        self.noise_steps = noise_steps
        self.slots = slots
        self.horizon = horizon

    @staticmethod
    def demand(
        num_groups: int,
        group_size: int,
        max_steps: int,
        *,
        slots: int | None = None,
        horizon: int | None = None,
        **_: object,
    ) -> Demand:
        """Say what the mode asks of a backend and of memory."""
        members = num_groups * group_size
        rows = members * min(horizon or max_steps, max_steps)
        return Demand(min(slots or members, members), rows, slots is not None)

    def sample(self, policy: Policy, update: int, groups: range | None = None) -> Rollout:
        """Play one episode with every member.

        Args:
            policy: who acts.
            update: number of the policy update, part of every random number's address.
            groups: the groups to sample, the other part; None: the first `num_groups`.

        Returns:
            The learning members group by group, then the greedy ones, if any, of weight 0.

        Raises:
            EnvError: the environment raised.
            NonFinite: it returned a reward or an observation that is nan or inf.
        """
        groups = range(self.num_groups) if groups is None else groups
        seeds = np.concatenate([self._seeds(update, group) for group in groups])
        noise = ActionNoise(
            [rng(self.seed, Purpose.ACTION, update, group) for group in groups],
            self.group_size,
            policy.family.noise_width,
            self.shared_noise,
            self.noise_steps,
        )
        seeds, group, role = players(seeds, groups, self.group_size, greedy=self.greedy)
        rounds = Rounds()
        outcome = walk(
            self.backend,
            self.codec,
            policy,
            seeds,
            noise,
            slots=self.slots,
            horizon=self.horizon,
            rounds=rounds,
        )
        return pack(rounds, group, seeds, outcome, role)

    def _seeds(self, update: int, group: int) -> Ints:
        generator = rng(self.seed, Purpose.START, update, group)
        if self.same_start:
            return np.repeat(reset_seeds(generator, 1, Use.TRAIN), self.group_size)
        return reset_seeds(generator, self.group_size, Use.TRAIN)
