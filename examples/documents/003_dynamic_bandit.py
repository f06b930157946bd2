# The demo that document 003 refers to: a bandit whose payouts change every 20 steps.
# Changed: the import and the names of document 003. Published: .843 for arm 3 after 40 steps.
import torch
import torch.nn.functional as F

from grpo_cli import GRPOConfig, GRPOTrainer

PAYOUTS = [
    [0.4, 0.4, 0.4, 0.4, 0.4],
    [0.1, 0.2, 0.0, 0.8, 0.3],
    [0.4, 0.4, 0.4, 0.4, 0.4],
    [0.7, 0.1, 0.3, 0.2, 0.0],
]


class BanditPolicy(torch.nn.Module):
    def __init__(self, num_arms):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.zeros(num_arms))

    def generate_actions(self, states, num_actions_per_state, **kwargs):
        probs = F.softmax(self.logits, dim=0)
        return [torch.multinomial(probs, num_actions_per_state, True).tolist() for _ in states]

    def get_log_probabilities(self, states, actions):
        return F.log_softmax(self.logits, dim=0)[torch.tensor(actions)]

    def get_parameters(self):
        return {"logits": self.logits}


class BanditRewards:
    def __init__(self):
        self.step = 0

    def compute_rewards(self, states, actions):
        payouts = PAYOUTS[self.step // 20 % len(PAYOUTS)]
        return torch.tensor([payouts[action] for action in actions])

    def train(self):
        pass

    def eval(self):
        pass

    def to(self, device):
        return self


torch.manual_seed(42)
policy, rewards = BanditPolicy(5), BanditRewards()
config = GRPOConfig(
    group_size=32,
    learning_rate=0.005,
    num_epochs_per_update=10,
    kl_coeff=0.1,
    entropy_coeff=0.02,
    clip_epsilon=0.3,
)
trainer = GRPOTrainer(config=config, policy=policy, reward_model=rewards)

for rewards.step in range(100):
    trainer.step(["bandit_state"])
    if rewards.step % 20 == 19:
        probs = F.softmax(policy.logits, dim=0)
        best, arm = probs.max(dim=0)
        print(f"after step {rewards.step + 1:3d}: arm {arm} leads with {best:.3f}")
