"""The Python door: the same floors as the command line, under names that other libraries use."""

from grpo_cli.api.asked import PolicyModel, RewardModel
from grpo_cli.api.model import GRPO
from grpo_cli.api.settings import GRPOConfig
from grpo_cli.api.trainer import GRPOTrainer

__all__ = ["GRPO", "GRPOConfig", "GRPOTrainer", "PolicyModel", "RewardModel"]
