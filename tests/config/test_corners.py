"""What can be trained of a search space, and what becomes of the rest."""

import pytest
from omegaconf import OmegaConf

from grpo_cli.config.compose import compose_all
from grpo_cli.config.corners import Corners
from grpo_cli.config.search import space_of
from grpo_cli.errors import ConfigError

# A grid of eight, of which three cannot be trained: dapo drops groups, which windows have none
# of to drop, and no window has a greedy member.
HALF = ["preset=choice(dapo,rloo)", "advantage.baseline=loo,greedy", "group=episodes,windows"]


def corners_of(*words):
    fixed, space = space_of(["env=CartPole-v1", *words])
    return Corners(fixed, space, ()), space


def test_a_point_is_what_hydra_composes_of_it():
    corners, space = corners_of("lr=1e-3,${gamma}", "loss=clip", "env.kwargs.a=1,2,3")
    for number in (0, 5):  # the second shares what Hydra did for the first
        params = space.point(number)
        words = ["env=CartPole-v1", "loss=clip", *space.words(params)]
        composed = compose_all(words)
        found = corners.at(params)
        assert OmegaConf.to_yaml(found.cfg) == OmegaConf.to_yaml(composed.cfg)
        assert found.choices == composed.choices
        assert found.overrides == words


def test_an_impossible_combination_is_known_before():
    corners, space = corners_of(*HALF)
    corners.look()
    assert len(corners.trainable) >= 1
    [(params, why)] = corners.impossible
    assert params["group"] == "windows"
    assert "needs greedy members" in why
    assert sum(bool(corners.refused(space.point(n))) for n in range(space.size)) == 3


def test_a_value_that_goes_with_nothing_is_a_mistake():
    corners, _ = corners_of("group=episodes,windows", "group.horizon=50")
    with pytest.raises(ConfigError, match=r"group=windows: unknown key group.horizon"):
        corners.look()
    corners, _ = corners_of("lr=1e-3,0", "gamma=0.9,0.99")
    with pytest.raises(ConfigError, match=r"^lr must be a number, above 0, got 0$"):
        corners.look()
    corners, _ = corners_of("lr=-1,-2")
    with pytest.raises(ConfigError, match="above 0"):
        corners.look()
