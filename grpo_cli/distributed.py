"""Several processes that train together: NCCL for GPUs, gloo or shared memory between CPUs.

Every rank calls the same methods in the same order; what would make them differ is decided on
rank 0, or exchanged first.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from grpo_cli.board import AWAKE, Board, offer, opened
from grpo_cli.errors import NonFinite, RankLost
from grpo_cli.ranks import Array, Moments, Ranks
from grpo_cli.rollout import Rollout
from grpo_cli.stop import Dropped
from grpo_cli.sums import bincount

T = TypeVar("T")

FINE, DROPPED, NON_FINITE = range(3)
NUMPY = frozenset({torch.float32, torch.float64, torch.int64, torch.uint8})
# A reduction's name for gloo and NCCL.
OPS = {
    np.add: dist.ReduceOp.SUM,
    np.maximum: dist.ReduceOp.MAX,
    np.minimum: dist.ReduceOp.MIN,
}


class World(Ranks):
    """Ranks in processes of their own.

    Args:
        rank: of this process.
        size: how many there are.

    Raises:
        RankLost: from every method, when another process has died or does not answer.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank = rank
        self.size = size
        self.local = int(os.environ.get("LOCAL_RANK", 0))
        self._waited = self._talked = 0.0
        self._board: Board | None = None

    def meet(self, timeout: float) -> None:
        """Share memory, where all ranks are on one computer; all are here, and can talk.

        Args:
            timeout: seconds after which a rank that does not answer hangs.
        """
        made = offer(self.size) if self.rank == 0 else None
        try:
            board = opened(self._told(made), self.rank, self.size, timeout)
            everybody = self._all_reduce(torch.tensor([float(board is not None)]), np.minimum)
        finally:
            if made:
                os.unlink(made)
        if everybody:
            self._board = board
        elif board:
            board.close()

    def part(self) -> None:
        """Go: to the others this rank has ended."""
        if self._board:
            self._board.close()
            self._board = None

    def span(self, count: int) -> tuple[int, int]:
        """Return how many all ranks have together, and how many those before this one have."""
        counts = self._counts(count)
        return sum(counts), sum(counts[: self.rank])

    def sum(self, value: NDArray) -> NDArray:
        """Add up an array of the same shape on every rank."""
        return self._reduced(value, np.add)

    def max(self, value: NDArray) -> NDArray:
        """Take the largest of each place of an array of the same shape on every rank."""
        return self._reduced(value, np.maximum)

    def sum_by(self, cell: NDArray, *weights: NDArray) -> list[NDArray]:
        """Sum weights [K] or [K, F] of all ranks by cell [K], numbers that mean the same to all."""
        size = int(self.max(np.array([cell.max(initial=-1)]))[0]) + 1
        sums = [bincount(cell, weight, size) for weight in weights]
        whole = self.sum(np.concatenate([each.ravel() for each in sums]))
        ends = np.cumsum([each.size for each in sums])[:-1]
        return [w.reshape(s.shape) for w, s in zip(np.split(whole, ends), sums, strict=True)]

    def any(self, flag: bool) -> bool:
        """Say whether it is true on any rank."""
        return bool(self.max(np.array([float(flag)]))[0])

    def whole(self, column: Array) -> tuple[Array, slice]:
        """Put the columns [K, ...] of all ranks in a row; returns also which part is one's own."""
        own = torch.as_tensor(column)
        total, first = self.span(len(own))
        mine = slice(first, first + len(own))
        joined = torch.zeros((total, *own.shape[1:]), dtype=own.dtype)
        joined[mine] = own
        with self._talk():  # to each place one rank adds what it has, the others 0
            self._all_reduce(joined, np.add)
        return (joined.to(own.device) if torch.is_tensor(column) else joined.numpy()), mine  # type: ignore[return-value]

    def mean(self, value: NDArray) -> Any:  # noqa: ANN401 - as there
        """Return the mean of what all ranks have, [K] or [K, F]; 0 where nobody has anything."""
        sums = self.sum(np.append(np.asfortranarray(value).sum(axis=0), len(value)))
        mean = sums[:-1] / max(sums[-1], 1)
        return mean if value.ndim > 1 else mean[0]

    def moments(self, *samples: NDArray) -> list[Moments]:
        """Describe samples [K], each with what the other ranks have of it."""
        return self._pooled(super().moments(*samples))

    def pooled(self, moments: Moments) -> Moments:
        """Pool the moments of a sample with those of the other ranks."""
        arrays = (torch.as_tensor(x).cpu().numpy() for x in (moments.mean, moments.squares))
        return self._pooled([Moments(moments.count, *arrays)])[0]

    def _pooled(self, samples: list[Moments]) -> list[Moments]:
        """Pool each sample's moments (Chan et al. 1983): two sums for all of them."""
        count = self.sum(np.array([float(sample.count) for sample in samples]))
        total = self._each([sample.count * np.asarray(sample.mean) for sample in samples])
        mean = [t / max(c, 1.0) for t, c in zip(total, count, strict=True)]
        columns = list(zip(samples, mean, strict=True))
        squares = self._each(
            [s.squares + s.count * (np.asarray(s.mean) - m) ** 2 for s, m in columns]
        )
        return list(map(Moments, count.tolist(), mean, squares))

    def decide(self, value: T) -> T:
        """Return what rank 0 said."""
        with self._talk():
            return self._told(value)

    def together(self, work: Callable[[], T]) -> T:
        """Do what may end on one rank alone; it then ends on all of them in the same way."""
        state, done, error = FINE, None, None
        try:
            done = work()
        except Dropped:
            state = DROPPED
        except NonFinite as found:
            state, error = NON_FINITE, found
        began = time.perf_counter()
        worst = self._all_reduce(torch.tensor([float(state)]), np.maximum)
        self._waited += time.perf_counter() - began
        if worst == DROPPED:
            raise Dropped
        if worst == NON_FINITE:
            first = self._all_reduce(
                torch.tensor([float(self.rank if state == NON_FINITE else self.size)]),
                np.minimum,
            )
            what, fix = self._told((error.what, error.fix) if error else ("", ""), int(first))
            sampled = done if isinstance(done, Rollout) else None
            raise NonFinite(what, fix, error.rollout if error else sampled)
        return done  # type: ignore[return-value]

    def add(self, *tensors: torch.Tensor) -> Sequence[torch.Tensor]:
        """Add up tensors of the same shapes on every rank, without gradient, in one go."""
        with self._talk():
            flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
            parts = self._all_reduce(flat, np.add).split([t.numel() for t in tensors])
        return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]

    def add_gradients(self, gradients: Sequence[torch.Tensor]) -> None:
        """Add up the gradients of all ranks, in place."""
        torch._foreach_copy_(list(gradients), list(self.add(*gradients)))

    def times(self) -> dict[str, float]:
        """Return metrics of the time spent on one another since the last call."""
        spent = self.sum(np.array([self._waited, self._talked])) / self.size
        self._waited = self._talked = 0.0
        return {"time/wait_s": float(spent[0]), "time/exchange_s": float(spent[1])}

    def _counts(self, count: int) -> list[int]:
        counts = np.zeros(self.size)
        counts[self.rank] = count
        return [int(number) for number in self.sum(counts)]

    def _each(self, values: list[NDArray]) -> list[NDArray]:
        """Add up several arrays in one go."""
        flat = self.sum(np.concatenate([np.ravel(value) for value in values]))
        edges = np.cumsum([np.size(value) for value in values])[:-1]
        parts = np.split(flat, edges)
        return [part.reshape(np.shape(v))[()] for part, v in zip(parts, values, strict=True)]

    def _reduced(self, value: NDArray, how: np.ufunc) -> NDArray:
        with self._talk():
            return self._all_reduce(torch.tensor(value, dtype=torch.float64), how).numpy()

    @contextmanager
    def _talk(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self._talked += time.perf_counter() - began

    # All that is asked of torch.distributed, and of the board.

    def _all_reduce(self, value: torch.Tensor, how: np.ufunc) -> torch.Tensor:
        """Reduce a contiguous tensor, in place."""
        with lost(self):
            if self._board and value.device.type == "cpu" and value.dtype in NUMPY:
                self._board.reduce(value.view(-1).numpy(), how)
                return value
            work = dist.all_reduce(value, OPS[how], async_op=value.device.type == "cpu")
            if work is not None:
                until = time.perf_counter() + AWAKE
                while not work.is_completed() and time.perf_counter() < until:
                    os.sched_yield()
                work.wait()
        return value

    def _told(self, value: T, source: int = 0) -> T:
        said = [value if self.rank == source else None]
        with lost(self):
            dist.broadcast_object_list(said, src=source)
        return said[0]  # type: ignore[return-value]


@contextmanager
def lost(world: World) -> Iterator[None]:
    """Say in words that another rank is gone."""
    try:
        yield
    except RuntimeError as error:
        raise RankLost(
            f"process {world.rank} of {world.size} lost another one, which ended or hangs",
            "see above for its error; grpo train resume=last goes on from the last checkpoint",
        ) from error
