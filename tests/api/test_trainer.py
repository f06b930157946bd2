"""GRPOTrainer: a person's own policy and reward model on our advantages, loss and update."""

import pytest
import torch
from safetensors.torch import load_file

from grpo_cli import GRPOConfig, GRPOTrainer
from grpo_cli.api.asked import Asked
from grpo_cli.api.sampled import Sampled
from grpo_cli.distributions import Categorical, Outlook
from grpo_cli.errors import ConfigError, NonFinite


class Arms(torch.nn.Module):
    """Logits, whatever the state."""

    def __init__(self, logits=(0.0, 0.0, 0.0)):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor(logits))
        self.noise = torch.Generator().manual_seed(0)
        self.asked = []

    def generate_actions(self, states, num_actions_per_state, **kwargs):
        self.asked.append(kwargs)
        probs = self.logits.detach().softmax(0).expand(len(states), -1)
        drawn = torch.multinomial(probs, num_actions_per_state, True, generator=self.noise)
        return drawn.tolist()

    def get_log_probabilities(self, states, actions):
        return self.logits.log_softmax(0)[torch.tensor(actions)]

    def get_parameters(self):
        return {"logits": self.logits}

    def __deepcopy__(self, memo):
        return Arms(self.logits.tolist())


class Bare:
    """The protocol without a module around it."""

    def __init__(self, parameters, logprob):
        self._parameters, self._logprob = parameters, logprob

    def generate_actions(self, states, num_actions_per_state, **kwargs):
        return [list(range(num_actions_per_state)) for _ in states]

    def get_log_probabilities(self, states, actions):
        return self._logprob(actions)

    def get_parameters(self):
        return self._parameters

    def train(self): ...
    def eval(self): ...
    def to(self, device):
        return self


class Pays(Bare):
    """A reward model: what `f(states, actions)` says."""

    def __init__(self, pay):
        self.compute_rewards = pay


def by_arm(*payouts):
    return Pays(lambda states, actions: torch.tensor([payouts[action] for action in actions]))


def trainer(policy, rewards, optimizer=None, reference=None, checkpoint_dir=None, **settings):
    settings = {"group_size": 8, "learning_rate": 0.05, "device": "cpu", **settings}
    return GRPOTrainer(
        config=GRPOConfig(**settings),
        policy=policy,
        reference_policy=reference,
        reward_model=rewards,
        optimizer=optimizer,
        checkpoint_dir=checkpoint_dir,
    )


def test_it_learns_the_better_arm():
    policy = Arms()
    learns = trainer(policy, by_arm(0.0, 1.0, 0.2), num_epochs_per_update=4)
    for _ in range(30):
        learns.step(["a", "b"])
    assert policy.logits.softmax(0)[1] > 0.9


def test_metrics_of_the_document_and_of_every_epoch():
    metrics = trainer(Arms(), by_arm(0.0, 1.0, 0.2), num_epochs_per_update=2).step(["a", "b", "c"])
    assert metrics["total_samples"] == 24
    assert metrics["gradient_steps"] == 2
    assert metrics["advantage_mean"] == pytest.approx(0, abs=1e-12)
    assert metrics["advantage_std"] == pytest.approx(1, abs=1e-6)
    for epoch in (0, 1):
        parts = {
            name: metrics[f"epoch_{epoch}_{name}"]
            for name in ("policy_loss", "kl_penalty", "entropy_bonus", "total_loss")
        }
        parts_sum = parts["policy_loss"] + parts["kl_penalty"] - parts["entropy_bonus"]
        assert parts["total_loss"] == pytest.approx(parts_sum, abs=1e-6)
    assert metrics["step_loss"] == metrics["epoch_1_total_loss"]
    assert {"grad_norm", "collection_time", "advantage_time"} <= set(metrics)
    assert "epoch_2_policy_loss" not in metrics


def test_batch_size_counts_states():
    learns = trainer(Arms(), by_arm(0.0, 1.0, 0.2), batch_size=2, num_epochs_per_update=3)
    assert learns.step(list("abcd"))["gradient_steps"] == 2 * 3
    assert learns.step(list("abcde"))["gradient_steps"] == 3 * 3


def test_generation_words_reach_the_policy():
    policy = Arms()
    trainer(policy, by_arm(0.0, 1.0, 0.2)).step(["a"], temperature=0.5)
    assert policy.asked == [{"temperature": 0.5}]


def test_without_parameters_there_are_metrics_and_a_warning(caplog):
    policy = Bare({}, lambda actions: -torch.ones(len(actions)))
    learns = trainer(policy, by_arm(*range(8)), num_epochs_per_update=2)
    metrics = learns.step(["a"])
    assert metrics["gradient_steps"] == metrics["grad_norm"] == 0
    assert metrics["epoch_1_total_loss"] == metrics["epoch_0_total_loss"] == metrics["step_loss"]
    learns.step(["a"])
    assert [record.message for record in caplog.records] == [
        "the policy has no parameters to learn by: metrics only, no step is taken"
    ]


def test_without_a_gradient_it_says_so_too(caplog):
    weight = torch.zeros(8, requires_grad=True)
    policy = Bare({"weight": weight}, lambda actions: -torch.ones(len(actions)))
    assert trainer(policy, by_arm(*range(8)), kl_coeff=0.0).step(["a"])["gradient_steps"] == 0
    assert "no gradient to learn by" in caplog.text


def test_parameters_without_a_module_are_learned():
    weight = torch.zeros(8, requires_grad=True)
    policy = Bare({"weight": weight}, lambda actions: weight.log_softmax(0)[torch.tensor(actions)])
    trainer(policy, by_arm(*range(8)), kl_coeff=0.0).step(["a"])
    assert weight[7] > weight[0]


def test_an_optimizer_of_ones_own_is_used():
    policy = Arms()
    still = torch.optim.SGD(policy.parameters(), lr=0.0)
    trainer(policy, by_arm(0.0, 1.0, 0.2), still).step(["a"])
    assert policy.logits.tolist() == [0, 0, 0]


def test_pairwise_wins_are_as_good_as_the_rewards_they_come_from():
    def wins(states, actions):
        pay = torch.tensor([[0.0, 1.0, 0.2][action] for action in actions])
        return (torch.sign(pay[:, None] - pay[None, :]) + 1) / 2

    policy = Arms()
    learns = trainer(policy, Pays(wins), num_epochs_per_update=4)
    for _ in range(30):
        learns.step(["a", "b"])
    assert policy.logits.softmax(0)[1] > 0.9


def test_ranks_need_no_scale():
    outcomes = []
    for scale in (1.0, 1e6):
        policy = Arms()
        paid = by_arm(0.0, scale, 0.2 * scale)
        trainer(policy, paid, reward_scaling="rank", normalize_advantages=False).step(["a"])
        outcomes.append(policy.logits.tolist())
    assert outcomes[0] == outcomes[1]


def test_the_reference_follows_when_it_is_told_to():
    for freq, follows in ((1, True), (None, False), (2, False)):
        reference = Arms()
        learns = trainer(
            Arms(), by_arm(0.0, 1.0, 0.2), reference=reference, reference_update_freq=freq
        )
        learns.step(["a"])
        assert (reference.logits.tolist() == learns.policy.logits.tolist()) is follows


def test_without_a_penalty_no_reference_is_kept():
    assert trainer(Arms(), by_arm(0.0, 1.0, 0.2), kl_coeff=0.0).reference_policy is None


def test_parameters_are_saved_when_it_is_time(tmp_path):
    policy = Arms()
    learns = trainer(policy, by_arm(0.0, 1.0, 0.2), checkpoint_dir=tmp_path, checkpoint_freq=2)
    for _ in range(3):
        learns.step(["a"])
        if learns.step_count == 2:
            saved = policy.logits.tolist()
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000002.safetensors"]
    assert load_file(tmp_path / "step-000000002.safetensors")["logits"].tolist() == saved


@pytest.mark.parametrize(
    ("word", "value"),
    [("group_size", 1), ("batch_size", 0), ("kl_coeff", -1), ("reward_scaling", "cube")],
)
def test_settings_out_of_range(word, value):
    with pytest.raises(ConfigError, match=word):
        GRPOConfig(**{word: value})


def test_what_models_return_is_checked():
    class Few(Arms):
        def generate_actions(self, states, num_actions_per_state, **kwargs):
            return [[0]]

    pays = by_arm(0.0, 1.0, 0.2)
    with pytest.raises(ConfigError, match="8 actions for each of 1 states"):
        trainer(Few(), pays).step(["a"])
    with pytest.raises(ConfigError, match="shape"):
        trainer(Arms(), Pays(lambda s, a: torch.zeros(3))).step(["a"])
    with pytest.raises(NonFinite):
        trainer(Arms(), Pays(lambda s, a: torch.full((len(a),), torch.nan))).step(["a"])
    with pytest.raises(ConfigError, match="no states"):
        trainer(Arms(), pays).step([])
    with pytest.raises(ConfigError, match="policy lacks eval, generate_actions"):
        GRPOTrainer(GRPOConfig(), object(), None, pays)
    bad = Bare({}, lambda actions: torch.zeros(2))
    with pytest.raises(ConfigError, match="get_log_probabilities"):
        trainer(bad, by_arm(*range(8))).step(["a"])


def every_action(new, old, reference):
    """All actions, one row each, weighted by the probability of having been drawn."""
    logprobs = [torch.log_softmax(logits, 0) for logits in (new, old, reference)]
    params = torch.stack([logprobs[0], logprobs[1].detach()], dim=1)
    other = torch.stack([logprobs[2], logprobs[2]], dim=1).detach()
    return params, other, logprobs[1].exp().detach()


@pytest.mark.parametrize("moved", [False, True])
def test_sampled_entropy_and_divergence_have_the_exact_gradient_on_average(moved):
    """Summed over every action with its probability, estimates are the closed form's twin."""
    noise = torch.Generator().manual_seed(3)
    old, reference = torch.randn(2, 4, generator=noise)
    new = (old + (0.3 * torch.randn(4, generator=noise) if moved else 0)).requires_grad_()
    params, other, weight = every_action(new, old, reference)
    for estimated, exact in (
        (Sampled().kl(params, other), Categorical(4).kl(new[None], reference[None])[0]),
        (Sampled().entropy(params), Categorical(4).entropy(new[None])[0]),
    ):
        mean = (estimated * weight).sum()
        assert mean.item() == pytest.approx(exact.item(), abs=1e-5)
        (given,) = torch.autograd.grad(mean, new, retain_graph=True)
        (wanted,) = torch.autograd.grad(exact, new, retain_graph=True)
        assert given.numpy() == pytest.approx(wanted.numpy(), abs=1e-5)


def test_the_bare_estimates_would_not():
    """The counter-example: k1 and -logp in a loss move nothing while the policy is the old one."""
    old = torch.tensor([0.5, -0.2, 0.1])
    new = old.clone().requires_grad_()
    params, other, weight = every_action(new, old, torch.zeros(3))
    for bare in (params[:, 0] - other[:, 0], -params[:, 0]):
        (gradient,) = torch.autograd.grad((bare * weight).sum(), new, retain_graph=True)
        assert gradient.abs().max() < 1e-6


def test_asked_answers_what_it_was_asked_before_the_update():
    policy = Arms((0.3, -0.1, 0.0))
    asked = Asked(policy, torch.device("cpu"))
    before = asked.ask(["s"] * 3, [0, 1, 2])
    with torch.no_grad():
        policy.logits += torch.tensor([1.0, 0.0, 0.0])
    params = asked(torch.tensor([[2], [0]]))
    assert params[:, 1].tolist() == before[[2, 0]].tolist()
    assert params[:, 0].tolist() == pytest.approx(policy.logits.log_softmax(0)[[2, 0]].tolist())
    assert isinstance(Outlook(asked.family, params, params[:, 0]).entropy(), torch.Tensor)
