"""Group relative policy optimization for control tasks: reinforcement learning without a critic."""

__version__ = "0.1.0"
