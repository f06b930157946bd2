"""Spaces as Hypothesis draws them, nested at most three deep."""

import numpy as np
from gymnasium import spaces
from hypothesis import strategies as st

shapes = st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple)
starts = st.integers(-3, 3)
names = st.text("abc", min_size=1, max_size=3)


def _box(shape, dtype):
    if np.issubdtype(dtype, np.integer):
        return spaces.Box(0, 255 if dtype == np.uint8 else 9, shape, dtype)
    return spaces.Box(-2.0, 3.0, shape, dtype)


boxes = st.builds(_box, shapes, st.sampled_from([np.float32, np.float64, np.uint8, np.int32]))
discretes = st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 5), starts)
multi_discretes = st.builds(
    lambda nvec, start: spaces.MultiDiscrete(nvec, start=[start] * len(nvec)),
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    starts,
)
multi_binaries = st.integers(1, 4).map(spaces.MultiBinary)
half_bounded = st.sampled_from(
    [
        spaces.Box(0.5, np.inf, (2,)),
        spaces.Box(-np.inf, 0.5, (1, 2)),
        spaces.Box(-np.inf, np.inf, (1, 1, 2)),
        spaces.Box(np.array([-1, -np.inf], np.float32), np.array([np.inf, 2], np.float32)),
    ]
)


def nested(leaves):
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple)
            | st.dictionaries(names, inner, min_size=1, max_size=3).map(spaces.Dict)
        ),
        max_leaves=5,
    )


observations = nested(boxes | discretes | multi_discretes | multi_binaries)
actions = nested(boxes | half_bounded | discretes | multi_discretes | multi_binaries)


def sampled(space, count, seed=0):
    """Elements of a space, as an environment would return them."""
    space.seed(seed)
    return [space.sample() for _ in range(count)]
