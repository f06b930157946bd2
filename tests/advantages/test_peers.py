import numpy as np
import pytest

from grpo_cli.advantages import peer_stats
from grpo_cli.advantages.peers import has_spread


def test_by_hand():
    value = np.array([1.0, 2.0, 6.0, 5.0])
    stats = peer_stats(value, np.array([7, 7, 7, -1]))
    assert stats.mean.tolist() == [4.0, 3.5, 1.5, 0.0]  # (2+6)/2, (1+6)/2, (1+2)/2, nobody
    assert stats.count.tolist() == [2, 2, 2, 0]


def test_entries_of_one_owner_are_no_peers():
    value = np.array([1.0, 3.0, 10.0, 20.0])
    stats = peer_stats(value, np.zeros(4, dtype=int), owner=np.array([0, 0, 1, 2]))
    assert stats.mean == pytest.approx([15, 15, 8, 14 / 3])  # (10+20)/2, same, (1+3+20)/3, ...
    assert stats.count.tolist() == [2, 2, 3, 3]


def test_weights_count_as_so_many_entries():
    value, weight = np.array([1.0, 2.0, 4.0]), np.array([1.0, 1.0, 3.0])
    stats = peer_stats(value, np.zeros(3, dtype=int), weight=weight)
    assert stats.mean == pytest.approx([14 / 4, 13 / 4, 1.5])
    assert stats.count == pytest.approx([4, 4, 2])


def test_agrees_with_the_definition_on_random_keys():
    noise = np.random.default_rng(0)
    value, key = noise.normal(1e4, 1, 200), noise.integers(12, size=200)
    owner = noise.integers(30, size=200)
    stats = peer_stats(value, key, owner)
    for i in range(200):
        peers = value[(key == key[i]) & (owner != owner[i])]
        assert stats.count[i] == len(peers)
        assert stats.mean[i] == pytest.approx(peers.mean() if len(peers) else 0, abs=1e-9)


@pytest.mark.parametrize("owned", [False, True])
def test_columns_at_once_are_as_each_alone_to_the_last_bit(owned):
    noise = np.random.default_rng(0)
    columns, key = noise.normal(1e4, 1, (300, 5)), noise.integers(12, size=300)
    owner = noise.integers(30, size=300) if owned else None
    together = peer_stats(columns, key, owner)
    apart = [peer_stats(column, key, owner) for column in columns.T]
    assert together.count.tolist() == apart[0].count.tolist()
    assert together.mean.T.tolist() == [stats.mean.tolist() for stats in apart]


def test_spread_is_exact():
    value = np.array([0.1 + 0.2, 0.3, 0.5, 0.5, 9.0])
    assert has_spread(value, np.array([0, 0, 1, 1, 2])).tolist() == [
        True,
        True,
        False,
        False,
        False,
    ]
