"""Policy losses: `f(new, batch, ...) -> (scalar, dict of Mean)`."""

from grpo_cli.losses.clip import clip

__all__ = ["clip"]
