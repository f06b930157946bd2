"""What one update is made of, measured part by part, and what follows for any number of workers.

    seconds = slowest rank's sampling
            + epochs * minibatches * (fixed + rows_of_a_rank * each + exchange of the gradient)
            + epochs * (shuffling all rows + one sum)
            + scoring's sums

Used by `scaling.py model`.
"""

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from scipy.stats import norm

from grpo_cli import speed
from grpo_cli.config import build
from grpo_cli.config.built import Built, build_all
from grpo_cli.config.compose import compose
from grpo_cli.distributed import World
from grpo_cli.rollout import Scored
from grpo_cli.sinks.view import View

SIZES = (8, 1_000, 10_000, 100_000, 1_000_000)  # numbers of 4 bytes
REPEATS = 200
SECONDS = 3.0  # for each size of gradient step
# A network of 10 Gbit/s with 50 microseconds for a message: what the model takes for workers on
# computers of their own. What is measured here goes through this computer's memory.
NETWORK = {"latency_s": 50e-6, "bytes_per_s": 1.25e9}
WORKERS = (2, 8, 64, 1024)
SUMS = 36  # of scoring and metrics, per update, counted in a run of LunarLander
CASES = {
    "MLP, LunarLander-v3": ("env=LunarLander-v3 num_groups=16", 16),
    "CNN, ALE/Pong-v5": ("env=ALE/Pong-v5 num_groups=4 group_size=256", 8),
}


@dataclass(frozen=True)
class Parts:
    """Seconds, rows and bytes, of one process that samples `groups` groups."""

    groups: int
    rows: float  # of an update
    spread: float  # standard deviation of the rows of a group
    sample_s: float  # for each row
    fixed_s: float  # of a gradient step
    row_s: float  # of each row in it
    shuffle_s: float  # for each row of all ranks, an epoch
    steps: int  # gradient steps of an epoch
    epochs: int
    bytes: int  # of a gradient


def measured(words: str) -> Parts:
    """Measure the parts of an update on this core."""
    torch.set_num_threads(1)
    given = [*words.split(), "device=cpu", "seed=0"]
    built = build_all(build.plain(compose(given)), View(quiet=True))
    try:
        rollout = built.sampler.sample(built.policy, 0)
        rows, seconds, groups = [], [], []
        for update in range(1, 4):
            began = time.process_time()
            rollout = built.sampler.sample(built.policy, update)
            seconds.append((time.process_time() - began) / rollout.sim_steps)
            rows.append(rollout.sim_steps)
            groups += np.bincount(rollout.group_N, minlength=rollout.num_groups).tolist()
        scored = built.score(rollout)
        sizes, costs = _steps(built, scored, rows[-1])
    finally:
        built.backend.close()
    each, fixed = np.polyfit(sizes, costs, 1)
    words_now = built.words
    return Parts(
        groups=words_now["num_groups"],
        rows=float(np.mean(rows)),
        spread=float(np.std(groups)),
        sample_s=float(np.median(seconds)),
        fixed_s=max(float(fixed), 0.0),
        row_s=float(each),
        shuffle_s=_shuffle_s(),
        steps=built.learner.schedule.slices(int(np.mean(rows))),
        epochs=words_now["epochs"],
        bytes=4 * sum(p.numel() for p in built.policy.parameters()),
    )


def _steps(built: Built, scored: Scored, rows: int) -> tuple[list[int], list[float]]:
    """Return seconds of gradient steps of several sizes."""
    sizes = [size for size in (32, 128, 512, 1024) if size <= rows]
    with cpu_seconds():
        return sizes, [
            size * speed.gradient_step(built.learner, scored, size, SECONDS) for size in sizes
        ]


@contextmanager
def cpu_seconds() -> Iterator[None]:
    """Measure in seconds of this process's CPU: what a computer with nothing else to do takes."""
    with mock.patch.object(speed.time, "perf_counter", time.process_time):
        yield


def _shuffle_s() -> float:
    draw = np.random.default_rng(0)
    count = 1_000_000
    with cpu_seconds():
        return speed.best(lambda: draw.permutation(count), 1.0) / count


def all_reduce(cores: list[int]) -> dict[str, Any]:
    """Measure the sum of tensors over two processes, as two messages: latency and bandwidth."""
    queue: Any = mp.get_context("spawn").SimpleQueue()
    store = dist.TCPStore("127.0.0.1", 0, 2, is_master=True, wait_for_workers=False)
    mp.spawn(_rank, (store.port, cores, queue), nprocs=2)
    seconds = queue.get()
    moved = [4 * size for size in SIZES]
    # Relative errors count: small sizes say what a message costs, large ones what a byte does.
    weight = 1 / np.array(seconds)
    slope, start = np.polyfit(moved, seconds, 1, w=weight)
    return {
        "bytes": moved,
        "seconds": seconds,
        "latency_s": max(float(start) / 2, 0.0),
        "bytes_per_s": 1 / float(slope),
    }


def _rank(rank: int, port: int, cores: list[int], queue: Any) -> None:  # noqa: ANN401
    os.sched_setaffinity(0, {cores[rank % len(cores)]})
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    store = dist.TCPStore("127.0.0.1", port, 2, is_master=False)
    dist.init_process_group(
        "gloo", store=store, rank=rank, world_size=2, timeout=timedelta(minutes=2)
    )
    world = World(rank, 2)
    world.meet(timeout=120)
    found = [_one(world, torch.zeros(size)) for size in SIZES]
    if rank == 0:
        queue.put(found)
    dist.barrier()
    with suppress(RuntimeError):
        dist.destroy_process_group()


def _one(world: World, value: torch.Tensor) -> float:
    taken = []
    for _ in range(REPEATS if value.numel() < 1e6 else 20):
        dist.barrier()
        began = time.perf_counter()
        world.add(value)
        taken.append(time.perf_counter() - began)
    return float(np.min(taken))  # other programs only slow it down


def exchange_s(count: int, workers: int, link: dict[str, float]) -> float:
    """Seconds of a sum of so many bytes: a ring of 2 (P - 1) messages of 1/P of them each.

    Source: Patarasuk and Yuan 2009, "Bandwidth optimal all-reduce algorithms".
    """
    if workers == 1:
        return 0.0
    hops = 2 * (workers - 1)
    return hops * (link["latency_s"] + count / workers / link["bytes_per_s"])


def predicted(parts: Parts, workers: int, link: dict[str, float], *, strong: bool) -> dict:
    """Seconds and bytes of an update on so many workers.

    Args:
        parts: measured.
        workers: P; above `groups` strong scaling ends, for groups are never split.
        link: latency and bytes a second.
        strong: the groups of one update are dealt out; else each worker has as many as one had.
    """
    shared = parts.groups / workers if strong else parts.groups
    rows = parts.rows / parts.groups * shared
    # The largest of P sums of `shared` groups, about normal (Blom 1958).
    deviations = float(norm.ppf((workers - 0.375) / (workers + 0.25)))
    slowest = rows + parts.spread * math.sqrt(shared) * deviations
    total = rows * workers
    steps = parts.epochs * parts.steps
    one_step = parts.fixed_s + slowest / parts.steps * parts.row_s
    seconds = {
        "sample": rows * parts.sample_s,
        "stragglers": (slowest - rows) * (parts.sample_s + parts.epochs * parts.row_s),
        "gradient steps": steps * (parts.fixed_s + rows / parts.steps * parts.row_s),
        "gradient exchange": steps * exchange_s(parts.bytes, workers, link),
        "shuffling all rows": parts.epochs * total * parts.shuffle_s if workers > 1 else 0.0,
        "sums of scoring": (SUMS + 2 * parts.epochs) * exchange_s(64, workers, link),
    }
    whole = sum(seconds.values())
    ring = 2 * (workers - 1) / workers
    alone = parts.rows * parts.sample_s + steps * (
        parts.fixed_s + parts.rows / parts.steps * parts.row_s
    )
    return {
        "workers": workers,
        "seconds": whole,
        "env_steps_per_s": total / whole,
        "efficiency": (total / whole) / (workers * parts.rows / alone),
        "largest": max(list(seconds)[1:], key=seconds.__getitem__),
        "megabytes_sent_by_each": steps * parts.bytes * ring / 1e6,
        "of_a_step_s": one_step,
        "parts": {name: round(value, 6) for name, value in seconds.items()},
    }


def many(parts: Parts, times: int) -> Parts:
    """Return the parts of an update with more groups, in as many gradient steps."""
    return replace(parts, groups=times * parts.groups, rows=times * parts.rows)


def model(cores: list[int], say: Callable[..., None] = print) -> dict[str, Any]:
    """Measure the parts, and predict."""
    link = all_reduce(list(cores))
    say("all-reduce over two processes", {k: link[k] for k in ("latency_s", "bytes_per_s")})
    # One core, as each of several processes has: an environment takes as many threads as it sees.
    os.sched_setaffinity(0, {cores[0]})
    found: dict[str, Any] = {"here": link, "network": NETWORK, "cases": {}}
    for name, (words, _) in CASES.items():
        parts = measured(words)
        say(name, parts)
        rows: dict[str, Any] = {"parts": vars(parts)}
        rows["two here, the same groups, so many times as many"] = {
            times: predicted(many(parts, times), 2, link, strong=True)["efficiency"]
            for times in (1, 2, 4, 8)
        }
        for kind in ("strong", "weak"):
            strong = kind == "strong"
            two = predicted(parts, 2, link, strong=strong)
            rows[f"{kind} here"] = two
            rows[kind] = [
                predicted(parts, count, NETWORK, strong=strong)
                for count in WORKERS
                if not strong or count <= parts.groups
            ]
            for row in [two, *rows[kind]]:
                say(
                    f"  {kind:7}{row['workers']:5} workers {row['seconds']:9.3f} s "
                    f"{row['env_steps_per_s']:12,.0f} steps/s {row['efficiency']:6.0%} "
                    f"{row['megabytes_sent_by_each']:10.1f} MB, largest {row['largest']}"
                )
        found["cases"][name] = rows
    return found
