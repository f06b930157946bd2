"""Whether an exported file does what the policy does, on states that the policy visits."""

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from grpo_cli.envs import EnvSource, Sync
from grpo_cli.errors import GrpoError
from grpo_cli.export.deployed import DTYPES
from grpo_cli.export.runtime import OnnxPolicy, open_session
from grpo_cli.observations import Observations
from grpo_cli.policies import Policy
from grpo_cli.randomness import ActionNoise, Purpose, Use, reset_seeds, rng
from grpo_cli.rollout import Ints
from grpo_cli.walk import Round as Played
from grpo_cli.walk import walk

STATES = 1_000
SIDE_BY_SIDE = 8
# Float32 networks summed in another order.
TOLERANCE = 1e-4
Columns = dict[str, NDArray]
"""Actions of B states by path, [B, *A] each; `""` where they have no entries."""
Step = Callable[[NDArray, NDArray], tuple[Columns, NDArray, NDArray]]
"""`f(obs [B, *O], memory [B, S]) -> actions, distribution parameters [B, P], memory [B, S]`."""
Round = tuple[Ints, NDArray]
"""Members [B], and what they see, [B, *O]; later rounds show the same members later."""


def visited(source: EnvSource, policy: Policy, seed: int, count: int = STATES) -> list[Round]:
    """Return so many states that the policy comes to when it draws its actions.

    Raises:
        EnvError: the environment raised.
    """
    address = (seed, Purpose.EVAL, int(Use.FINAL))
    seen: list[Round] = []
    first, missing = 0, count
    backend = Sync(source.make, SIDE_BY_SIDE)
    try:
        while missing:
            seeds = reset_seeds(rng(*address, first), SIDE_BY_SIDE, Use.FINAL)
            generators = [rng(*address, first + 1 + i) for i in range(SIDE_BY_SIDE)]
            noise = ActionNoise(generators, 1, policy.family.noise_width)
            rounds: list[Played] = []
            walk(backend, source.codec, policy, seeds, noise, horizon=missing, rounds=rounds)
            for member, _, obs, *_ in rounds:
                seen.append((first + member[:missing], obs[:missing]))
                missing -= len(member[:missing])
            first += SIDE_BY_SIDE
    finally:
        backend.close()
    return [(member, obs) for member, obs in seen if len(member)]


def tensors_of(obs: NDArray) -> tuple[torch.Tensor, ...]:
    """Return the entries of observations as an exported function takes them."""
    columns = [obs] if obs.dtype.names is None else [obs[name] for name in obs.dtype.names]
    return tuple(
        torch.from_numpy(np.array(column, order="C")).to(DTYPES[column.dtype]) for column in columns
    )


def compare(
    path: Path, format: str, policy: Policy, source: EnvSource, rounds: list[Round]
) -> dict[str, Any]:
    """Compare a written file with the policy.

    Args:
        path: the file, or for `hub` the folder.
        format: see `FORMATS`.
        policy: what was exported.
        source: its environment.
        rounds: states, as `visited` returns them.

    Returns:
        states, how many; difference, the largest of any number; same, share of equal actions.

    Raises:
        GrpoError: they differ.
    """
    size = policy.memory_size
    theirs_action, theirs = _along(rounds, _step(path, format, policy, source), size)
    ours_action, ours = _along(rounds, _of_policy(policy, source), size)
    states = len(ours)
    gap = float(np.abs(theirs.astype(np.float64) - ours).max())
    scale = max(1.0, float(np.abs(ours[np.abs(ours) < 1e7], dtype=np.float64).max(initial=0)))
    pairs = [(theirs_action[path], ours_action[path]) for path in ours_action]
    close = [_close(a, b).reshape(states, -1).all(axis=1) for a, b in pairs]
    same = float(np.logical_and.reduce(close).mean())
    alike = all(a.dtype == b.dtype and a.shape == b.shape for a, b in pairs)
    # Two choices that are equally good within rounding may change places.
    if gap > TOLERANCE * scale or same < 1 - 2 / states or not alike:
        raise GrpoError(
            f"{path} differs from the policy: by up to {gap:.2g}, same actions on "
            f"{100 * same:.1f} % of {states:,} states",
            "please report it; another format may do",
        )
    return {"states": states, "difference": gap, "same": same}


def _close(a: NDArray, b: NDArray) -> NDArray[np.bool_]:
    whole = np.issubdtype(b.dtype, np.integer)
    return a == b if whole else np.isclose(a, b, TOLERANCE, TOLERANCE)


def _along(rounds: list[Round], step: Step, memory_size: int) -> tuple[Columns, NDArray]:
    """Show the rounds to a function, each member with its own memory."""
    if not memory_size:  # all at once
        rounds = [tuple(np.concatenate(column) for column in zip(*rounds, strict=True))]  # type: ignore[misc]
    members = 1 + max(int(member.max()) for member, _ in rounds)
    memory = np.zeros((members, memory_size), dtype=np.float32)
    said = []
    for member, obs in rounds:
        action, params, after = step(obs, memory[member])
        if memory_size:
            memory[member] = after
        said.append((action, params))
    actions = {path: np.concatenate([action[path] for action, _ in said]) for path in said[0][0]}
    return actions, np.concatenate([params for _, params in said])


def _of_policy(policy: Policy, source: EnvSource) -> Step:
    """Return what the policy itself does."""
    actions = Observations(source.action_space)

    def step(obs: NDArray, memory: NDArray) -> tuple[Columns, NDArray, NDArray]:
        after = memory
        if policy.by_member:
            params, remembered = policy.step(obs, torch.from_numpy(memory))
            after = remembered.numpy()
        else:
            params = policy.params(obs)
        action = source.codec.decode(policy.family.mode(params))
        if action.dtype != object:
            return {"": action}, params, after
        rows = actions.stack(list(action))
        return {path: rows[path] for path in actions.entries}, params, after

    return step


def _step(path: Path, format: str, policy: Policy, source: EnvSource) -> Step:
    """Return what the file does."""
    if format in ("onnx", "hub"):
        file = path / "policy.onnx" if format == "hub" else path
        return OnnxPolicy(open_session(file), source.codec, source.action_space).run
    if format == "safetensors":
        return _of_policy(_from_tensors(path, policy), source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and what many programs load
        loaded = torch.jit.load(str(path))
    paths = list(Observations(source.action_space).entries)

    def step(obs: NDArray, memory: NDArray) -> tuple[Columns, NDArray, NDArray]:
        given = (*tensors_of(obs), *([torch.from_numpy(memory)] if policy.by_member else []))
        with torch.inference_mode():
            *said, after = (tensor.numpy() for tensor in loaded(*given))
        if not policy.by_member:
            said, after = [*said, after], memory
        return dict(zip(paths, said, strict=False)), said[-1], after

    return step


def _from_tensors(path: Path, policy: Policy) -> Policy:
    """Load weights into a policy of the same make that has none of them yet."""
    fresh = copy.deepcopy(policy)
    for tensor in fresh.state_dict().values():
        tensor.zero_()
    fresh.load_state_dict(load_file(path))
    return fresh
