"""Language models: groups of completions, learned from like any other group.

`from grpo_cli.text import GRPO, HuggingFaceGym, save_llm_checkpoint`, AgileRL's names, or on the
command line `grpo train env=text/arithmetic policy.model=<folder>`. Needs `grpo-cli[text]`.
"""

from importlib import import_module
from typing import Any

API = ("GRPO", "HuggingFaceGym", "save_llm_checkpoint")


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever is asked for
    """Import what is asked for, and with it transformers."""
    if name not in API:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module("grpo_cli.text.agent"), name)
