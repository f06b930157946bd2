"""What was said, token by token: the observations of policies that speak.

A row is a generated token, its observation all that came before it. The texts are kept once, and a
row is its place in one of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """Places of N tokens in S texts; indexed like the tensor [N, 2] of text and place.

    A text is the prompt of one turn and what was answered. Prompts and padding are no rows, so they
    are in no loss.
    """

    ids: Tensor  # [T], int64, the texts one after the other
    start: Tensor  # [S + 1], where in them each text begins; the last is T
    state: Tensor  # [S], int64, equal where the answer was given to the same observation
    index: Tensor  # [N, 2], int64, the text and the place in it

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: slice | Tensor) -> "Tokens":
        return self._at(self.index[rows])

    @property
    def shape(self) -> torch.Size:
        """Of the index, [N, 2]."""
        return self.index.shape

    def index_select(self, dim: int, rows: Tensor) -> "Tokens":
        """Choose rows; `dim` is 0."""
        return self._at(self.index.index_select(dim, rows))

    def to(self, device: torch.device) -> "Tokens":
        """Move to a device."""
        columns = (self.ids, self.start, self.state, self.index)
        return Tokens(*(column.to(device) for column in columns))

    def stacked(self) -> Tensor:
        """Return what tells states apart, [N, 1]."""
        return self.state[self.index[:, :1]]

    @property
    def turn(self) -> NDArray[np.int64]:
        """The text of each row, [N]: one turn of a conversation."""
        return self.index[:, 0].cpu().numpy()

    def _at(self, index: Tensor) -> "Tokens":
        return Tokens(self.ids, self.start, self.state, index)


def spoken(obs: object) -> Tokens:
    """Return observations that are words.

    Raises:
        TypeError: they are numbers.
    """
    if not isinstance(obs, Tokens):
        raise TypeError("a policy that speaks reads words")
    return obs


def join_tokens(parts: Sequence[Tokens]) -> Tokens:
    """Put the rows of several in one."""
    start, index, length, texts = [], [], 0, 0
    for part in parts:
        start.append(part.start[:-1] + length)
        index.append(part.index + torch.tensor([texts, 0]))
        length, texts = length + len(part.ids), texts + len(part.state)
    return Tokens(
        torch.cat([part.ids for part in parts]),
        torch.cat([*start, torch.tensor([length])]),
        torch.cat([part.state for part in parts]),
        torch.cat(index),
    )
