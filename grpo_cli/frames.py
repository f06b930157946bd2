"""Stacked observations whose frames are kept once.

An environment that shows its last K frames shows each of them K times. Here rows hold the places
of their frames; a batch is stacked when a policy reads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MOST = 16  # frames in a stack
SMALLEST = 16  # pixels a side, below which numbers take more room than frames


@dataclass(frozen=True)
class Frames:
    """N observations of K frames each; it is indexed like the tensor [N, K, *F] it stands for."""

    frames: Tensor  # [number of frames, *F]
    index: Tensor  # [N, K], int64

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: slice | Tensor) -> "Frames":
        return Frames(self.frames, self.index[rows])

    @property
    def shape(self) -> torch.Size:
        """Of the tensor it stands for, [N, K, *F]."""
        return torch.Size((*self.index.shape, *self.frames.shape[1:]))

    def index_select(self, dim: int, rows: Tensor) -> "Frames":
        """Choose rows; `dim` is 0."""
        return Frames(self.frames, self.index.index_select(dim, rows))

    def to(self, device: torch.device) -> "Frames":
        """Move to a device."""
        return Frames(self.frames.to(device), self.index.to(device))

    def stacked(self) -> Tensor:
        """Return the tensor it stands for, [N, K, *F]."""
        return self.frames[self.index]


class Stacks:
    """Takes stacked observations round by round, and keeps of each what was not there before."""

    def __init__(self) -> None:
        self._frames: list[NDArray] = []
        self._count = 0
        self._member = np.zeros(0, dtype=np.int64)  # of the round before, [B]
        self._obs: NDArray | None = None  # [B, K, *F]
        self._number = self._member  # [B, K]

    @staticmethod
    def fit(obs: NDArray) -> bool:
        """Say whether observations [B, *O] may be stacks of images."""
        return obs.ndim >= 4 and 2 <= obs.shape[1] <= MOST and min(obs.shape[2:4]) >= SMALLEST

    def keep(self, member: NDArray[np.int64], obs: NDArray) -> NDArray[np.int64]:
        """Take one round.

        Args:
            member: who saw it, [B].
            obs: [B, K, *F], the newest frame last.

        Returns:
            Numbers of the frames, [B, K].
        """
        number = np.empty(obs.shape[:2], dtype=np.int64)
        goes_on = np.zeros(len(member), dtype=bool)
        if self._obs is not None:
            place = {int(one): at for at, one in enumerate(self._member)}
            before = np.array([place.get(int(one), -1) for one in member])
            known = np.flatnonzero(before >= 0)
            last, axes = self._obs[before[known], 1:], tuple(range(1, obs.ndim))
            goes_on[known] = (obs[known, :-1] == last).all(axis=axes)
            number[goes_on, :-1] = self._number[before[goes_on], 1:]
            number[goes_on, -1] = self._add(obs[goes_on, -1])
        starts = obs[~goes_on]
        number[~goes_on] = self._add(starts.reshape(-1, *obs.shape[2:])).reshape(starts.shape[:2])
        self._member, self._obs, self._number = member, obs, number
        return number

    def frames(self) -> Tensor:
        """Return all frames by number."""
        return torch.from_numpy(np.concatenate(self._frames))

    def _add(self, frames: NDArray) -> NDArray[np.int64]:
        self._frames.append(frames)
        self._count += len(frames)
        return np.arange(self._count - len(frames), self._count)


def join_frames(parts: Sequence[Frames]) -> Frames:
    """Put the rows of several in one."""
    start, moved = 0, []
    for part in parts:
        moved.append(part.index + start)
        start += len(part.frames)
    return Frames(torch.cat([part.frames for part in parts]), torch.cat(moved))
