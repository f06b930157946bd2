import numpy as np
import pytest

from grpo_cli.returns import returns_to_go


def slowly(reward, member, gamma):
    """The definition, row by row from the end."""
    total = np.zeros(len(reward))
    for i in reversed(range(len(reward))):
        follows = i + 1 < len(reward) and member[i + 1] == member[i]
        total[i] = reward[i] + (gamma * total[i + 1] if follows else 0.0)
    return total


@pytest.mark.parametrize("gamma", [0.0, 0.9, 0.99, 1.0])
def test_equals_the_definition_on_ragged_members(gamma):
    noise = np.random.default_rng(0)
    length = np.array([1, 2, 3, 17, 64, 65, 1])
    member = np.repeat(np.arange(len(length)), length)
    reward = noise.normal(size=len(member))
    assert returns_to_go(reward, member, gamma) == pytest.approx(slowly(reward, member, gamma))


def test_members_that_did_the_same_are_bit_equal():
    noise = np.random.default_rng(1)
    rewards = noise.normal(size=100)
    member = np.repeat([0, 1, 2], [100, 37, 100])
    total = returns_to_go(np.concatenate([rewards, noise.normal(size=37), rewards]), member, 0.97)
    assert np.array_equal(total[:100], total[-100:])


def test_the_input_is_left_alone():
    reward = np.ones(4)
    returns_to_go(reward, np.zeros(4, dtype=int), 0.5)
    assert reward.tolist() == [1, 1, 1, 1]
