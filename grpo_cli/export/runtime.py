"""Acting with an ONNX file: onnxruntime computes, torch is not asked."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grpo_cli.envs import Codec
from grpo_cli.errors import CheckpointError, MissingPackage
from grpo_cli.policies.policy import choose
from grpo_cli.rollout import Ints

INSTALL = "pip install 'grpo-cli[export]'"


def open_session(path: Path) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """Open an ONNX file.

    Raises:
        MissingPackage: onnxruntime is not installed.
        CheckpointError: it is no ONNX file.
    """
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
    """

    def __init__(self, session: Any, codec: Codec) -> None:  # noqa: ANN401
        self.family = codec.family
        self._session, self._codec = session, codec
        self._names = [entry.name for entry in session.get_inputs()]

    def acting(self) -> "OnnxPolicy":
        """Return itself: it remembers nothing."""
        return self

    def run(self, obs: NDArray) -> tuple[NDArray, NDArray[np.float32]]:
        """Return greedy actions [B, *A] and distribution parameters [B, P]."""
        given = {name: obs if obs.dtype.names is None else obs[name] for name in self._names}
        columns = {name: np.ascontiguousarray(value) for name, value in given.items()}
        action, params = self._session.run(["action", "params"], columns)
        return action, params

    def __call__(
        self,
        obs: NDArray,
        noise: NDArray[np.float64] | None,
        member: Ints,
        greedy: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray, NDArray[np.float32]]:
        """Choose actions; see `policies.Acts`."""
        action, params = self.run(obs)
        if noise is None:
            return action, np.zeros(len(action), dtype=np.float32)
        drawn, logprob = choose(self.family, params, noise, greedy)
        drawn = self._codec.decode(drawn)
        if greedy is not None:
            drawn[greedy] = action[greedy]
        return drawn, logprob


class AsItIs:
    """A codec for actions that are the environment's already."""

    def __init__(self, codec: Codec) -> None:
        self.family = codec.family

    def decode(self, action: NDArray) -> NDArray:
        """Leave them."""
        return action
