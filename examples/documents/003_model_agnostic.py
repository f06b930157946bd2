# Document 003, "model-agnostic GRPO".
# Changed: the import. The policy has no parameters, so metrics are all there is.
import copy
from typing import Any, Dict, List

import torch

from grpo_cli import GRPOConfig, GRPOTrainer


# A dummy Policy Model
class MyPolicy:
    def generate_actions(
        self, states: List[Any], num_actions_per_state: int, **kwargs
    ) -> List[List[Any]]:
        # In a real scenario, this would generate actions based on states
        return [[f"action_{i}" for i in range(num_actions_per_state)] for _ in states]

    def get_log_probabilities(self, states: List[Any], actions: List[Any]) -> torch.Tensor:
        # Dummy log probabilities
        return torch.randn(len(states))

    def get_parameters(self) -> Dict[str, torch.Tensor]:
        # In a real scenario, this would return the model's parameters
        return {}

    def train(self):
        pass

    def eval(self):
        pass

    def to(self, device):
        return self


# A dummy Reward Model
class MyRewardModel:
    def compute_rewards(self, states: List[Any], actions: List[Any]) -> torch.Tensor:
        # Dummy rewards
        return torch.randn(len(states))

    def train(self):
        pass

    def eval(self):
        pass

    def to(self, device):
        return self


# 1. Instantiate your models
policy = MyPolicy()
reward_model = MyRewardModel()
# The reference policy is often a snapshot of the initial policy
reference_policy = copy.deepcopy(policy)

# 2. Define training configuration
config = GRPOConfig(group_size=4, batch_size=2, num_epochs_per_update=2)

# 3. Instantiate the trainer
trainer = GRPOTrainer(
    config=config,
    policy=policy,
    reference_policy=reference_policy,
    reward_model=reward_model,
    optimizer=None,  # Pass a torch.optim.Optimizer in a real use case
)

# 4. Prepare some dummy data
states = ["state_1", "state_2", "state_3", "state_4"]

# 5. Run a training step
# In a real training loop, you would call this repeatedly
metrics = trainer.step(states)

print("Training step completed. Metrics:")
print(metrics)
