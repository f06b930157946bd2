"""Random spaces, nested two deep, of all kinds that policies know."""

import numpy as np
from gymnasium import spaces


def some_space(rng, depth=2):
    """Draw a space."""
    kinds = [_box, _discrete, _multi_discrete, _multi_binary] + [_dict, _tuple] * bool(depth)
    return kinds[rng.integers(len(kinds))](rng, depth)


def _shape(rng, least=0):
    return tuple(int(size) for size in rng.integers(1, 4, rng.integers(least, 4)))


def _box(rng, _):
    shape, dtype = _shape(rng), rng.choice([np.uint8, np.int32, np.float32, np.float64])
    if np.issubdtype(dtype, np.integer):
        return spaces.Box(rng.integers(0, 9, shape), rng.integers(9, 99, shape), shape, dtype)
    low, high = rng.normal(-9, 1, shape), rng.normal(9, 1, shape)
    some = rng.random((2, *shape)) < 0.2
    bounds = np.where(some[0], -np.inf, low), np.where(some[1], np.inf, high)
    return spaces.Box(bounds[0].astype(dtype), bounds[1].astype(dtype), shape, dtype)


def _discrete(rng, _):
    return spaces.Discrete(int(rng.integers(1, 5)), start=int(rng.integers(-3, 4)))


def _multi_discrete(rng, _):
    shape = _shape(rng, least=1)
    start = rng.integers(-3, 4, shape)
    return spaces.MultiDiscrete(rng.integers(1, 5, shape), start=start)


def _multi_binary(rng, _):
    shape = _shape(rng, least=1)
    return spaces.MultiBinary(shape if len(shape) > 1 or rng.random() < 0.5 else shape[0])


def _dict(rng, depth):
    keys = rng.permutation(["a", "b", "z"])[: rng.integers(1, 4)].tolist() + [3][: rng.integers(2)]
    return spaces.Dict([(key, some_space(rng, depth - 1)) for key in keys])


def _tuple(rng, depth):
    return spaces.Tuple([some_space(rng, depth - 1) for _ in range(rng.integers(1, 4))])
