"""What environments show: observations of any space as rows of one NumPy array.

A Dict or Tuple becomes a record with one field for each entry, named by its path such as `a.0.b`.
So a batch of the most complicated observations is indexed, joined and kept like one of vectors;
torch sees a dict of tensors by path (`rollout.tensors`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from grpo_cli.errors import ConfigError

MASK, INNER = "action_mask", "observation"
READABLE = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
# Torch can hold these, but can do little with them.
WIDER = {"uint16": np.int32, "uint32": np.int64, "uint64": np.int64}


def entries(space: spaces.Space) -> dict[str, spaces.Space]:
    """Return the spaces of all entries by path; of a space without entries itself, under ""."""
    return {".".join(keys): found for keys, found in _leaves(space)}


def _leaves(
    space: spaces.Space, keys: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], spaces.Space]]:
    if isinstance(space, spaces.Dict | spaces.Tuple):
        for key, inner in _children(space):
            yield from _leaves(inner, (*keys, str(key)))
    else:
        yield keys, space


def _children(space: spaces.Dict | spaces.Tuple) -> Iterator[tuple[Any, spaces.Space]]:
    yield from space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)


class Observations:
    """The observations of a space as rows.

    Args:
        space: Box, Discrete, MultiDiscrete, MultiBinary, or Dict and Tuple of them, nested.

    Raises:
        ConfigError: the space has an entry of another kind.
    """

    def __init__(self, space: spaces.Space) -> None:
        self.space = space
        self.entries = entries(space)
        for path, leaf in self.entries.items():
            _check(path, leaf)
        if len(self.entries) < len(list(_leaves(space))):
            raise ConfigError(
                "two entries of the observation have the same path",
                "rename the key that contains a dot",
            )
        self._plain = not isinstance(space, spaces.Dict | spaces.Tuple)
        fields = [(path, _dtype(leaf), leaf.shape) for path, leaf in self.entries.items()]
        self.dtype = _dtype(space) if self._plain else np.dtype(fields)

    @property
    def row_bytes(self) -> int:
        """Bytes of one observation."""
        return self.dtype.itemsize * (int(np.prod(self.space.shape or ())) if self._plain else 1)

    def stack(self, seen: Sequence[Any]) -> NDArray:
        """Put B observations, as the environment gave them, into rows, [B, *O] or [B] records.

        Raises:
            ValueError: one of them is not in the space; says how.
        """
        if self._plain:
            return _stacked("an observation", self.space, self.dtype, seen)
        rows = np.empty(len(seen), self.dtype)
        for keys, space in _leaves(self.space):
            path = ".".join(keys)
            name = f"an observation's entry {path}"
            try:
                found = [_dig(self.space, one, keys) for one in seen]
            except (KeyError, IndexError, TypeError) as error:
                raise ValueError(f"an observation without the entry {path}") from error
            rows[path] = _stacked(name, space, _dtype(space), found)
        return rows


def _dig(space: spaces.Space, value: Any, keys: Sequence[str]) -> Any:  # noqa: ANN401 - any entry
    for key in keys:
        if isinstance(space, spaces.Tuple):
            value, space = value[int(key)], space.spaces[int(key)]
        elif isinstance(space, spaces.Dict):
            # Keys need not be texts.
            name = key if key in space.spaces else next(k for k in space.spaces if str(k) == key)
            value, space = value[name], space.spaces[name]
    return value


def _stacked(name: str, space: spaces.Space, dtype: np.dtype, seen: Sequence[Any]) -> NDArray:
    try:
        rows = np.array(seen, dtype=dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{name} that is no {space}: {error}") from error
    if rows.shape[1:] != space.shape:
        raise ValueError(f"{name} of shape {rows.shape[1:]}, declared is {space.shape}")
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        sizes = space.n if isinstance(space, spaces.Discrete) else space.nvec
        outside = (rows < space.start) | (rows >= space.start + sizes)
        if outside.any():
            raise ValueError(f"{name} {rows[outside][0]}, which is not in {space}")
    return rows


def _dtype(space: spaces.Space) -> np.dtype:
    dtype = np.dtype(space.dtype)
    return np.dtype(WIDER.get(dtype.name, dtype))


def _check(path: str, space: spaces.Space) -> None:
    if isinstance(space, READABLE) and not np.issubdtype(space.dtype, np.complexfloating):
        return
    where = f"the observation's entry {path} is" if path else "observations are"
    what = "leave the entry out" if path else "turn it into numbers"
    raise ConfigError(
        f"{where} of kind {type(space).__name__}, which policies cannot read",
        f"{what} by a wrapper, such as gymnasium.wrappers.FilterObservation: env.wrappers=[...]",
    )


@dataclass(frozen=True)
class Reading:
    """What a policy reads of an observation that also says which actions are allowed.

    Attributes:
        paths: path in the observation, and in what is read, of every entry that is read; None: all
            of it, as it is.
        masked: it has an entry `action_mask`, nonzero for every allowed action.
    """

    paths: Mapping[str, str] | None = None
    masked: bool = False

    def of(self, obs: Any) -> Any:  # noqa: ANN401 - a dict of tensors or a record of arrays
        """Return what is read of observations."""
        if self.paths is None:
            return obs
        if "" in self.paths.values():
            return obs[next(iter(self.paths))]
        return {inner: obs[outer] for outer, inner in self.paths.items()}


def find_mask(space: spaces.Space, choices: int) -> tuple[spaces.Space, Reading]:
    """Tell the mask in a space of observations from what is read.

    Where nothing but `observation` is left beside it, that alone is read, without a Dict around it.

    Args:
        space: of the observations.
        choices: entries of a mask of the actions; 0 where they cannot be masked.
    """
    if not isinstance(space, spaces.Dict) or len(space.spaces) == 1 or MASK not in space.spaces:
        return space, Reading()
    if not choices or space.spaces[MASK].shape != (choices,):
        return space, Reading()
    rest = {key: inner for key, inner in space.spaces.items() if key != MASK}
    paths = {path: path for path in entries(space) if path != MASK}
    if set(rest) != {INNER}:
        return spaces.Dict(rest), Reading(paths, masked=True)
    within = {path: path.removeprefix(INNER).removeprefix(".") for path in paths}
    return rest[INNER], Reading(within, masked=True)
