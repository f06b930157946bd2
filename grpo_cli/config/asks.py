"""The words of verbs that read a checkpoint: `grpo export`."""

from dataclasses import dataclass

from grpo_cli.config.schema import MISSING, _key

FORMATS = ("onnx", "torchscript", "safetensors", "hub")


@dataclass
class ExportConf:
    """The words of `grpo export`."""

    ckpt: str = _key(MISSING, "a run, a checkpoint, <run>/best, or last or best of the newest run")
    format: str = _key("onnx", "what to write", choices=FORMATS)
    out: str | None = _key(
        None, "the file, or for hub the folder; null: policy.onnx and the like in the run",
        pattern=r".*[^/\\]", says="a file", optional=True,
    )  # fmt: skip
    env: str | None = _key(
        None, "must be the run's env; naming it allows its own code to be imported", optional=True
    )
