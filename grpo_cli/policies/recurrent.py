"""A body that remembers: an encoder of what is seen, then a recurrent cell."""

from collections.abc import Sequence

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from grpo_cli.policies.auto import auto
from grpo_cli.policies.flat import example
from grpo_cli.rollout import Obs

CELLS = {"gru": nn.GRU, "lstm": nn.LSTM}


class Recurrent(nn.Module):
    """Features of what is seen, and of all that was seen before.

    Args:
        encoder: observations [B, *O] -> features [B, F].
        num_features: F.
        cell: lstm | gru.
        size: numbers that the cell gives, H.
    """

    def __init__(self, encoder: nn.Module, num_features: int, cell: str, size: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.cell = CELLS[cell](num_features, size, batch_first=True)
        self._parts = 2 if cell == "lstm" else 1
        self.memory_size = size * self._parts

    def forward(self, obs: Obs, lengths: Sequence[int]) -> Tensor:
        """Read whole members from their starts.

        Args:
            obs: [B, *O], ordered by member, then time.
            lengths: rows of each member; their sum is B.

        Returns:
            Features, [B, H].
        """
        rows = self.encoder(obs)
        size = np.asarray(lengths)
        longest, before = int(size.max()), np.cumsum(size) - size
        # Counted here: a mask would make the host wait for the number of its entries.
        padding = np.repeat(np.arange(len(size)) * longest - before, size)
        place = torch.from_numpy(np.arange(len(padding)) + padding).to(rows.device)
        # Padded, not packed: a tenth of the time for an LSTM on the CPU (oneDNN).
        padded = rows.new_zeros((len(size) * longest, rows.shape[1])).index_copy(0, place, rows)
        features, _ = self.cell(padded.view(len(size), longest, -1))
        return features.flatten(0, 1).index_select(0, place)

    def step(self, obs: Obs, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Read one more observation of each of B members.

        Args:
            obs: [B, *O].
            memory: what they remember, [B, memory_size].

        Returns:
            Features [B, H], and what they remember now.
        """
        before = [part.contiguous()[None] for part in memory.chunk(self._parts, dim=1)]
        state = tuple(before) if self._parts > 1 else before[0]
        features, after = self.cell(self.encoder(obs)[:, None], state)
        parts = after if isinstance(after, tuple) else (after,)
        return features[:, 0], torch.cat([part[0] for part in parts], dim=1)


def recurrent(
    space: spaces.Space,
    *,
    cell: str = "lstm",
    size: int = 64,
    hidden: Sequence[int] = (64,),
    activation: str = "tanh",
) -> nn.Module:
    """Build the body.

    Sources: Cho et al. 2014 (GRU, arXiv:1406.1078); Hochreiter and Schmidhuber 1997 (LSTM).

    Args:
        space: of the observations; images and entries get the encoders that `auto` gives them.
        cell: lstm (on the CPU the cheaper one by far) | gru.
        size: numbers that the cell gives.
        hidden: width of each layer before the cell.
        activation: tanh | relu | silu.

    Raises:
        ConfigError: no layer, a width below 1, or an unknown activation.
    """
    encoder = auto(space, hidden=hidden, activation=activation)
    with torch.inference_mode():
        width = encoder(example(space)).shape[1]
    return Recurrent(encoder, width, cell, size)
