"""What a saved model says of its spaces."""

import json

import numpy as np
import pytest
from any_space import actions
from gymnasium import spaces
from gymnasium.utils.env_checker import data_equivalence
from hypothesis import given

from grpo_cli.api.archive import space_of, space_words
from grpo_cli.errors import CheckpointError, ConfigError


@given(actions)
def test_every_space_comes_back(space):
    text = json.dumps(space_words(space))
    again = space_of(json.loads(text))
    assert again == space  # where a Box is concerned, about
    assert json.dumps(space_words(again)) == text  # the order of a Dict's entries too
    space.seed(0)
    again.seed(0)
    assert data_equivalence(again.sample(), space.sample(), exact=True)


def test_an_image_takes_no_page():
    image = spaces.Box(0, 255, (84, 84, 4), np.uint8)
    assert len(json.dumps(space_words(image))) < 100


def test_spaces_that_cannot_be_saved():
    with pytest.raises(ConfigError, match="cannot be saved"):
        space_words(spaces.Text(3))
    with pytest.raises(ConfigError, match="cannot be saved"):
        space_words(spaces.Dict({("a", 1): spaces.Discrete(2)}))
    with pytest.raises(CheckpointError, match="unknown space, Graph"):
        space_of({"kind": "Graph"})
