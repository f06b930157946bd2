"""Ranks that live in threads of one process: `World`, but for what it asks of torch.distributed."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from grpo_cli.distributed import World

T = TypeVar("T")


class Room:
    """Where ranks meet: each brings something, and takes along what all have brought."""

    def __init__(self, size: int):
        self.barrier = threading.Barrier(size, timeout=20)
        self.table: list[Any] = [None] * size

    def exchange(self, rank: int, value: Any) -> list[Any]:
        self.table[rank] = value
        self.barrier.wait()
        found = list(self.table)
        self.barrier.wait()
        return found


class Threads(World):
    def __init__(self, rank: int, size: int, room: Room):
        super().__init__(rank, size)
        self.room = room

    def _all_reduce(self, value, how):
        shapes = {tuple(part.shape) for part in self.room.exchange(self.rank, value)}
        assert len(shapes) == 1, f"ranks differ: {shapes}"
        parts = torch.stack(self.room.exchange(self.rank, value.clone()))
        value.copy_(torch.as_tensor(how.reduce(parts.numpy(), axis=0)))
        return value

    def _told(self, value, source=0):
        return self.room.exchange(self.rank, value)[source]


def in_threads(size: int, work: Callable[[World], T]) -> list[T]:
    """Let `size` ranks do the same; returns what each did, or raises what one of them did."""
    room, done, errors = Room(size), [None] * size, []

    def run(rank: int) -> None:
        try:
            done[rank] = work(Threads(rank, size, room))
        except BaseException as error:
            errors.append(error)
            room.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    broken = threading.BrokenBarrierError
    for error in sorted(errors, key=lambda error: isinstance(error, broken)):
        raise error
    return done
