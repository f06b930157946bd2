import pytest

from grpo_cli.config.compose import compose
from grpo_cli.errors import ConfigError

GDPO = "reward.aggregate=normalise_then_sum"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["group.max_resample=2"], "replaces dropped groups"),
        (["group.candidates=4", "group_size=8"], "less than group_size"),
        ([GDPO, "advantage=rloo"], "normalises nothing"),
    ],
)
def test_parts_that_do_not_fit(words, what):
    with pytest.raises(ConfigError, match=what):
        compose(["env=CartPole-v1", *words])


@pytest.mark.parametrize(
    "words",
    [
        ["group.max_resample=2", "group.drop_dead=true"],
        ["group.candidates=8", "group_size=8"],
        [GDPO, "advantage=outcome"],
        [GDPO, "advantage=my.fn"],
        ["reward=my.fn", "group=my.mode"],
    ],
)
def test_parts_that_fit(words):
    compose(["env=CartPole-v1", *words])
