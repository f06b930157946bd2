"""Observations of every space as rows."""

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import concatenate, create_empty_array
from some_spaces import some_space

from grpo_cli.errors import ConfigError
from grpo_cli.observations import Observations

IMAGE = spaces.Box(0, 255, (6, 8, 3), np.uint8)
PAIR = spaces.Dict({"image": IMAGE, "side": spaces.Discrete(4, start=-1)})


@pytest.mark.parametrize("number", range(40))
def test_one_or_many_are_the_rows_of_the_environment_s_own(number):
    space = some_space(np.random.default_rng(number))
    space.seed(number)
    samples = [space.sample() for _ in range(3)]
    reader = Observations(space)
    for sample in samples:
        rows, one = reader.batch(sample)
        assert one
        np.testing.assert_array_equal(rows, reader.stack([sample]))
    # Gymnasium's own way to put observations side by side.
    many = concatenate(space, samples, create_empty_array(space, 3))
    rows, one = reader.batch(many)
    assert not one
    np.testing.assert_array_equal(rows, reader.stack(samples))


def test_images_with_their_channels_at_the_other_end():
    image = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    first = np.transpose(image, (2, 0, 1))
    for space, own, other in ((IMAGE, image, first), (_space(first), first, image)):
        reader = Observations(space)
        for shown in (own, other):
            rows, one = reader.batch(shown)
            assert one
            np.testing.assert_array_equal(rows, own[None])
            rows, one = reader.batch(np.stack([shown, shown]))
            assert not one
            np.testing.assert_array_equal(rows, np.stack([own, own]))


def _space(image):
    return spaces.Box(0, 255, image.shape, np.uint8)


def test_numbers_that_are_no_images_are_not_turned():
    reader = Observations(spaces.Box(0, 1, (6, 8, 3), np.float32))
    with pytest.raises(ConfigError, match=r"\(3, 6, 8\)"):
        reader.batch(np.zeros((3, 6, 8)))


@pytest.mark.parametrize(
    ("shown", "what"),
    [
        ({"image": np.zeros((6, 8, 3))}, "entry side was not given"),
        (np.zeros(3), "entry image was not given"),
        ({"image": np.zeros((6, 8)), "side": 0}, r"shape \(6, 8\) was given"),
        ({"image": [[1], [1, 2]], "side": 0}, "no array"),
        ({"image": np.zeros((6, 8, 3)), "side": 3}, "3, which is not in Discrete"),
        ({"image": np.zeros((6, 8, 3)), "side": "left"}, "no Discrete"),
        ({"image": np.zeros((2, 6, 8, 3)), "side": 0}, "image: 2, side: one"),
        ({"image": np.zeros((2, 6, 8, 3)), "side": [0, 1, 0]}, "image: 2, side: 3"),
    ],
)
def test_what_is_no_observation(shown, what):
    with pytest.raises(ConfigError, match=what):
        Observations(PAIR).batch(shown)
