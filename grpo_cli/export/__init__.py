"""Policies for other programs: ONNX, TorchScript, safetensors, a folder for the Hugging Face Hub.

What is exported takes the environment's observations and returns its actions: normaliser and
action post-processing are inside. It is compared with the policy on visited states before it counts
as done.
"""

from grpo_cli.export.check import compare, visited
from grpo_cli.export.deployed import Deployed
from grpo_cli.export.formats import FORMATS, Exported, export
from grpo_cli.export.runtime import OnnxPolicy, facts

__all__ = [
    "FORMATS", "Deployed", "Exported", "OnnxPolicy", "compare", "export", "facts", "visited",
]  # fmt: skip
