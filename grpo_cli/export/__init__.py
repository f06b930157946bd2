"""Policies for other programs: ONNX, TorchScript, safetensors, a folder for the Hugging Face Hub.

What is exported takes the environment's observations and returns its actions: normaliser and
action post-processing are inside. It is compared with the policy on visited states before it counts
as done.
"""

from grpo_cli.export.check import compare, visited
from grpo_cli.export.deployed import Deployed
from grpo_cli.export.formats import FORMATS, Exported, export
from grpo_cli.export.hub import LOGIN, token, upload
from grpo_cli.export.runtime import OnnxPolicy, facts

__all__ = [
    "FORMATS", "LOGIN", "Deployed", "Exported", "OnnxPolicy", "compare", "export", "facts",
    "token", "upload", "visited",
]  # fmt: skip
