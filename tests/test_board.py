"""Memory that processes share: real processes, which also die."""

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from grpo_cli import board
from grpo_cli.board import PART, Board, offer, opened

SPAWN = multiprocessing.get_context("spawn")
# Nothing, one number, less than a part, more than two.
LENGTHS = (0, 1, 5000, 5 * PART // 16 + 3)
TYPES = (np.float32, np.float64, np.int64, np.uint8)


def drawn(rank, length, dtype):
    return (20 * np.random.default_rng([rank, length]).random(length)).astype(dtype)


def reduces(path, rank, size, queue, here):
    own = Board(path, rank, size, timeout=20)
    here.wait(30)
    found = []
    for length in LENGTHS:
        for dtype in TYPES:
            for how in (np.add, np.maximum, np.minimum):
                values = drawn(rank, length, dtype)
                if rank == length % size:
                    time.sleep(0.01)  # longer than others stay awake
                own.reduce(values, how)
                found.append(values.tobytes())
    queue.put((rank, found))


@pytest.fixture
def path():
    place = offer(3)
    if place is None:
        pytest.skip("no memory that processes could share")
    yield place
    os.unlink(place)


@pytest.mark.parametrize("size", [2, 3])
def test_all_ranks_get_what_all_have_written(path, size):
    queue, here = SPAWN.Queue(), SPAWN.Barrier(size)
    others = [
        SPAWN.Process(target=reduces, args=(path, rank, size, queue, here))
        for rank in range(1, size)
    ]
    for process in others:
        process.start()
    reduces(path, 0, size, queue, here)
    found = dict(queue.get(timeout=30) for _ in range(size))
    for process in others:
        process.join()
    wanted = [
        how.reduce([drawn(rank, length, dtype) for rank in range(size)], 0, dtype).tobytes()
        for length in LENGTHS
        for dtype in TYPES
        for how in (np.add, np.maximum, np.minimum)
    ]
    assert all(found[rank] == wanted for rank in range(size))


def sits(path, rank, ready):
    own = Board(path, rank, 2, timeout=20)
    ready.put(rank)
    own.reduce(np.zeros(1), np.add)
    time.sleep(60)


def test_a_killed_rank_is_noticed(path):
    ready = SPAWN.Queue()
    other = SPAWN.Process(target=sits, args=(path, 1, ready))
    other.start()
    own = Board(path, 0, 2, timeout=20)
    ready.get(timeout=30)
    own.reduce(np.zeros(1), np.add)
    assert other.pid is not None
    os.kill(other.pid, signal.SIGKILL)  # it stays a zombie until it is joined
    with pytest.raises(RuntimeError, match="rank 1 has ended"):
        own.reduce(np.zeros(1), np.add)
    other.join()


def test_a_rank_that_does_not_answer_hangs(path, monkeypatch):
    monkeypatch.setattr(board, "LOOK", 0.01)
    ready = SPAWN.Queue()
    other = SPAWN.Process(target=sits, args=(path, 1, ready))
    other.start()
    own = Board(path, 0, 2, timeout=0.1)
    ready.get(timeout=30)
    own.timeout = 20
    own.reduce(np.zeros(1), np.add)
    own.timeout = 0.1
    with pytest.raises(RuntimeError, match="rank 1 has not answered for 0 s"):
        own.reduce(np.zeros(1), np.add)
    other.kill()
    other.join()


def test_a_path_of_another_computer_is_no_board():
    assert opened("/dev/shm/grpo-of-another-computer", 0, 2, 1.0) is None
    assert opened(None, 0, 2, 1.0) is None


def test_memory_that_is_not_there_is_not_promised(monkeypatch):
    before = set(os.listdir(board.MEMORY)) if os.path.isdir(board.MEMORY) else set()
    monkeypatch.setattr(board, "PART", 1 << 55)
    assert offer(2) is None
    assert not before or set(os.listdir(board.MEMORY)) <= before
    monkeypatch.setattr(board, "ORDERED", frozenset())
    assert offer(2) is None
