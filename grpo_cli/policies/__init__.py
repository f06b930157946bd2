"""Policies: bodies by name, and the policy that they become part of."""

from grpo_cli.policies.mlp import mlp
from grpo_cli.policies.policy import Policy, make_policy

__all__ = ["Policy", "make_policy", "mlp"]
