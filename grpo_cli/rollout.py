"""The data that travels: `Rollout -> Scored -> Batch`, one frozen type for each stage.

M members (attempts) lie packed as N rows (steps), ordered by member, then time, without padding.
A stage has no field that is filled in later: holding a `Scored` means the rollout was scored.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import pairwise
from operator import itemgetter, methodcaller
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grpo_cli.frames import Frames, join_frames
from grpo_cli.ranks import ALONE, Ranks
from grpo_cli.sums import bincount
from grpo_cli.tokens import Tokens, join_tokens

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Entry = Tensor | Frames | Tokens
Obs = Entry | dict[str, Tensor]
"""Observations of N rows, [N, *O]; those with several entries by path, such as `a.0.b`."""

ROOM = 1 << 25

LEARN, BASELINE = 0, 1
"""Roles of members: those that are learned from, and greedy ones they are only compared with."""


def tensors(obs: NDArray) -> Obs:
    """Show observations [N, *O] to torch; a record of several entries becomes a dict by path."""
    if obs.dtype.names is None:
        return torch.from_numpy(obs)
    return {path: torch.from_numpy(np.ascontiguousarray(obs[path])) for path in obs.dtype.names}


def each(obs: Obs, change: Callable[[Any], Any]) -> Obs:
    """Apply a change to every entry of observations."""
    return {k: change(v) for k, v in obs.items()} if isinstance(obs, dict) else change(obs)


def stacked(obs: Obs) -> Tensor | dict[str, Tensor]:
    """Return observations as a policy reads them, frames beside each other."""
    return obs.stacked() if isinstance(obs, Frames | Tokens) else obs


def pieces(obs: Obs) -> list[Obs]:
    """Cut observations [N, *O] into slices of at most `ROOM` numbers, so that images fit."""
    entries = list(obs.values()) if isinstance(obs, dict) else [obs]
    count, width = len(entries[0]), sum(entry.shape[1:].numel() for entry in entries)
    edges = [*range(0, count, max(1, ROOM // max(1, width))), count]
    return [each(obs, lambda entry, a=a, b=b: entry[a:b]) for a, b in pairwise(edges)]


def flat(obs: Obs) -> Tensor:
    """Put all entries of each observation in a row of numbers, [N, D]."""
    obs = stacked(obs)
    parts = list(obs.values()) if isinstance(obs, dict) else [obs]
    rows = [part.reshape(len(part), -1) for part in parts]
    return rows[0] if len(rows) == 1 else torch.cat([row.double() for row in rows], dim=1)


@dataclass(frozen=True)
class Episodes:
    """Episodes that ended while sampling, E of them, those of baseline members left out.

    Members that were left out of a rollout after sampling are still counted here.
    """

    ret: Floats  # [E], raw return
    length: Ints  # [E], steps
    success: NDArray[np.bool_] | None  # [E], None where the environment says nothing


@dataclass(frozen=True)
class Rollout:
    """What one sampling of groups brought home. N rows, M members, O and A dimensions."""

    # Rows.
    obs: Obs  # [N, *O], the environment's dtype
    action: Tensor  # [N, A], flat
    logprob: NDArray[np.float32]  # [N], nats, under the policy that acted
    reward: Floats  # [N], raw
    member: Ints  # [N]
    step: Ints  # [N], from 0 in each member
    weight: Floats  # [N], 0: never learned from
    # Members.
    group: Ints  # [M]
    seed: Ints  # [M], what the environment was reset with
    role: NDArray[np.int8]  # [M], LEARN or BASELINE
    terminated: NDArray[np.bool_]  # [M]
    truncated: NDArray[np.bool_]  # [M]
    # Facts.
    episodes: Episodes
    sim_steps: int  # transitions the simulator computed
    slot_steps: int  # what it would have computed had no slot been idle
    env_s: float  # seconds inside the environment
    act_s: float  # seconds inside the policy
    replay_steps: int = 0  # transitions computed again to come back to a state
    # Members that began in a state which a walk had visited: number of the walk, and its step.
    parent: Ints | None = None  # [M]
    parent_step: Ints | None = None  # [M]
    ranks: Ranks = ALONE  # who sampled other groups of the same update
    number: Ints | None = None  # [M], by which all of them know its group; None: as `group` does
    context: NDArray[np.object_] | None = None  # [M], what was asked and said, where words are

    @cached_property
    def group_N(self) -> Ints:
        """Group of each row, [N]."""
        return self.group[self.member]

    @cached_property
    def number_N(self) -> Ints:
        """Number by which all processes know the group of each row, [N]."""
        return self.group_N if self.number is None else self.number[self.member]

    @cached_property
    def first_row(self) -> Ints:
        """Index of each member's first row, [M]."""
        return np.searchsorted(self.member, np.arange(len(self.group)))

    @cached_property
    def num_groups(self) -> int:
        """Number of groups."""
        return int(self.group.max()) + 1

    def per_member(self, value_N: Floats) -> Floats:
        """Sum a row quantity over each member: [N] -> [M]."""
        return bincount(self.member, value_N, len(self.group))

    def members(self, keep: NDArray[np.bool_]) -> "Rollout":
        """Return the members of a mask [M] with all their rows; groups keep their numbers.

        Facts of the sampling stay as they are.
        """
        rows = keep[self.member]
        cut = {f.name: _cut(getattr(self, f.name), rows, keep) for f in fields(self)}
        return replace(self, **{**cut, "member": (np.cumsum(keep) - 1)[self.member[rows]]})


def _cut(
    value: Any,  # noqa: ANN401 - any field
    rows: NDArray[np.bool_],
    members: NDArray[np.bool_],
) -> Any:  # noqa: ANN401
    """Choose from one field of a rollout; where N = M, each member is a row and the cuts agree."""
    if isinstance(value, Tensor | Frames | Tokens | dict):
        return each(value, lambda entry: entry[torch.from_numpy(rows)])
    if isinstance(value, np.ndarray):
        return value[rows if len(value) == len(rows) else members]
    return value


def join(rollouts: Sequence[Rollout]) -> Rollout:
    """Return the members and facts of several rollouts in one; their groups must differ."""
    first, *_ = rollouts
    joined = {f.name: _join([getattr(r, f.name) for r in rollouts]) for f in fields(first)}
    start = np.cumsum([0] + [len(rollout.group) for rollout in rollouts])
    member = [rollout.member + start[i] for i, rollout in enumerate(rollouts)]
    return replace(first, **{**joined, "member": np.concatenate(member)})


def _join(values: list[Any]) -> Any:  # noqa: ANN401 - any field
    """Put one field of several rollouts together: columns in a row, amounts as their sum."""
    if isinstance(values[0], Tensor):
        return torch.cat(values)
    if isinstance(values[0], Frames):
        return join_frames(values)
    if isinstance(values[0], Tokens):
        return join_tokens(values)
    if isinstance(values[0], dict):
        return {path: torch.cat([value[path] for value in values]) for path in values[0]}
    if isinstance(values[0], np.ndarray):
        return np.concatenate(values)
    if isinstance(values[0], Episodes):
        return join_episodes(values)
    if isinstance(values[0], Ranks):
        return values[0]
    return None if values[0] is None else sum(values)


def join_episodes(parts: Sequence[Episodes]) -> Episodes:
    """Put episodes in a row; where some say nothing of success, they had none."""
    ret, length = (np.concatenate([getattr(p, name) for p in parts]) for name in ("ret", "length"))
    if all(part.success is None for part in parts):
        return Episodes(ret, length, None)
    said = [np.zeros(len(p.ret), bool) if p.success is None else p.success for p in parts]
    return Episodes(ret, length, np.concatenate(said))


@dataclass(frozen=True)
class Scored:
    """A rollout whose rows have an advantage."""

    rollout: Rollout
    reward: Floats  # [N], scaled
    advantage: Floats  # [N], dimensionless after scaling
    dead: NDArray[np.bool_]  # [num_groups], no spread: exactly zero advantage
    measured: dict[str, float] = field(default_factory=dict)  # metrics seen on the way


@dataclass(frozen=True)
class Batch:
    """Rows for one gradient step, B of them, on the policy's device."""

    obs: Obs  # [B, *O]
    action: Tensor  # [B, A]
    old_logprob: Tensor  # [B], nats, before the update
    advantage: Tensor  # [B]
    weight: Tensor  # [B]
    reference: Tensor | None  # [B, P] parameters of the reference's action distribution
    # Where minibatches hold whole members; else None and 0.
    member: Tensor | None = None  # [B], 0 to num_members - 1, ascending
    num_members: int = 0
    lengths: tuple[int, ...] = ()  # rows of each member, known without asking the device
    # Where other processes have rows too: sum of all weights, number of members with weight, [2].
    totals: Tensor | None = None

    @cached_property
    def own_weight(self) -> Tensor:
        """Sum of the weights, a scalar."""
        return self.weight.sum()

    @cached_property
    def total_weight(self) -> Tensor:
        """Sum of the weights over all processes: what a loss divides by, a scalar."""
        return self.own_weight if self.totals is None else self.totals[0]

    def weighted(self, value: Tensor) -> Tensor:
        """Return the weighted mean of a row quantity [B], a scalar with its gradient."""
        return torch.dot(value, self.weight) / self.total_weight

    def mean(self, value: Tensor) -> "Mean":
        """Return the weighted mean of a row quantity [B] as a measurement."""
        return Mean(torch.dot(value.detach(), self.weight), self.own_weight)

    def rows(self, index: Tensor) -> "Batch":
        """Return the chosen rows, [len(index)]."""
        choose = methodcaller("index_select", 0, index)
        return replace(self, **{name: each(column, choose) for name, column in self._columns()})

    def split(self, parts: int) -> "list[Batch]":
        """Cut into so many parts of nearly equal size, without a copy."""
        return self.cut([len(self.weight) * part // parts for part in range(parts + 1)])

    def cut(self, edges: Sequence[int]) -> "list[Batch]":
        """Cut at rows `edges`, without a copy."""
        spans = [itemgetter(slice(a, b)) for a, b in pairwise(edges)]
        columns = self._columns()
        return [replace(self, **{n: each(c, span) for n, c in columns}) for span in spans]

    def _columns(self) -> list[tuple[str, Any]]:
        """Return what has a row for each of B, by name."""
        columns = [(f.name, getattr(self, f.name)) for f in fields(self) if f.name != "totals"]
        return [(name, c) for name, c in columns if isinstance(c, Tensor | Frames | Tokens | dict)]


@dataclass(frozen=True)
class Mean:
    """A mean that can still be pooled with others: sum and count.

    Detached scalars on the device, or floats where nothing was computed on one.
    """

    total: Tensor | float
    count: Tensor | float

    def item(self) -> float:
        """Return the mean as a float; 0 when nothing was counted. Waits for the device."""
        count = float(self.count)
        return float(self.total) / count if count else 0.0


def pooled(parts: Sequence[dict[str, Mean]], ranks: Ranks = ALONE) -> dict[str, Mean]:
    """Pool measurements of the same names and kind, all in one operation, over all ranks."""
    names = list(parts[0])
    flat: list[Any] = [x for part in parts for n in names for x in (part[n].total, part[n].count)]
    shape = len(parts), len(names), 2
    if isinstance(flat[0], float):
        columns = ranks.sum(np.array(flat).reshape(shape).sum(0)).tolist()
    else:
        (summed,) = ranks.add(torch.stack(flat).view(shape).sum(0))
        columns = zip(*(column.unbind() for column in summed.unbind(1)), strict=True)
    return {name: Mean(*column) for name, column in zip(names, columns, strict=True)}


def as_tensor(values: NDArray[np.generic], device: torch.device) -> Tensor:
    """Return the array as a float32 tensor on the device."""
    return torch.as_tensor(np.ascontiguousarray(values, dtype=np.float32), device=device)
