"""Whether an exported file does what the policy does, on states that the policy visits."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from grpo_cli.envs import EnvSource, Sync
from grpo_cli.errors import GrpoError
from grpo_cli.export.deployed import DTYPES
from grpo_cli.export.runtime import OnnxPolicy, open_session
from grpo_cli.policies import Policy
from grpo_cli.randomness import ActionNoise, Purpose, Use, reset_seeds, rng
from grpo_cli.walk import Round, walk

STATES = 1_000
SIDE_BY_SIDE = 8
# Float32 networks summed in another order.
TOLERANCE = 1e-4
Function = Callable[[NDArray], tuple[NDArray, NDArray]]


def visited(source: EnvSource, policy: Policy, seed: int, count: int = STATES) -> NDArray:
    """Return observations of so many states that the policy comes to when it draws its actions.

    Raises:
        EnvError: the environment raised.
    """
    address = (seed, Purpose.EVAL, int(Use.FINAL))
    seen: list[NDArray] = []
    first = 0
    backend = Sync(source.make, SIDE_BY_SIDE)
    try:
        while sum(map(len, seen)) < count:
            seeds = reset_seeds(rng(*address, first), SIDE_BY_SIDE, Use.FINAL)
            generators = [rng(*address, first + 1 + i) for i in range(SIDE_BY_SIDE)]
            noise = ActionNoise(generators, 1, policy.family.noise_width)
            rounds: list[Round] = []
            walk(backend, source.codec, policy, seeds, noise, horizon=count, rounds=rounds)
            seen += [obs for _, _, obs, *_ in rounds]
            first += SIDE_BY_SIDE
    finally:
        backend.close()
    return np.concatenate(seen)[:count]


def tensors_of(obs: NDArray) -> tuple[torch.Tensor, ...]:
    """Return the entries of observations as an exported function takes them."""
    columns = [obs] if obs.dtype.names is None else [obs[name] for name in obs.dtype.names]
    return tuple(
        torch.from_numpy(np.array(column, order="C")).to(DTYPES[column.dtype]) for column in columns
    )


def compare(
    path: Path, format: str, policy: Policy, source: EnvSource, obs: NDArray
) -> dict[str, Any]:
    """Compare a written file with the policy.

    Args:
        path: the file, or for `hub` the folder.
        format: see `FORMATS`.
        policy: what was exported.
        source: its environment.
        obs: states, [B, *O].

    Returns:
        states, how many; difference, the largest of any number; same, share of equal actions.

    Raises:
        GrpoError: they differ.
    """
    theirs_action, theirs = _function(path, format, policy, source)(obs)
    ours = policy.params(obs)
    flat, _ = policy.act(obs, None)
    ours_action = source.codec.decode(flat)
    gap = float(np.abs(theirs.astype(np.float64) - ours).max())
    scale = max(1.0, float(np.abs(ours[np.abs(ours) < 1e7], dtype=np.float64).max(initial=0)))
    whole = np.issubdtype(ours_action.dtype, np.integer)
    close = (
        theirs_action == ours_action
        if whole
        else np.isclose(theirs_action, ours_action, TOLERANCE, TOLERANCE)
    )
    same = float(close.reshape(len(obs), -1).all(axis=1).mean())
    # Two choices that are equally good within rounding may change places.
    if (
        gap > TOLERANCE * scale
        or same < 1 - 2 / len(obs)
        or theirs_action.dtype != ours_action.dtype
    ):
        raise GrpoError(
            f"{path} differs from the policy: by up to {gap:.2g}, same actions on "
            f"{100 * same:.1f} % of {len(obs):,} states",
            "please report it; another format may do",
        )
    return {"states": len(obs), "difference": gap, "same": same}


def _function(path: Path, format: str, policy: Policy, source: EnvSource) -> Function:
    if format in ("onnx", "hub"):
        file = path / "policy.onnx" if format == "hub" else path
        return OnnxPolicy(open_session(file), source.codec).run
    if format == "torchscript":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated, and what many programs load
            loaded = torch.jit.load(str(path))

        def run(obs: NDArray) -> tuple[NDArray, NDArray]:
            with torch.inference_mode():
                action, params = loaded(*tensors_of(obs))
            return action.numpy(), params.numpy()

        return run
    return _from_tensors(path, policy, source)


def _from_tensors(path: Path, policy: Policy, source: EnvSource) -> Function:
    """Load weights into a policy of the same make that has none of them yet."""
    import copy

    from safetensors.torch import load_file

    fresh = copy.deepcopy(policy)
    for tensor in fresh.state_dict().values():
        tensor.zero_()
    fresh.load_state_dict(load_file(path))

    def run(obs: NDArray) -> tuple[NDArray, NDArray]:
        return source.codec.decode(fresh.act(obs, None)[0]), fresh.params(obs)

    return run
