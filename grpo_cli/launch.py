"""Start the processes of a training on this computer, and bring together those of any launcher."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta

import torch
import torch.distributed as dist

from grpo_cli.distributed import World, lost
from grpo_cli.errors import RankLost

HOST = "127.0.0.1"
STORE = "GRPO_STORE"  # port of the meeting point, where this program started the others
# A rank that does not answer for so long hangs; evaluations and slow environments are waited for.
TIMEOUT = timedelta(minutes=30)
START = timedelta(minutes=5)
POLL_S = 0.1  # between looks at processes that are starting
PATIENCE_S = 10.0  # that they get to end by themselves


def given() -> tuple[int, int] | None:
    """Return rank and size where a launcher such as torchrun has started this process."""
    size = int(os.environ.get("WORLD_SIZE", 1))
    return (int(os.environ["RANK"]), size) if size > 1 and "RANK" in os.environ else None


@contextmanager
def joined(world: World) -> Iterator[None]:
    """Meet the others of a launcher, which has put where into the environment."""
    store = None
    if STORE in os.environ:
        port = int(os.environ[STORE])
        store = dist.TCPStore(HOST, port, world.size, is_master=False, timeout=START)
        store.set(_here(world.rank), "")
    with _own_cores(world) if store else nullcontext(), _met(world, store):
        yield


@contextmanager
def started(world: World) -> Iterator[None]:
    """Start the other processes on this computer, and be their rank 0 until the block ends.

    They run `grpo train` too, which does what rank 0 says where it is another rank.

    Raises:
        RankLost: one of them ended before all had met.
    """
    processes = world.size
    store = dist.TCPStore(HOST, 0, processes, is_master=True, wait_for_workers=False)
    place = {STORE: str(store.port), "WORLD_SIZE": str(processes)}
    place |= {"LOCAL_WORLD_SIZE": str(processes), "GLOO_SOCKET_IFNAME": "lo"}
    before = os.environ.get("GLOO_SOCKET_IFNAME")
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    # Ctrl-C reaches a whole process group: this process alone decides what it means.
    others = [
        subprocess.Popen(
            [sys.executable, "-m", "grpo_cli", "train"],
            env={**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
        for rank in range(1, processes)
    ]
    try:
        _await(store, others)
        with _own_cores(world), _met(world, store):
            yield
    finally:
        _end(others)
        if before is None:
            del os.environ["GLOO_SOCKET_IFNAME"]


@contextmanager
def _own_cores(world: World) -> Iterator[None]:
    """Keep to this rank's share of the computer's cores until the block ends.

    Ranks have several threads each. Left to the system they move between the cores, which costs a
    tenth of an environment's speed (docs/LOG.md). Other launchers have ways of their own.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < world.size:
        yield
        return
    edges = [len(cores) * rank // world.size for rank in (world.rank, world.rank + 1)]
    os.sched_setaffinity(0, cores[slice(*edges)])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@contextmanager
def _met(world: World, store: dist.Store | None) -> Iterator[None]:
    """Be one of the ranks until the block ends."""
    place = {"store": store, "rank": world.rank, "world_size": world.size}
    with lost(world):
        backend = _backend(world.size)
        dist.init_process_group(backend, timeout=TIMEOUT, **(place if store else {}))
    try:
        world.meet(TIMEOUT.total_seconds())
        yield
    finally:
        world.part()
        dist.destroy_process_group()


def _backend(size: int) -> str:
    """Choose NCCL where each process of this computer can have a GPU of its own, as it needs."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", size))
    nccl = dist.is_nccl_available() and 0 < here <= torch.cuda.device_count()
    return "cpu:gloo,cuda:nccl" if nccl else "gloo"


def _here(rank: int) -> str:
    return f"here/{rank}"


def _await(store: dist.Store, others: list[subprocess.Popen[bytes]]) -> None:
    """Wait until all have come, as long as all live."""
    names = [_here(rank) for rank in range(1, len(others) + 1)]
    while not store.check(names):
        for rank, process in enumerate(others, 1):
            if process.poll() is not None:
                raise RankLost(
                    f"process {rank} of {len(others) + 1} ended while starting: "
                    f"exit {process.returncode}",
                    "see above for its error",
                )
        time.sleep(POLL_S)


def _end(others: list[subprocess.Popen[bytes]]) -> None:
    """Let them end by themselves, then end them."""
    deadline = time.monotonic() + PATIENCE_S
    for process in others:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
