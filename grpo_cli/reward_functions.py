"""Reward functions: what an attempt is worth, before rewards are scaled and compared.

A function maps a rollout to one number per step, [N], or per member, [M], which is credited on the
member's last step. nan or None says "not applicable": a member of which a function says nothing is
left out of what that function compares. `weighted` puts several functions together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grpo_cli.errors import ConfigError, NonFinite
from grpo_cli.rollout import LEARN, Floats, Rollout
from grpo_cli.sums import bincount

__all__ = ["env", "length", "terminated", "weighted"]

RewardFunction = Callable[[Rollout], Any]


def env(rollout: Rollout) -> Floats:
    """Return the environment's own reward, [N]."""
    return rollout.reward


def length(rollout: Rollout) -> Floats:
    """Return the length of each member, [M], in steps."""
    return rollout.per_member(np.ones(len(rollout.reward)))


def terminated(rollout: Rollout) -> Floats:
    """Return 1 where the environment ended the episode, 0 where a time limit did, [M]."""
    return rollout.terminated.astype(np.float64)


def overlong(rollout: Rollout, limit: int, buffer: int) -> Floats:
    """Punish length softly: 0 until the buffer before the limit begins, then down to -1 at it, [M].

    Source: Yu et al. 2025 (DAPO, arXiv:2503.14476), equation 13.

    Args:
        rollout: members and their lengths.
        limit: length from which on the punishment is whole, L_max, steps.
        buffer: steps before it over which the punishment grows, L_cache.
    """
    return np.clip((limit - buffer - length(rollout)) / buffer, -1.0, 0.0)


@dataclass(frozen=True)
class Columns:
    """What K reward functions said about a rollout."""

    names: tuple[str, ...]
    weights: Floats  # [K]
    value: Floats  # [K, N], 0 where a function says nothing
    applies: NDArray[np.bool_]  # [K, M]

    @property
    def total(self) -> Floats:
        """The weighted sum, [N]."""
        return self.weights @ self.value

    @property
    def heard(self) -> NDArray[np.bool_]:
        """Members of which a function with weight says something, [M]."""
        return np.logical_or.reduce(self.applies[self.weights != 0], axis=0)

    def returns(self, rollout: Rollout) -> Floats:
        """Sum each column over each member, [K, M]."""
        return np.stack([rollout.per_member(column) for column in self.value])

    def spread(self, rollout: Rollout) -> NDArray[np.bool_]:
        """Say which groups hold members of different worth, exactly, [num_groups].

        Under any function with weight; members to which it does not apply are not compared.
        """
        spread = np.zeros(rollout.num_groups, dtype=bool)
        counted = self.applies & (rollout.role == LEARN) & (self.weights != 0)[:, None]
        for chosen, value in zip(counted, self.returns(rollout), strict=True):
            least = np.full(rollout.num_groups, np.inf)
            most = -least
            np.minimum.at(least, rollout.group[chosen], value[chosen])
            np.maximum.at(most, rollout.group[chosen], value[chosen])
            spread |= most > least
        return spread

    def measured(self, rollout: Rollout) -> dict[str, float]:
        """Describe the learning members' returns under each function, over those it applies to."""
        described = {}
        counted = self.applies & (rollout.role == LEARN)
        for name, chosen, value in zip(self.names, counted, self.returns(rollout), strict=True):
            (said,) = rollout.ranks.moments(value[chosen])
            described[f"rewards/{name}/mean"] = float(said.mean if said.count else np.nan)
            described[f"rewards/{name}/std"] = float(said.std() if said.count else np.nan)
        return described


class weighted:  # noqa: N801 - a reward is called by its config name
    """A weighted sum of reward functions; by default the environment's reward alone.

    Sources: TRL's reward functions, with None for "not applicable"; Liu et al. 2026 (GDPO,
    arXiv:2601.05242) for normalise_then_sum; Yu et al. 2025 (DAPO, arXiv:2503.14476), 3.4, for the
    overlong penalty and for leaving truncated members out.

    Args:
        functions: `f(rollout) -> [N] or [M]`, by name.
        weights: one per function, any sign; none given: 1 each.
        aggregate: `sum_then_normalise` (the weighted sum is scaled and compared) |
            `normalise_then_sum` (each function's rewards are, on their own; then the weighted sum
            of the advantages is standardised over the batch).
        overlong_limit: length, in steps, at which the overlong penalty is whole; None: no penalty.
        overlong_buffer: steps before it over which it grows; None: a fifth of the limit.
        overlong_factor: weight of the penalty, which lies between -1 and 0.
        mask_truncated: members cut off by a time limit are peers, but are not learned from.

    Raises:
        ConfigError: no function, as many weights as functions are not given, the buffer is longer
            than the limit, or there is no such aggregate.
    """

    def __init__(
        self,
        *,
        functions: Mapping[str, RewardFunction],
        weights: Sequence[float] = (),
        aggregate: str = "sum_then_normalise",
        overlong_limit: int | None = None,
        overlong_buffer: int | None = None,
        overlong_factor: float = 1.0,
        mask_truncated: bool = False,
    ) -> None:
        if not functions:
            raise ConfigError("reward.functions is empty", "set reward.functions=[env]")
        if weights and len(weights) != len(functions):
            raise ConfigError(
                f"reward.weights has {len(weights)} numbers for {len(functions)} functions",
                "give one weight per function, or reward.weights=[] to count each once",
            )
        if aggregate not in ("sum_then_normalise", "normalise_then_sum"):
            raise ConfigError(
                f"reward.aggregate={aggregate} does not exist",
                "choose sum_then_normalise or normalise_then_sum",
            )
        self.functions = dict(functions)
        self.weights = [float(weight) for weight in weights or [1.0] * len(functions)]
        self.aggregate = aggregate
        self.mask_truncated = mask_truncated
        if overlong_limit is not None:
            buffer = overlong_buffer or -(-overlong_limit // 5)
            if buffer > overlong_limit:
                raise ConfigError(
                    f"reward.overlong_buffer={buffer} is longer than "
                    f"reward.overlong_limit={overlong_limit}",
                    "give a buffer that fits before the limit",
                )
            if "overlong" in functions:
                raise ConfigError(
                    "reward.functions has an overlong, and so does reward.overlong_limit",
                    "give the function another name, or set reward.overlong_limit=null",
                )
            self.functions["overlong"] = lambda rollout: overlong(rollout, overlong_limit, buffer)
            self.weights.append(float(overlong_factor))

    @property
    def plain(self) -> bool:
        """Whether this is the environment's reward and nothing else."""
        return list(self.functions.values()) == [env] and self.weights == [1.0]

    def __call__(self, rollout: Rollout) -> Columns:
        """Ask every function.

        Raises:
            ConfigError: a function returned neither [N] nor [M] numbers.
            NonFinite: it returned inf.
        """
        asked = [_ask(name, function, rollout) for name, function in self.functions.items()]
        value, applies = zip(*asked, strict=True)
        return Columns(
            tuple(self.functions), np.array(self.weights), np.stack(value), np.stack(applies)
        )

    def masked(self, rollout: Rollout) -> Rollout:
        """Give members that were cut off weight 0, where that is asked for."""
        if not (self.mask_truncated and rollout.truncated.any()):
            return rollout
        weight = np.where(rollout.truncated[rollout.member], 0.0, rollout.weight)
        return replace(rollout, weight=weight)


def _ask(name: str, function: RewardFunction, rollout: Rollout) -> tuple[Floats, NDArray[np.bool_]]:
    """Return what a function says, [N] with 0 where it says nothing, and of which members, [M]."""
    rows, members = len(rollout.reward), len(rollout.group)
    try:
        said = np.asarray(function(rollout), dtype=np.float64)  # None becomes nan
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"reward function {name} did not return numbers: {error}",
            "return one number per row of the rollout, or one per member",
        ) from error
    if said.shape not in ((rows,), (members,)):
        raise ConfigError(
            f"reward function {name} returned shape {said.shape} for {rows} rows of {members} "
            "members",
            "return one number per row of the rollout, or one per member",
        )
    if np.isinf(said).any():
        raise NonFinite(f"reward function {name} returned inf", "bound what it returns")
    known = ~np.isnan(said)
    value = np.where(known, said, 0.0)
    if said.shape == (rows,):
        return value, bincount(rollout.member, known.astype(np.float64), members) > 0
    last = np.append(rollout.first_row[1:], rows) - 1
    credited = np.zeros(rows)
    credited[last] = value
    return credited, known


ENV_REWARD = weighted(functions={"env": env})
"""The environment's reward and nothing else."""
