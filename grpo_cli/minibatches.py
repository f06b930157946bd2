"""The gradient steps of one epoch: a batch in random order, cut by rows or by whole members."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from grpo_cli.clock import part
from grpo_cli.ranks import ALONE, Ranks
from grpo_cli.rollout import Batch, Ints


@part("shuffle and slice")
def by_rows(
    batch: Batch,
    parts: int,
    generator: np.random.Generator,
    total: int | None = None,
    first: int = 0,
) -> list[Batch]:
    """Shuffle rows and cut them into parts of nearly equal size.

    Args:
        batch: N rows.
        parts: wanted, of the rows of all ranks together.
        generator: shuffles the rows of all ranks as one; each gets its own of every part.
        total: rows of all ranks; None: N.
        first: how many of them come before those of the batch.
    """
    rows = len(batch.weight)
    total = rows if total is None else total
    order = generator.permutation(total)
    edges = [total * part // parts for part in range(parts + 1)]
    if total > rows:
        own = np.flatnonzero((order >= first) & (order < first + rows))
        order, edges = order[own] - first, np.searchsorted(own, edges).tolist()
    # One gather an epoch: the minibatches are then slices without a copy.
    return batch.rows(torch.from_numpy(order).to(batch.weight.device)).cut(edges)


@part("shuffle and slice")
def by_members(
    batch: Batch, member: Ints, parts: int, generator: np.random.Generator, ranks: Ranks = ALONE
) -> list[Batch]:
    """Deal whole members to parts; their sizes differ by one member's rows at most.

    Args:
        batch: N rows.
        member: of each row, [N]; not every number need occur.
        parts: wanted; no more than there are members.
        generator: deals.
        ranks: who else has members; those of all are dealt as one.
    """
    _, member, length = np.unique(member, return_inverse=True, return_counts=True)
    lengths, mine = ranks.whole(length)
    parts = min(parts, len(lengths))
    part = deal(lengths, parts, generator)[mine]
    order = np.lexsort((member, part[member]))  # stable: time stays in order within a member
    device = batch.weight.device
    edges = [0, *np.cumsum(np.bincount(part, length, parts)).astype(int).tolist()]
    pieces = batch.rows(torch.from_numpy(order).to(device)).cut(edges)
    owner = [member[order][a:b] for a, b in pairwise(edges)]
    local = [np.unique(own, return_inverse=True, return_counts=True)[1:] for own in owner]
    return [
        replace(
            piece,
            member=torch.from_numpy(own).to(device),
            num_members=len(counts),
            lengths=tuple(counts.tolist()),
        )
        for piece, (own, counts) in zip(pieces, local, strict=True)
    ]


def of_all(pieces: list[Batch], batch: Batch, member: Ints, ranks: Ranks = ALONE) -> list[Batch]:
    """Tell minibatches what the other ranks have in theirs, so that gradients add up.

    Args:
        pieces: this rank's parts of an epoch's minibatches; a part may be empty, and is replaced
            by the first member at weight 0, which contributes 0.
        batch: N rows.
        member: of each row, [N].
        ranks: who has the other parts.
    """
    if ranks.size == 1:
        return pieces
    whole = torch.stack([torch.stack([p.own_weight, _learning(p)]) for p in pieces])
    (totals,) = ranks.add(whole)
    shown = [piece if len(piece.weight) else _nothing(batch, member) for piece in pieces]
    return [
        replace(piece, totals=total) for piece, total in zip(shown, totals.unbind(), strict=True)
    ]


def _nothing(batch: Batch, member: Ints) -> Batch:
    """Return the first member's rows at weight 0."""
    count = int((member == member[0]).sum())
    first = batch.rows(torch.arange(count, device=batch.weight.device))
    return replace(
        first,
        weight=torch.zeros_like(first.weight),
        member=torch.zeros(count, dtype=torch.int64, device=first.weight.device),
        num_members=1,
        lengths=(count,),
    )


def _learning(batch: Batch) -> Tensor:
    """Count the members that have weight; 0 where rows are cut without regard to them."""
    if batch.member is None:
        return batch.own_weight * 0
    weight = batch.weight.new_zeros(batch.num_members).index_add(0, batch.member, batch.weight)
    return (weight > 0).sum().to(batch.weight.dtype)


def deal(length: Ints, parts: int, generator: np.random.Generator) -> Ints:
    """Give each member a part, [M]: every part gets one of the longest, one of the next, ...

    Dealing the members in order of length, one to each part and in random order, keeps the sums of
    the parts within the longest member of each other; equal lengths are dealt at random.
    """
    order = generator.permutation(len(length))
    order = order[np.argsort(-length[order], kind="stable")]
    rounds = np.tile(np.arange(parts), (-(-len(length) // parts), 1))
    part = np.empty(len(length), dtype=np.int64)
    part[order] = generator.permuted(rounds, axis=1).ravel()[: len(length)]
    return part
