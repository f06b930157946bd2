"""Policies: bodies by name, and the policy that they become part of."""

from grpo_cli.policies.acting import Acts
from grpo_cli.policies.auto import auto, chosen
from grpo_cli.policies.cnn import cnn
from grpo_cli.policies.make import make_policy, num_choices
from grpo_cli.policies.mlp import mlp
from grpo_cli.policies.multi_input import multi_input
from grpo_cli.policies.policy import Policy
from grpo_cli.policies.recurrent import recurrent

__all__ = [
    "Acts",
    "Policy",
    "auto",
    "chosen",
    "cnn",
    "make_policy",
    "mlp",
    "multi_input",
    "num_choices",
    "recurrent",
]
