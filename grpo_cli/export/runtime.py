"""Acting with an ONNX file: onnxruntime computes, torch is not asked."""

import json
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from grpo_cli.envs import Codec
from grpo_cli.envs.spaces import as_objects
from grpo_cli.errors import CheckpointError, MissingPackage
from grpo_cli.observations import entries
from grpo_cli.policies.policy import choose
from grpo_cli.rollout import Ints

INSTALL = "pip install 'grpo-cli[export]'"


def open_session(path: Path) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """Open an ONNX file.

    Raises:
        MissingPackage: onnxruntime is not installed.
        CheckpointError: there is none, or it is no ONNX file.
    """
    if not path.is_file():
        fix = "grpo export ckpt=last writes one into the run's folder, or where out= says"
        raise CheckpointError(f"there is no file {path}", fix)
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPackage(f"{path} needs onnxruntime", INSTALL) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a small network
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no class of their own
        first = str(error).splitlines()[0]
        raise CheckpointError(f"{path} cannot be opened: {first}", "export it again") from error


def facts(session: Any, path: Path) -> dict[str, Any]:  # noqa: ANN401
    """Return what an ONNX file of `grpo export` says of itself.

    Raises:
        CheckpointError: it was made by something else.
    """
    try:
        found = json.loads(session.get_modelmeta().custom_metadata_map["grpo"])
        return {**found, "env": str(found["env"]), "config": str(found["config"])}
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path} was not made by grpo export", "grpo export ckpt=... format=onnx makes one"
        ) from error


class OnnxPolicy:
    """Acts with an ONNX file; its actions are those that the environment takes.

    Args:
        session: of onnxruntime.
        codec: of the environment's actions, for drawn ones.
        space: of the environment's actions.
    """

    def __init__(self, session: Any, codec: Codec, space: spaces.Space) -> None:  # noqa: ANN401
        self.family = codec.family
        self._session, self._codec, self._space = session, codec, space
        shapes = {entry.name: entry.shape for entry in session.get_inputs()}
        size = shapes.pop("memory", (0, 0))[1]
        self._names = list(shapes)
        self._paths = list(entries(space))
        self._outputs = [entry.name for entry in session.get_outputs()]
        self._memory = np.zeros((0, size), dtype=np.float32)

    def acting(self) -> "OnnxPolicy":
        """Return one that remembers nothing yet."""
        fresh = copy(self)
        fresh._memory = self._memory[:0]
        return fresh

    def run(self, obs: NDArray, memory: NDArray) -> tuple[dict[str, NDArray], NDArray, NDArray]:
        """Act greedily.

        Args:
            obs: [B, *O].
            memory: [B, S].

        Returns:
            Actions by path, [B, *A] each, distribution parameters [B, P], and the memory after it.
        """
        given = {name: obs if obs.dtype.names is None else obs[name] for name in self._names}
        columns = {name: np.ascontiguousarray(value) for name, value in given.items()}
        if memory.shape[1]:
            columns["memory"] = memory
        said = dict(zip(self._outputs, self._session.run(None, columns), strict=True))
        actions = dict(zip(self._paths, said.values(), strict=False))
        return actions, said["params"], said.get("memory_after", memory)

    def __call__(
        self,
        obs: NDArray,
        noise: NDArray[np.float64] | None,
        member: Ints,
        greedy: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray, NDArray[np.float32]]:
        """Choose actions; see `policies.Acts`."""
        missing = max(0, int(member.max()) + 1 - len(self._memory))
        self._memory = np.pad(self._memory, ((0, missing), (0, 0)))  # members that start now
        action, params, self._memory[member] = self.run(obs, self._memory[member])
        if noise is None:
            return self._whole(action, len(obs)), np.zeros(len(obs), dtype=np.float32)
        drawn, logprob = choose(self.family, params, noise, greedy)
        drawn = self._codec.decode(drawn)
        if greedy is not None:
            drawn[greedy] = self._whole(action, len(obs))[greedy]
        return drawn, logprob

    def _whole(self, columns: dict[str, NDArray], count: int) -> NDArray:
        """Put the entries of actions together as the environment takes them, [B, *A] or [B]."""
        if "" in columns:
            return columns[""]
        return as_objects([_nested(self._space, columns, row) for row in range(count)])


def _nested(space: spaces.Space, columns: dict[str, NDArray], row: int, path: str = "") -> Any:  # noqa: ANN401
    """Return one action, as nested as its space."""
    if isinstance(space, spaces.Dict):
        inner = {key: (part, str(key)) for key, part in space.spaces.items()}
    elif isinstance(space, spaces.Tuple):
        inner = {key: (part, str(key)) for key, part in enumerate(space.spaces)}
    else:
        return columns[path][row]
    start = f"{path}." if path else ""
    found = {k: _nested(part, columns, row, start + name) for k, (part, name) in inner.items()}
    return found if isinstance(space, spaces.Dict) else tuple(found.values())


class AsItIs:
    """A codec for actions that are the environment's already."""

    def __init__(self, codec: Codec) -> None:
        self.family = codec.family

    def decode(self, action: NDArray) -> NDArray:
        """Leave them."""
        return action
