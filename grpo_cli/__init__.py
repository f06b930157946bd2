"""Group relative policy optimization for control tasks: reinforcement learning without a critic."""

from typing import Any

__version__ = "0.1.0"

API = ("GRPO", "GRPOConfig", "GRPOTrainer")


def __getattr__(name: str) -> Any:  # noqa: ANN401 - classes of the API
    """Import the Python API when it is first asked for: the command line does without it."""
    if name not in API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.api"), name)
