import numpy as np
import pytest
from builders import make_rollout

from grpo_cli.advantages.entries import make_entries
from grpo_cli.advantages.fallbacks import FALLBACKS
from grpo_cli.advantages.settings import Level


@pytest.mark.parametrize("name", FALLBACKS)
def test_columns_at_once_are_as_each_alone_to_the_last_bit(name):
    noise = np.random.default_rng(0)
    rewards = [noise.normal(size=length).tolist() for length in noise.integers(1, 12, 12)]
    rollout = make_rollout(rewards, group=np.repeat(np.arange(3), 4).tolist())
    rows = len(rollout.reward)
    level = Level("return_to_go", "group_step", "loo", 1, [], "none", "none", 0.0, 0, 1.0)
    entries, _ = make_entries(rollout, rollout.reward, 1.0, level)
    columns, mean, count = noise.normal(size=(rows, 5)), np.full((rows, 5), 7.0), np.ones(rows)
    count[noise.random(rows) < 0.5] = 0

    together, found = FALLBACKS[name](rollout, entries, columns, mean, count, 1)
    for number in range(5):
        alone, served = FALLBACKS[name](
            rollout, entries, columns[:, number], mean[:, number], count, 1
        )
        assert together[:, number].tolist() == alone.tolist()
        assert found.tolist() == served.tolist()
    assert (together[count == 1] == 7).all()
    assert (together[count == 0] != 7).any()
