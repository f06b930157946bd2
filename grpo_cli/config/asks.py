"""The words of verbs that read a checkpoint: `grpo export` and `grpo play`."""

from dataclasses import dataclass

from grpo_cli.config.schema import MISSING, _device, _key

FORMATS = ("onnx", "torchscript", "safetensors", "hub", "hf")


@dataclass
class ExportConf:
    """The words of `grpo export`."""

    ckpt: str = _key(MISSING, "a run, a checkpoint, <run>/best, or last or best of the newest run")
    format: str = _key("onnx", "what to write; of a language model hf", choices=FORMATS)
    out: str | None = _key(
        None, "the file, or for hub and hf the folder; null: policy.onnx and the like in the run",
        pattern=r".*[^/\\]", says="a file", optional=True,
    )  # fmt: skip
    repo: str | None = _key(
        None, "with format=hub: upload to user/name of the Hub, where there is a token",
        pattern=r"[\w.-]+(/[\w.-]+)?", says="user/name", optional=True,
    )  # fmt: skip
    private: bool = _key(True, "whether a repository that upload makes is seen by you alone")
    env: str | None = _key(
        None, "must be the run's env; naming it allows its own code to be imported", optional=True
    )


@dataclass
class PlayConf:
    """The words of `grpo play`."""

    ckpt: str = _key(MISSING, "a run, a checkpoint, <run>/best, or last or best of the newest run")
    out: str = _key(
        "terminal", "where to: terminal, a .mp4 or .gif file; mp4 or gif alone: into the run",
        pattern=r"(?is)terminal|mp4|gif|.*[^/\\]\.(mp4|gif)", says="terminal, mp4, gif or a file",
    )  # fmt: skip
    members: int = _key(4, "attempts from one start, side by side", "members", low=1, high=64)
    start: int = _key(0, "which start of the evaluation", low=0)
    mode: str = _key("sampled", "how the policy acts", choices=("greedy", "sampled"))
    seed: int | None = _key(None, "null takes the evaluation seed of the run", low=0, optional=True)
    env: str | None = _key(
        None, "must be the run's env; naming it allows its own code to be imported", optional=True
    )
    device: str = _device()
