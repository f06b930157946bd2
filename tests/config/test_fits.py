from dataclasses import replace

import pytest
from builders import cartpole

from grpo_cli.config import fits

WORDS = {"num_groups": 2, "group_size": 8, "total_steps": 2_000, "group": {"name": "episodes"}}


@pytest.mark.parametrize(
    ("source", "words", "warns"),
    [
        ({"endless": True, "max_steps": 10_000}, {}, True),
        ({"endless": True, "max_steps": 10_000}, {"total_steps": 160_000}, False),
        ({"endless": True, "max_steps": 10_000}, {"group": {"name": "windows"}}, False),
        (
            {"endless": True, "max_steps": 10_000},
            {"group": {"name": "episodes", "horizon": 50}},
            False,
        ),
        ({"max_steps": 10_000}, {}, False),  # somebody said so
    ],
)
def test_an_update_that_may_be_longer_than_the_run_is_told_of(source, words, warns):
    said = fits.check_length({**WORDS, **words}, replace(cartpole(), **source))
    assert said.startswith("16 members may play 10,000 steps each: one update of") == warns
