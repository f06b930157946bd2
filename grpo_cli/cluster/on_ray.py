"""The ranks of a training as actors of Ray, spread over the computers that are alive."""

import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from grpo_cli.cluster.supervise import Lost, Order, Outcome
from grpo_cli.errors import ConfigError, EnvError, MissingPackage

Work = Callable[[Order], Outcome]

READY_S = 30.0  # Ray takes about half of it to notice that a computer is gone
ATTEMPTS = 6


@contextmanager
def ray_cluster(address: str | None) -> Iterator[Any]:
    """Connect to a cluster, or start one of this computer alone; yields the module.

    Raises:
        MissingPackage: Ray is not installed.
        ConfigError: there is no cluster at that address.
    """
    try:
        ray = import_module("ray")
    except ImportError as error:
        raise MissingPackage("cluster=ray needs Ray", "pip install 'grpo-cli[ray]'") from error
    own = not ray.is_initialized()
    if own:
        try:
            ray.init(
                address=address,
                include_dashboard=None if address else False,
                logging_level="warning",
                runtime_env={"env_vars": _environment()},
            )
        except Exception as error:  # Ray has no type of its own for it
            first = next(iter(str(error).strip().splitlines()), type(error).__name__)
            if address is None:
                again = "try again, or start one with ray start --head and say cluster.address=auto"
                raise EnvError(f"Ray did not start: {first}", again) from error
            raise ConfigError(
                f"no Ray cluster at {address}: {first}", "start one with ray start --head"
            ) from error
    try:
        yield ray
    finally:
        if own:
            ray.shutdown()


def needs_of(settings: Mapping[str, Any]) -> dict[str, float]:
    """Return what a process takes of a computer, by Ray's names."""
    needs = {"CPU": float(settings["cpus"]), "GPU": float(settings["gpus"])}
    return {kind: count for kind, count in needs.items() if count}


def require_room(ray: Any, needs: dict[str, float]) -> None:  # noqa: ANN401
    """Raise ConfigError where no computer of the cluster has room for a process."""
    if not _room(ray, needs):
        raise _no_room(needs)


def _no_room(needs: dict[str, float]) -> ConfigError:
    said = ", ".join(f"{count:g} {kind}" for kind, count in needs.items())
    return ConfigError(f"the Ray cluster has no room for {said}", "add computers, or ask for less")


def attempt(
    ray: Any,  # noqa: ANN401 - a module that is imported late
    work: Work,
    processes: int,
    settings: Mapping[str, Any],
    say: Callable[[str], None],
) -> Callable[[Order], Outcome]:
    """Return what runs a training once, with fewer processes where computers are gone."""
    needs = needs_of(settings)

    def once(order: Order) -> Outcome:
        group, size = _place(ray, needs, processes)
        if size < processes:
            say(f"{size} of {processes} processes find a place")
        try:
            return _run(ray, work, order, group, size, needs)
        finally:
            ray.util.remove_placement_group(group)

    return once


def _place(ray: Any, needs: dict[str, float], processes: int) -> tuple[Any, int]:  # noqa: ANN401
    """Reserve places for as many processes as find one, on different computers if possible."""
    for _ in range(ATTEMPTS):
        size = min(processes, _room(ray, needs))
        if size:
            group = ray.util.placement_group([needs] * size, strategy="SPREAD")
            if group.wait(READY_S):
                return group, size
            ray.util.remove_placement_group(group)
        else:
            time.sleep(READY_S / ATTEMPTS)
    raise _no_room(needs)


def _room(ray: Any, needs: dict[str, float]) -> int:  # noqa: ANN401
    """Return how many processes the living computers have room for."""
    living = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return sum(int(min(has.get(kind, 0) // n for kind, n in needs.items())) for has in living)


class _Rank:
    """One process."""

    def place(self) -> tuple[str, int]:
        """Return this computer's address, and a port that is free."""
        with socket.socket() as found:
            found.bind(("", 0))
            return import_module("ray").util.get_node_ip_address(), found.getsockname()[1]

    def work(self, work: Work, order: Order, place: dict[str, str]) -> Outcome:
        """Be one of the ranks."""
        os.environ.update(place)
        return work(order)


def _run(
    ray: Any,  # noqa: ANN401
    work: Work,
    order: Order,
    group: Any,  # noqa: ANN401
    size: int,
    needs: dict[str, float],
) -> Outcome:
    strategies = import_module("ray.util.scheduling_strategies")
    make = ray.remote(_Rank)
    ranks = [
        make.options(
            num_cpus=needs["CPU"],
            num_gpus=needs.get("GPU", 0.0),
            scheduling_strategy=strategies.PlacementGroupSchedulingStrategy(
                group, placement_group_bundle_index=number
            ),
        ).remote()
        for number in range(size)
    ]
    lost = (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError)
    try:
        host, port = ray.get(ranks[0].place.remote(), timeout=READY_S * ATTEMPTS)
        where = {"MASTER_ADDR": host, "MASTER_PORT": str(port), "WORLD_SIZE": str(size)}
        waiting = [
            rank.work.remote(work, order, {**where, "RANK": str(number), "LOCAL_RANK": "0"})
            for number, rank in enumerate(ranks)
        ]
        first = waiting[0]
        while waiting:
            [done], waiting = ray.wait(waiting)
            outcome: Outcome = ray.get(done)
            if outcome.lost:
                raise Lost("a process of the training was lost")
            if outcome.error or done is first:
                return outcome
        raise AssertionError("rank 0 never ended")
    except lost as error:
        raise Lost("a process or computer of the Ray cluster was lost") from error
    finally:
        for rank in ranks:
            with contextlib.suppress(Exception):
                ray.kill(rank)


def _environment() -> dict[str, str]:
    """Let the processes find what this one finds."""
    return {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OPENBLAS_NUM_THREADS": "1"}
