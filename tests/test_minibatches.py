from itertools import chain

import numpy as np
import pytest
import torch
from builders import make_batch

from grpo_cli.minibatches import by_members, by_rows, deal
from grpo_cli.randomness import Purpose, rng


def numbered(lengths):
    """A batch whose advantage is the row's number, and the member of each row."""
    member = np.repeat(np.arange(len(lengths)), lengths)
    return make_batch(len(member), advantage=torch.arange(len(member)).float()), member


def dealt(lengths, parts, seed=0, epoch=0):
    batch, member = numbered(lengths)
    pieces = by_members(batch, member, parts, rng(seed, Purpose.SHUFFLE, 0, epoch))
    return [piece.advantage.int().tolist() for piece in pieces], member, pieces


def test_every_member_is_whole_and_in_order_of_time():
    rows, member, pieces = dealt([3, 1, 4, 2, 5], 2)
    assert sorted(chain.from_iterable(rows)) == list(range(15))
    for piece, numbers in zip(pieces, rows, strict=True):
        owners = member[numbers]
        assert piece.member is not None
        assert piece.num_members == len(set(owners))
        assert (np.diff(numbers)[np.diff(owners) == 0] == 1).all()
        for own in set(owners):
            assert (owners == own).sum() == (member == own).sum()
        # numbered from 0 within the minibatch
        assert piece.member.tolist() == np.unique(owners, return_inverse=True)[1].tolist()


@pytest.mark.parametrize("parts", [2, 3, 4, 7])
def test_sizes_differ_by_one_member_at_most(parts):
    for seed in range(20):
        lengths = np.random.default_rng(seed).integers(1, 500, size=32)
        part = deal(lengths, parts, np.random.default_rng(seed))
        rows = np.bincount(part, lengths, minlength=parts)
        assert rows.max() - rows.min() <= lengths.max()
        equal = deal(np.full(28, 9), parts, np.random.default_rng(seed))
        assert np.ptp(np.bincount(equal)) <= 1


def test_the_address_says_who_is_with_whom():
    lengths = [7, 7, 7, 3, 9, 1, 4, 4]
    assert dealt(lengths, 3)[0] == dealt(lengths, 3)[0]
    assert dealt(lengths, 3)[0] != dealt(lengths, 3, epoch=1)[0]
    assert dealt(lengths, 3)[0] != dealt(lengths, 3, seed=1)[0]


def test_there_are_no_more_parts_than_members():
    assert sorted(map(len, dealt([2, 3], 5)[0])) == [2, 3]


def test_members_may_have_lost_rows():
    batch, member = numbered([2, 2, 2])
    kept = np.array([0, 4, 5])
    pieces = by_members(
        batch.rows(torch.from_numpy(kept)), member[kept], 2, np.random.default_rng(0)
    )
    rows = sorted(piece.advantage.int().tolist() for piece in pieces)
    assert rows == [[0], [4, 5]]


def test_rows_are_cut_into_equal_parts():
    batch, _ = numbered([10])
    pieces = by_rows(batch, 3, np.random.default_rng(0))
    assert [len(piece.weight) for piece in pieces] == [3, 3, 4]
    assert sorted(torch.cat([piece.advantage for piece in pieces]).tolist()) == list(range(10))
    assert pieces[0].member is None
