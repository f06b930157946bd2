"""Leave out what there is little to learn from: members of a group, and groups without spread."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from grpo_cli.errors import NonFinite
from grpo_cli.groups.share import shared
from grpo_cli.policies import Policy
from grpo_cli.randomness import Purpose, rng
from grpo_cli.ranks import ALONE, Ranks
from grpo_cli.reward_functions import Columns
from grpo_cli.rollout import LEARN, Floats, Ints, Rollout, join


class GroupMode(Protocol):
    """A group mode that can sample any of an update's groups, however many there are."""

    def sample(self, policy: Policy, update: int, groups: range | None = None) -> Rollout:
        """Sample groups of these global numbers."""
        ...


Local = Callable[[Callable[[], Any]], Any]
"""Does work in which ranks do not meet, so that it may be dropped, or be done again."""

Selector = Callable[[Floats, Ints, int, np.random.Generator], NDArray[np.intp]]


def first(
    worth: Floats, length: Ints, size: int, generator: np.random.Generator
) -> NDArray[np.intp]:
    """Keep those whose episodes ended first, as if the rest had not been waited for.

    Biased towards short episodes: where living on is good, towards the bad ones.
    """
    return np.argsort(length, kind="stable")[:size]


def uniform(
    worth: Floats, length: Ints, size: int, generator: np.random.Generator
) -> NDArray[np.intp]:
    """Keep some at random: no bias, the control at equal steps."""
    return generator.permutation(len(worth))[:size]


def spread(
    worth: Floats, length: Ints, size: int, generator: np.random.Generator
) -> NDArray[np.intp]:
    """Keep the best, the worst and evenly spaced ranks between them.

    Biased: the extremes are always among those kept, so the spread of a group is larger than the
    policy's, and its mean lies nearer to the middle of the range.
    """
    place = np.linspace(0, len(worth) - 1, size).round().astype(np.intp)
    return np.argsort(worth, kind="stable")[place]


SELECTORS: dict[str, Selector] = {"first": first, "uniform": uniform, "spread": spread}


class Selection:
    """A group mode whose groups are looked through after sampling. Every step played counts.

    Sources: Yu et al. 2025 (DAPO, arXiv:2503.14476), 3.2, dynamic sampling; Xu et al. 2025
    (arXiv:2504.13818) for sampling more members than are learned from.

    Args:
        mode: samples the groups.
        worth: what reward functions say about a rollout; asked again when it is scored.
        num_groups: groups per update.
        group_size: members kept of a group.
        seed: the run's seed.
        selector: which members are kept, one of `SELECTORS`.
        drop_dead: learn nothing from groups whose members are all worth the same, under every
            reward function; their rows get weight 0.
        max_resample: rounds at most in which dead groups are replaced by freshly sampled ones,
            whose numbers follow on those of the groups before them.
        ranks: who samples the other groups; each replaces its share of all dead ones.
    """

    def __init__(
        self,
        mode: GroupMode,
        worth: Callable[[Rollout], Columns],
        *,
        num_groups: int,
        group_size: int,
        seed: int,
        selector: str,
        drop_dead: bool,
        max_resample: int,
        ranks: Ranks = ALONE,
    ) -> None:
        self.mode = mode
        self.worth = worth
        self.num_groups = num_groups
        self.group_size = group_size
        self.seed = seed
        self.selector = SELECTORS[selector]
        self.drop_dead = drop_dead
        self.max_resample = max_resample
        self.ranks = ranks

    def sample(self, policy: Policy, update: int, local: Local = lambda work: work()) -> Rollout:
        """Sample groups, choose members, and replace groups that are dead.

        Dead groups stay in the rollout with weight 0, so that their share is seen.

        Args:
            policy: who acts.
            update: number of the policy update, part of every random number's address.
            local: does each round; between rounds ranks tell each other what is missing.

        Raises:
            EnvError: the environment raised.
            NonFinite: a reward or an observation is nan or inf, or a reward function said so; it
                has the groups that this rank sampled, in all rounds, wherever it was found.
        """
        rounds: list[Rollout] = []
        start, missing, number = 0, self.num_groups, 0
        while missing and number <= self.max_resample:
            mine = self.ranks.share(missing)
            groups = range(start + mine.start, start + mine.stop)
            start, dead = start + missing, 0
            played: list[Rollout] = []
            work = partial(self._round, policy, update, groups, played)
            try:
                # A rank may have nothing to replace, and still hears what the others have to.
                found = self.ranks.together(partial(local, work))
            except NonFinite as error:  # the rounds before it were simulated as well
                own = [rollout for rollout in played or [error.rollout] if rollout is not None]
                error.rollout = join([*rounds, *own]) if rounds or own else None
                raise
            if found is not None:
                rollout, dead = found
                rounds.append(rollout)
            missing, number = self.ranks.span(dead)[0], number + 1
        return shared(rounds[0] if len(rounds) == 1 else join(rounds), self.ranks)

    def _round(
        self, policy: Policy, update: int, groups: range, played: list[Rollout]
    ) -> tuple[Rollout, int] | None:
        """Sample groups and look through them; returns also how many are to be replaced.

        What was sampled is left in `played`, for when something in it is not finite.
        """
        if not groups:
            return None
        played[:] = [self.mode.sample(policy, update, groups)]
        rollout = self._select(played[0], update, groups)
        if not self.drop_dead:
            return rollout, 0
        live = self.worth(rollout).spread(rollout)
        dead = int((~live[groups.start :]).sum())
        return replace(rollout, weight=rollout.weight * live[rollout.group_N]), dead

    def _select(self, rollout: Rollout, update: int, groups: range) -> Rollout:
        """Keep `group_size` learning members of each group, and all others."""
        learns = rollout.role == LEARN
        if learns.sum() == len(groups) * self.group_size:
            return rollout
        worth = rollout.per_member(self.worth(rollout).total)
        length = np.bincount(rollout.member)
        keep = ~learns
        for group in groups:
            candidates = np.flatnonzero(learns & (rollout.group == group))
            generator = rng(self.seed, Purpose.SELECT, update, group)
            chosen = self.selector(
                worth[candidates], length[candidates], self.group_size, generator
            )
            keep[candidates[chosen]] = True
        return rollout.members(keep)
