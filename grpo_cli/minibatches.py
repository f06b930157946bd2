"""The gradient steps of one epoch: a batch in random order, cut by rows or by whole members."""

from dataclasses import replace

import numpy as np
import torch

from grpo_cli.clock import part
from grpo_cli.rollout import Batch, Ints


@part("shuffle and slice")
def by_rows(batch: Batch, parts: int, generator: np.random.Generator) -> list[Batch]:
    """Shuffle rows and cut them into parts of nearly equal size."""
    order = generator.permutation(len(batch.weight))
    # One gather an epoch: the minibatches are then slices without a copy.
    return batch.rows(torch.from_numpy(order).to(batch.weight.device)).split(parts)


@part("shuffle and slice")
def by_members(
    batch: Batch, member: Ints, parts: int, generator: np.random.Generator
) -> list[Batch]:
    """Deal whole members to parts; their sizes differ by one member's rows at most.

    Args:
        batch: N rows.
        member: of each row, [N]; not every number need occur.
        parts: wanted; no more than there are members.
        generator: deals.
    """
    numbers, member, length = np.unique(member, return_inverse=True, return_counts=True)
    part = deal(length, min(parts, len(numbers)), generator)
    order = np.lexsort((member, part[member]))  # stable: time stays in order within a member
    device = batch.weight.device
    pieces = batch.rows(torch.from_numpy(order).to(device)).cut(
        [0, *np.cumsum(np.bincount(part, length)).astype(int)]
    )
    owner = np.split(member[order], np.cumsum(np.bincount(part[member]))[:-1])
    local = [np.unique(own, return_inverse=True, return_counts=True)[1:] for own in owner]
    return [
        replace(
            piece,
            member=torch.from_numpy(own).to(device),
            num_members=len(lengths),
            lengths=tuple(lengths.tolist()),
        )
        for piece, (own, lengths) in zip(pieces, local, strict=True)
    ]


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
