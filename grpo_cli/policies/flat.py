"""Observations of any space as rows of numbers, in torch and in NumPy."""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from grpo_cli.observations import entries
from grpo_cli.rollout import Obs

BYTE = 255.0


class Flat:
    """Put all entries of an observation in a row of numbers.

    A choice among n becomes n numbers, one of them 1. Bytes become numbers in [0, 1]; other numbers
    stay as they are.

    Args:
        space: of the observations.
    """

    def __init__(self, space: spaces.Space) -> None:
        self._entries = entries(space)
        self._plain = next(iter(self._entries.values())) if "" in self._entries else None

    @property
    def width(self) -> int:
        """Numbers of one observation, F."""
        return sum(_width(space) for space in self._entries.values())

    def __call__(self, obs: Any) -> Tensor:  # noqa: ANN401 - `Obs`, or those a normaliser made
        """[B, *O] -> [B, F], float32."""
        if self._plain is not None:
            return _torch(self._plain, obs)
        return torch.cat([_torch(space, obs[path]) for path, space in self._entries.items()], dim=1)

    def numpy(self, obs: Any) -> NDArray[np.float32]:  # noqa: ANN401 - arrays, or by path
        """[B, *O] -> [B, F]."""
        if self._plain is not None:
            return _numpy(self._plain, obs)
        parts = [_numpy(space, obs[path]) for path, space in self._entries.items()]
        return np.concatenate(parts, axis=1)


def _torch(space: spaces.Space, value: Tensor) -> Tensor:
    sizes, count = choices(space), value.shape[0]  # not len(): an exporter would make it a number
    if sizes is not None:
        index = value - torch.as_tensor(space.start, device=value.device)  # type: ignore[attr-defined]
        index = index.reshape(count, -1).long()
        columns = zip(index.unbind(1), sizes, strict=True)
        ones = [torch.nn.functional.one_hot(column, size) for column, size in columns]
        return torch.cat(ones, dim=1).float() if len(ones) > 1 else ones[0].float()
    rows = value.reshape(count, -1)
    return rows.float() / BYTE if rows.dtype == torch.uint8 else rows.float()


def _numpy(space: spaces.Space, value: NDArray) -> NDArray[np.float32]:
    sizes = choices(space)
    rows = value.reshape(len(value), -1)
    if sizes is not None:
        index = rows - np.ravel(space.start)  # type: ignore[attr-defined]
        offset = np.cumsum([0, *sizes[:-1]])
        ones = np.zeros((len(rows), sum(sizes)), dtype=np.float32)
        np.put_along_axis(ones, index + offset, 1.0, axis=1)
        return ones
    out = rows.astype(np.float32, copy=False)
    return out / np.float32(BYTE) if rows.dtype == np.uint8 else out


def _width(space: spaces.Space) -> int:
    sizes = choices(space)
    return int(np.prod(space.shape or ())) if sizes is None else sum(sizes)


def choices(space: spaces.Space) -> list[int] | None:
    """Return the sizes of the choices that a space consists of, or None."""
    if isinstance(space, spaces.Discrete):
        return [int(space.n)]
    if isinstance(space, spaces.MultiDiscrete):
        return space.nvec.ravel().tolist()
    return None


def example(space: spaces.Space) -> Obs:
    """Return one observation of zeros, or of the first choices, as torch sees it."""
    found = {
        path: torch.as_tensor(np.zeros(s.shape or (), s.dtype) + getattr(s, "start", 0))[None]
        for path, s in entries(space).items()
    }
    return found.get("", found)
