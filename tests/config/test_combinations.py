"""Settings that are refused together, or warned about."""

import pytest

from grpo_cli.config.combinations import misleading
from grpo_cli.config.compose import compose
from grpo_cli.errors import ConfigError

GDPO = "reward.aggregate=normalise_then_sum"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["group.max_resample=2"], "group.max_resample=2 replaces dropped groups"),
        (["group.candidates=4", "group_size=8"], "group.candidates=4 is less than group_size=8"),
        ([GDPO, "advantage=rloo"], "reward.aggregate=normalise_then_sum, but advantage.scale=none"),
        ([GDPO, "kl=k1", "kl.coef=0.1"], "kl.where=reward is one more reward"),
        (["advantage=linear", "num_groups=1"], "advantage.adjust=linear looks at other groups"),
        (["advantage=shrunk", "num_groups=1"], "advantage.baseline=shrunk looks at other groups"),
        (["advantage=remax", "group=windows"], "advantage.baseline=greedy needs greedy members"),
        (["loss=all_action"], "loss=all_action sums over every action of a state"),
        (["loss=luspo", "loss.ratio=step"], "loss=luspo is about the ratio of whole sequences"),
        (["loss=gspo", "loss.ratio=trajectory"], "loss=gspo is about the ratio"),
        (["loss=vespo", "loss.ratio=step"], "unknown key loss.ratio"),
        (["processes=3", "num_groups=2"], "3 processes need 3 groups, and num_groups=2"),
        (["processes=2", "loss=kl_cov"], "loss=kl_cov ranks the rows of a whole minibatch"),
        (["processes=2", "group=my.mode"], "a group mode of your own samples all groups"),
        (["loss.length=50"], "loss.length has no effect with loss.aggregate=step_mean"),
        (["loss.delta=1.1"], "loss.delta=1.1 is within the clip, which ends at 1.2"),
        (["loss=dapo", "loss.delta=1.25"], "loss.delta=1.25 is within the clip"),
        (["loss.delta=0.5"], "loss.delta must be a number, above 1"),
        (["loss=clip_cov", "loss.cov_low=6"], "loss.cov_low=6 is not below"),
        (["kl.where=reward", "kl.reference=old"], "kl.reference=old is the policy that acted"),
        (["kl.reference=old", "kl.sync_every=3"], "kl.reference=old already follows"),
        (["kl=straight_through", "kl.where=reward"], "kl=straight_through is about gradients"),
        (["kl.target=0.1"], "kl.target changes kl.coef by factors"),
        (["kl.where=both"], "kl.where must be loss, reward or advantage"),
        (["entropy=adaptive", "entropy.coef=2"], "entropy.coef=2 is not within"),
        (["entropy.top_quantile=0"], "entropy.top_quantile must be a number"),
    ],
)
def test_what_cannot_be_together(words, what):
    with pytest.raises(ConfigError) as caught:
        compose(["env=CartPole-v1", *words])
    assert caught.value.what.startswith(what)
    assert caught.value.fix


@pytest.mark.parametrize(
    "words",
    [
        ["group.max_resample=2", "group.drop_dead=true"],
        ["group.candidates=8", "group_size=8"],
        [GDPO, "advantage=outcome"],
        [GDPO, "advantage=my.fn"],
        ["reward=my.fn", "group=my.mode"],
        ["loss=all_action", "group=candidates", "group.actions=all"],
        ["loss=dr_grpo", "loss.length=50"],
        ["loss.aggregate=member_sum"],
        ["loss.delta=3"],
        ["kl.coef=0.1", "kl.target=0.1", "kl.where=advantage"],
        ["kl=my.fn", "+kl.coef=0.1", "loss=my.fn", "entropy=my.fn"],
    ],
)
def test_what_can(words):
    assert compose(["env=CartPole-v1", *words])


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["advantage=outcome", "group_size=2"], "advantage.scale=group with group_size=2"),
        (["kl=k1", "kl.coef=0.1", "kl.where=loss"], "kl=k1 in the loss"),
        (["group=windows"], "advantage.key=group_step compares equal steps"),
        (["group=windows", "advantage=scalar"], None),
        (["loss=my.fn", "processes=2"], "loss=my.fn is added up over 2 processes"),
        (["loss=reinforce", "epochs=2"], "loss=reinforce has no ratio"),
        (["advantage=outcome", "group_size=3", "kl=k1", "kl.coef=0.1", "epochs=2"], None),
        (["kl=k1", "kl.where=loss", "loss=reinforce", "epochs=1"], None),
    ],
)
def test_what_is_allowed_and_misleads(words, what):
    said = list(misleading(compose(["env=CartPole-v1", *words])))
    assert [line.startswith(what) for line in said] == [True] if what else said == []
