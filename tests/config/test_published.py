"""What an environment's file leaves alone: advantages, losses and groups as they were published."""

import pytest

from grpo_cli.config.compose import compose, compose_all
from grpo_cli.config.origins import origins


@pytest.mark.parametrize(
    ("words", "scale", "origin"),
    [
        ([], "none", "conf/env/LunarLander-v3.yaml"),
        (["advantage=bin"], "none", "conf/env/LunarLander-v3.yaml"),
        (["advantage=time_aligned"], "batch", "conf/advantage/time_aligned.yaml"),
        (["advantage=outcome"], "group", "conf/advantage/outcome.yaml"),
        (["preset=textbook"], "group", "conf/advantage/outcome.yaml"),
        (["preset=lite_ppo"], "batch_value", "conf/advantage/lite_ppo.yaml"),
        (["advantage=outcome", "advantage.scale=timestep"], "timestep", "command line"),
    ],
)
def test_an_environments_file_does_not_change_what_was_published(words, scale, origin):
    """LunarLander's file divides by nothing, which it was tuned with."""
    composed = compose_all(["env=LunarLander-v3", *words])
    assert composed.cfg.advantage.scale == scale
    assert origins(composed)["advantage.scale"] == origin


def test_a_preset_has_its_own_cells_where_the_file_has_cells_too():
    tuned = compose(["env=LunarLander-v3"]).advantage
    published = compose(["env=LunarLander-v3", "preset=gpg_grid"]).advantage
    assert tuned.key == published.key == "bin"
    assert (tuned.bin_size, tuned.min_peers) == (0.25, 16)
    assert (published.bin_size, published.min_peers) == (0.1, 1)


def test_published_groups_start_together():
    """CartPole's file lets members start apart."""
    assert not compose(["env=CartPole-v1"]).group.same_start
    assert not compose(["env=CartPole-v1", "advantage.adjust=linear"]).group.same_start
    assert compose(["env=CartPole-v1", "advantage=outcome"]).group.same_start
    assert compose(["env=CartPole-v1", "preset=remax"]).group.same_start
    assert not compose(
        ["env=CartPole-v1", "preset=rloo", "group.same_start=false"]
    ).group.same_start
